"""`mvc plot`: the figures of metrics over commits, steps, time or a param, as charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from mvc.charts.model import Chart, Dot, Line, Scale
from mvc.charts.thin import smoothed
from mvc.errors import NotFound, UsageError
from mvc.metadata.model import CommitMetadata
from mvc.metadata.tree import FILES, SERIES
from mvc.objects.model import Commit
from mvc.ops.commits_named import ANYWHERE, Asking, commits_named, history, is_query, queried, run_steps
from mvc.ops.known import Known
from mvc.repo.repository import Repository

BY: Final = ("auto", "step", "commit", "time")
"""What x may be, besides the name of a param."""

_SHORT = 7


@dataclass(frozen=True, slots=True)
class PlotOptions:
    """What to draw."""

    metrics: tuple[str, ...]
    """Names, or globs of names."""
    sources: tuple[str, ...] = ("HEAD",)
    """Revisions (with their history), ranges, names of runs, or queries."""
    by: str = "auto"
    """One of BY, or the name of a param. Auto: steps where a source has series of such a metric, else commits."""
    limit: int = 200
    """Commits of a history, the newest."""
    smooth: float = 0.0
    """Weight of the exponential moving average, in [0, 1)."""
    log_x: bool = False
    log_y: bool = False
    together: bool = False
    """All metrics in one chart; else a chart a metric."""
    asking: Asking = ANYWHERE
    """For sources that are queries."""


@dataclass(frozen=True, slots=True)
class _Source:
    """What was named, and its commits, the oldest first."""

    name: str
    commits: tuple[tuple[Commit, CommitMetadata], ...]


def plot(repo: Repository, options: PlotOptions) -> tuple[Chart, ...]:
    """The charts. Raises NotFound where no commit has such a metric, UsageError for a weight that is none."""
    if not 0 <= options.smooth < 1:
        raise UsageError("--smooth takes a weight from 0 up to, but not including, 1")
    by, sources = _gathered(repo, options)
    names = _metrics(sources, options.metrics, by)
    if not names:
        raise _nothing(repo, options, by)
    lines = {name: [_line(source, name, by) for source in sources] for name in names}
    charts = []
    for title, members in _grouped(lines, options.together):
        drawn = [
            smoothed(line._replace(name=_line_name(name, source, members, sources)), options.smooth)
            for name in members
            for source, line in zip(sources, lines[name], strict=True)
            if line.dots
        ]
        charts.append(_chart(title, drawn, by, sources, options))
    return tuple(charts)


def _gathered(repo: Repository, options: PlotOptions) -> tuple[str, list[_Source]]:
    """What x is, and the commits of each source with what they say."""
    if options.by in ("auto", "step"):
        known = Known(repo, (*FILES, SERIES))
        newest = [_Source(name, (_read(known, _tip(repo, name, options.asking)),)) for name in options.sources]
        if options.by == "step" or _metrics(newest, options.metrics, "step"):
            return "step", newest
    known = Known(repo)
    by = "commit" if options.by == "auto" else options.by
    return by, [
        _Source(name, tuple(_read(known, commit) for commit in _history(repo, name, options)))
        for name in options.sources
    ]


def _read(known: Known, commit: Commit) -> tuple[Commit, CommitMetadata]:
    return commit, known.of_tree(commit.id, commit.tree)


def _tip(repo: Repository, name: str, asking: Asking) -> Commit:
    """The commit that a source ends with: of a run, its last step's."""
    return commits_named(repo, name, asking, most=1)[-1]


def _history(repo: Repository, name: str, options: PlotOptions) -> Iterable[Commit]:
    if is_query(name):
        return queried(repo, name, options.asking)
    steps = run_steps(repo, name)
    if steps:
        return (repo.objects.commit(step) for step in steps[-options.limit :])
    return history(repo, name, options.limit)


def _metrics(sources: Sequence[_Source], wanted: Sequence[str], by: str) -> list[str]:
    """The names of numbers that fit, in the order asked for."""
    there: dict[str, None] = {}
    for source in sources:
        for _, metadata in source.commits:
            if by == "step":
                for point in metadata.series:
                    there.update((name, None) for name in point.values)
            else:
                there.update((name, None) for name, value in metadata.metrics.items() if _number(value) is not None)
    found = [name for want in wanted for name in sorted(there) if name == want or fnmatchcase(name, want)]
    return list(dict.fromkeys(found))


def _nothing(repo: Repository, options: PlotOptions, by: str) -> NotFound:
    _, sources = _gathered(repo, options)
    there = _metrics(sources, ("*",), by)
    what = "series" if by == "step" else "metric"
    asked = ", ".join(f"'{name}'" for name in options.metrics)
    where = "of " + ", ".join(options.sources)
    hint = f"there are: {', '.join(there[:12])}" if there else f"mvc commit --{'series' if by == 'step' else 'metric'}"
    return NotFound(f"no {what} {where} is named {asked}", hint=hint)


def _line(source: _Source, metric: str, by: str) -> Line:
    dots: list[Dot] = []
    for place, (commit, metadata) in enumerate(source.commits):
        label = f"{commit.id[:_SHORT]} {commit.summary}"
        if by == "step":
            dots += [
                Dot(point.step, _number(point.values[metric]), label)
                for point in metadata.series
                if metric in point.values
            ]
            continue
        y = _number(metadata.metrics.get(metric))
        x = {"commit": place, "time": commit.author.time}.get(by, _number(metadata.params.get(by)))
        if x is not None and (y is not None or metric in metadata.metrics):
            dots.append(Dot(x, y, label))
    return Line(metric, tuple(sorted(dots, key=lambda dot: dot.x)))


def _number(value: Any) -> float | None:
    """A figure that can be drawn."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _grouped(lines: dict[str, list[Line]], together: bool) -> list[tuple[str, list[str]]]:
    return [(", ".join(lines), list(lines))] if together else [(name, [name]) for name in lines]


def _line_name(metric: str, source: _Source, metrics: Sequence[str], sources: Sequence[_Source]) -> str:
    if len(metrics) == 1:
        return source.name if len(sources) > 1 else metric
    return f"{metric} · {source.name}" if len(sources) > 1 else metric


def _chart(title: str, lines: list[Line], by: str, sources: Sequence[_Source], options: PlotOptions) -> Chart:
    x: Scale = {"commit": "order", "time": "time"}.get(by, "number")  # type: ignore[assignment]
    names: tuple[str, ...] = ()
    if x == "order":
        longest = max(sources, key=lambda source: len(source.commits))
        # Histories side by side share places, not commits.
        alone = len(sources) == 1
        count = len(longest.commits)
        names = tuple(longest.commits[at][0].id[:_SHORT] if alone else str(at + 1) for at in range(count))
    return Chart(
        title=title,
        x_title={"time": "date"}.get(by, by),
        y_title=title if "," not in title else "",
        lines=tuple(lines),
        x=x,
        names=names,
        log_x=options.log_x and x == "number",
        log_y=options.log_y,
        joined=by in BY,
    )
