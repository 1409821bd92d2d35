"""The beginning of a run: its name, what is known of it, what stands of it already. Here all raises, for nothing has
been trained yet."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mvc.errors import MvcError, NetworkError, NotFound, Refused
from mvc.metadata.canonical import dumps
from mvc.metadata.datasets import describe_dataset
from mvc.metadata.model import NOTHING, Base, CommitMetadata, Dataset, Point
from mvc.metadata.secrets import without_credentials
from mvc.metadata.tree import read_metadata
from mvc.metadata.values import flatten, nest
from mvc.objects.revparse import resolve_commit
from mvc.ops.checkpoint import RunKnown
from mvc.ops.connect import find_remote
from mvc.ops.runfiles import RUNS, SPOOL, RunRefs, check_name, read_state, run_folder, runs_of
from mvc.repo.repository import Repository
from mvc.training.place import Place
from mvc.training.values import plain
from mvc.training.work import bring_run, series_of

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


@dataclass(frozen=True, slots=True)
class About:
    """What training code says of its run."""

    params: Mapping[str, Any]
    tags: Mapping[str, Any]
    datasets: Mapping[str, str]
    base: str | None


@dataclass(frozen=True, slots=True)
class Beginning:
    """A run that may begin, or go on."""

    repo: Repository
    name: str
    describe: Callable[[Repository], RunKnown]
    remote: str | None
    started: float
    series: Sequence[Point]
    """What was logged before, as the commits have it."""
    last_step: int
    """Of its checkpoints, or its series; -1 where there is none."""
    unpushed: Sequence[str]
    """Refs that an earlier process may not have pushed."""


def begin(
    place: Place, name: str | None, about: About, remote: str | None, resume: Literal["must"] | bool
) -> Beginning:
    """Check what is asked for, and find what stands of the run. Raises as `start_run` does."""
    repo = place.open()
    repo.require_writable()
    place.author(repo)
    run = check_name(name) if name is not None else _new_name(repo)
    if remote is not None:
        find_remote(repo, remote, place.outside())
    params, tags = flatten(plain(about.params)), flatten(plain(about.tags))
    dumps(nest(params))  # what cannot be recorded is told now
    base = _base(repo, about.base)
    for text in about.datasets.values():
        _check_dataset(place, text)
    known = _standing(repo, run)
    if resume and remote is not None:
        try:
            bring_run(place, repo, remote, run)  # it may have gone on elsewhere
        except NetworkError:
            if known is None:
                raise
        known = _standing(repo, run)
    if known is None and resume == "must":
        raise NotFound(f"there is no run '{run}' to go on with", hint="mvc runs list")
    if known is not None and not resume:
        raise Refused(f"there is a run '{run}' already", hint="resume=True goes on with it; else take another name")
    before = known or NOTHING

    def describe(repo: Repository) -> RunKnown:
        datasets = [_described(place, repo, key, text) for key, text in about.datasets.items()]
        metadata = before._replace(
            params={**before.params, **params},
            tags={**before.tags, **tags},
            datasets=tuple({one.name: one for one in (*before.datasets, *datasets)}.values()),
            environment=place.surroundings(),
            links={**before.links, **place.links()},
            bases=(base,) if base is not None else before.bases,
            metrics={},
        )
        return RunKnown(run, metadata)

    refs = repo.refs.list(f"{RUNS}{run}/")
    state = read_state(run_folder(repo, run))
    started = state.get("started")
    series = series_of(repo, run) if known is not None else []
    steps = [*runs_of(refs).get(run, RunRefs()).steps, *(point.step for point in series[-1:])]
    return Beginning(
        repo,
        run,
        describe,
        remote,
        started if isinstance(started, float) else time.time(),
        series,
        max(steps, default=-1),
        tuple(refs) if remote is not None and known is not None else (),
    )


def _standing(repo: Repository, run: str) -> CommitMetadata | None:
    """What an earlier process said of the run; None where there is no such run."""
    found = runs_of(repo.refs.list(f"{RUNS}{run}/")).get(run)
    folder = run_folder(repo, run)
    if found is None:
        return NOTHING if read_state(folder) or (folder / SPOOL).is_dir() else None
    target = found.summary or found.steps[max(found.steps)]
    try:
        metadata = read_metadata(repo.objects, repo.objects.commit(target).tree)
    except MvcError:
        return NOTHING
    own = {name: value for name, value in metadata.tags.items() if not name.startswith("run.")}
    return metadata._replace(tags=own)


def _new_name(repo: Repository) -> str:
    while True:
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(2).hex()}"
        if not run_folder(repo, name).exists() and not repo.refs.list(f"{RUNS}{name}/"):
            return name


def _base(repo: Repository, text: str | None) -> Base | None:
    if text is None:
        return None
    try:
        return Base(commit=resolve_commit(repo.objects, repo.refs, text))
    except NotFound:
        if "://" not in text:
            raise
        return Base(location=without_credentials(text))


def _check_dataset(place: Place, text: str) -> None:
    """Data that is not there is told before the training. That it is hashed comes later, beside the training."""
    spellings = filter(None, (text, text.rpartition("@")[0]))
    if not _URI.match(text) and not any((place.cwd / path).exists() for path in spellings):
        raise NotFound(f"there is no dataset at '{text}'")


def _described(place: Place, repo: Repository, name: str, text: str) -> Dataset:
    """What cannot be hashed (any more) is no reason to store no checkpoint."""
    try:
        return describe_dataset(name, text, place.cwd, repo.worktree)
    except (MvcError, OSError):
        return Dataset(name, text)
