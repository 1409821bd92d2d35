"""What a run's threads do with the repository: commit checkpoints and the run itself, push them, fetch them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import Any, NamedTuple

from mvc.errors import MissingObject, MvcError, NetworkError, NotFound
from mvc.metadata.model import Point
from mvc.metadata.tree import METRICS, SERIES, read_metadata
from mvc.ops.checkpoint import RunKnown, commit_checkpoint, commit_summary
from mvc.ops.commit_files import Source
from mvc.ops.fetch import FetchOptions, fetch
from mvc.ops.push import push
from mvc.ops.push_plan import PushOptions
from mvc.ops.runfiles import RUNS, checkpoint_ref, runs_of, summary_ref
from mvc.repo.repository import Repository
from mvc.training.place import Place
from mvc.training.snapshot import Job


class Checkpoint(NamedTuple):
    """A checkpoint that is stored. `ref` names it as a revision; `metrics` are those of its step."""

    step: int
    commit: str
    ref: str
    metrics: Mapping[str, Any]


class Work:
    """Of one run. `store` and `summarise` are for one thread at a time; `push` opens a repository of its own."""

    def __init__(self, place: Place, repo: Repository, run: str, describe: Callable[[Repository], RunKnown]) -> None:
        self._place, self._repo, self._run, self._describe = place, repo, run, describe
        self._known: RunKnown | None = None
        self._params: dict[str, Any] = {}
        self._tags: dict[str, Any] = {}
        self._knowing = threading.Lock()
        self._lock = threading.Lock()

    def known(self) -> RunKnown:
        """What all commits say; found out once, as it takes a while (the environment, data that is hashed)."""
        with self._knowing:
            if self._known is None:
                self._known = self._describe(self._repo)
        with self._lock:
            said = self._known.metadata
            more = said._replace(params={**said.params, **self._params}, tags={**said.tags, **self._tags})
        return RunKnown(self._run, more)

    def add(self, params: Mapping[str, Any], tags: Mapping[str, Any]) -> None:
        """What commits from now on say as well; flat."""
        with self._lock:
            self._params.update(params)
            self._tags.update(tags)

    def store(self, job: Job, series: Sequence[tuple[int, Mapping[str, Any]]]) -> str:
        """Commit a checkpoint; returns its ref. Its folder is gone then."""
        job.check()
        ref = self.commit(job.step, job.sources(), job.metrics, series, job.message)
        job.discard()
        return ref

    def commit(
        self,
        step: int,
        files: Mapping[str, Source],
        metrics: Mapping[str, Any],
        series: Sequence[tuple[int, Mapping[str, Any]]],
        message: str | None,
    ) -> str:
        """Commit files as a checkpoint, as differences from that before; returns the ref. For any thread."""
        repo = self._place.open_beside()
        try:
            steps = _steps(repo, self._run)
            before = [known for known in steps if known <= step] or list(steps)
            likes = [steps[max(before)], None] if before else [None]
            for like in likes:
                # A checkpoint that is forgotten at this moment, and freed, is no base any more.
                with suppress(MissingObject, NotFound) if like is not None else nullcontext():
                    return commit_checkpoint(
                        repo,
                        self.known(),
                        step,
                        files,
                        metrics=metrics,
                        series=_points(series, step),
                        message=message,
                        like=like,
                        caller=self._place.caller(repo),
                    ).ref
            raise AssertionError("the last try returns or raises")
        finally:
            repo.objects.close()

    def summarise(
        self, status: str, series: Sequence[tuple[int, Mapping[str, Any]]], extra: Mapping[str, Any], note: str = ""
    ) -> str:
        """Commit the run as a whole: `extra` beside the last value of each metric; returns its ref."""
        last: dict[str, Any] = {}
        for _, values in series:
            last |= values
        done = commit_summary(
            self._repo,
            self.known(),
            status,
            metrics={**last, **extra},
            series=_points(series, None),
            note=note,
            caller=self._place.caller(self._repo),
        )
        return done.ref

    def last(self, step: int | None = None) -> Checkpoint | None:
        """The last checkpoint, or that of a step; None where there is none."""
        steps = _steps(self._place.open(), self._run)
        wanted = max(steps, default=-1) if step is None else step
        if wanted not in steps:
            return None
        repo = self._place.open()
        metrics = read_metadata(repo.objects, repo.objects.commit(steps[wanted]).tree, files=(METRICS,)).metrics
        return Checkpoint(wanted, steps[wanted], checkpoint_ref(self._run, wanted), metrics)

    def push(self, remote: str, refs: Sequence[str]) -> None:
        """Push refs, those that are still here. Raises what a push raises."""
        repo = self._place.open_beside()
        specs = [f"+{ref}:{ref}" for ref in refs if repo.refs.read(ref) is not None]
        if not specs:
            return
        done = push(repo, remote, specs, PushOptions(), outside=self._place.outside(), caller=self._place.caller(repo))
        for row in done.rows:
            if row.ref.status == "rejected":
                raise NetworkError(f"{done.url} rejected {row.ref.target}: {row.ref.reason}")


def _steps(repo: Repository, run: str) -> dict[int, str]:
    found = runs_of(repo.refs.list(f"{RUNS}{run}/")).get(run)
    return found.steps if found else {}


def _points(series: Sequence[tuple[int, Mapping[str, Any]]], last: int | None) -> list[Point]:
    return [Point(step, values) for step, values in series if last is None or step <= last]


def bring_run(place: Place, repo: Repository, remote: str, run: str) -> None:
    """The refs and commits of a run that a remote has. Refs that stand here stay. Raises what a fetch raises."""
    spec = f"{RUNS}{run}/*:{RUNS}{run}/*"
    try:
        fetch(repo, remote, [spec], FetchOptions(tags="none"), outside=place.outside(), caller=place.caller(repo))
    except NotFound:
        return  # nothing was pushed there yet


def series_of(repo: Repository, run: str) -> list[Point]:
    """The series as the commits of a run have it: the longest of its own and the last checkpoint's, else the newest."""
    refs = repo.refs.list(f"{RUNS}{run}/")
    steps = _steps(repo, run)
    found: list[tuple[int, int, list[Point]]] = []
    for target in (steps[max(steps)] if steps else None, refs.get(summary_ref(run))):
        if target is not None:
            with suppress(MvcError):
                commit = repo.objects.commit(target)
                points = list(read_metadata(repo.objects, commit.tree, files=(SERIES,)).series)
                found.append((points[-1].step if points else -1, commit.committer.time, points))
    return max(found, key=lambda one: one[:2])[2] if found else []
