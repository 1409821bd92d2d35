"""Params, metrics, series and datasets of a commit of a DVC project: from the files that it declares them in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from mvc.importers.dvcfiles import Dep, Pipeline
from mvc.importers.facts import fit_names, joined, read_values
from mvc.metadata.model import CommitMetadata, Dataset, Point
from mvc.metadata.values import MAX_BYTES

Read = Callable[[str, int], bytes | None]
"""Path and most bytes to the content of a file of the commit; None if there is none, or it is larger."""
Warn = Callable[[str], None]

_PARAMS = "params.yaml"
_MOST_SERIES = 2000
_MOST_POINTS = 1_000_000


def commit_metadata(
    commit_id: str,
    paths: Iterable[str],
    pipelines: Sequence[Pipeline],
    deps: Sequence[Dep],
    read: Read,
    warn: Warn,
) -> CommitMetadata:
    """What the commit's own files say. `paths`: all of its files."""
    here = frozenset(paths)
    params = [name for pipeline in pipelines for name in pipeline.params]
    metrics = [name for pipeline in pipelines for name in pipeline.metrics]
    plots = [name for pipeline in pipelines for name in pipeline.plots]
    declared = dict.fromkeys([*([_PARAMS] if _PARAMS in here else []), *(one for one in params if one in here)])
    return CommitMetadata(
        params=fit_names(joined(_values(declared, read, warn))),
        metrics=fit_names(joined(_values(dict.fromkeys(one for one in metrics if one in here), read, warn))),
        datasets=_datasets(deps),
        environment={"code.commit": commit_id},
        series=_series(here, plots, read, warn),
    )


def _values(paths: Iterable[str], read: Read, warn: Warn) -> Iterable[tuple[str, Mapping[str, object]]]:
    for path in paths:
        data = read(path, MAX_BYTES)
        if data is None:
            warn(f"no values are taken from {path}: it is not there, or larger than {MAX_BYTES >> 20} MiB")
        else:
            yield path, read_values(data, path, warn)


def _datasets(deps: Sequence[Dep]) -> tuple[Dataset, ...]:
    named: dict[str, Dataset] = {}
    for dep in deps:
        named.setdefault(dep.path, Dataset(dep.path, dep.path, dep.digest, dep.size, dep.files))
    return tuple(named.values())


def _series(here: frozenset[str], plots: Sequence[str], read: Read, warn: Warn) -> tuple[Point, ...]:
    """DVCLive's `plots/metrics/NAME.tsv`: a column `step` and one of the name."""
    roots = [f"{one}/" for one in plots if one.endswith("/metrics")] + ["dvclive/plots/metrics/"]
    found = {
        path.removeprefix(root)[:-4]: path
        for root in dict.fromkeys(roots)
        for path in sorted(here)
        if path.startswith(root) and path.endswith(".tsv")
    }
    steps: dict[int, dict[str, float]] = {}
    for name, path in list(found.items())[:_MOST_SERIES]:
        data = read(path, MAX_BYTES * 4)
        for step, value in _points(data or b""):
            if len(steps) < _MOST_POINTS or step in steps:
                steps.setdefault(step, {})[name.replace("/", ".")] = value
        if data is None:
            warn(f"no series is taken from {path}: it is not there, or too large")
    return tuple(Point(step, steps[step]) for step in sorted(steps))


def _points(data: bytes) -> Iterable[tuple[int, float]]:
    lines = data.decode("utf-8", "replace").splitlines()
    columns = lines[0].split("\t") if lines else []
    if "step" not in columns or len(columns) < 2:
        return
    at = columns.index("step")
    other = next(number for number in reversed(range(len(columns))) if number != at)
    for line in lines[1:]:
        cells = line.split("\t")
        try:
            step, value = int(cells[at]), float(cells[other])
        except (ValueError, IndexError):
            continue
        if abs(step) < 2**53 and not math.isnan(step):
            yield step, value
