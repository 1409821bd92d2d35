"""Checkpoints and runs as commits: `refs/runs/RUN/STEP` and `refs/runs/RUN/summary`.

None has a parent, so that each can be forgotten by itself. HEAD, stage and worktree are not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mvc.metadata.model import CommitMetadata, Point
from mvc.ops.caller import Caller
from mvc.ops.commit_files import CommitFilesOptions, CommitFilesResult, Source, commit_files
from mvc.ops.runfiles import checkpoint_ref, summary_ref
from mvc.repo.repository import Repository

MAX_POINTS = 20_000
"""A commit's series has at most so many points: of more, as many evenly spread ones, with the last."""

MAX_SERIES = 8 * 1024 * 1024
"""Bytes that a series may take, by which it is thinned likewise."""

MAX_METRICS = 3 * 1024 * 1024
"""Bytes that the metrics of a commit may take, at the most that their names can."""

STATUS = "run.status"


@dataclass(frozen=True, slots=True)
class RunKnown:
    """What all commits of a run say of it."""

    run: str
    metadata: CommitMetadata
    """Params, datasets, environment, tags, links, bases."""

    def said(self, metrics: Mapping[str, Any], series: Sequence[Point], **tags: Any) -> CommitMetadata:
        """The metadata of one of its commits."""
        known = {**self.metadata.tags, "run.name": self.run, **tags}
        return self.metadata._replace(metrics=_fitting(metrics), series=thinned(series), tags=known)


def commit_checkpoint(
    repo: Repository,
    known: RunKnown,
    step: int,
    files: Mapping[str, Source],
    *,
    metrics: Mapping[str, Any],
    series: Sequence[Point] = (),
    message: str | None = None,
    like: str | None = None,
    caller: Caller,
) -> CommitFilesResult:
    """Commit the files of a checkpoint; one of the same step that stands is replaced.

    `like`: the commit of the checkpoint before, of which these files are a small step.
    """
    metadata = known.said(metrics, series, **{"run.step": step})
    options = CommitFilesOptions(metadata=metadata, orphan=True, like=like, allow_empty=True)
    text = message or f"{known.run}: step {step}"
    return commit_files(repo, checkpoint_ref(known.run, step), files, text, options, caller=caller)


def commit_summary(
    repo: Repository,
    known: RunKnown,
    status: str,
    *,
    metrics: Mapping[str, Any],
    series: Sequence[Point] = (),
    note: str = "",
    caller: Caller,
) -> CommitFilesResult:
    """Commit what is known of the run as a whole. `status`: running, finished, failed, interrupted."""
    metadata = known.said(metrics, series, **{STATUS: status})
    options = CommitFilesOptions(metadata=metadata, orphan=True, allow_empty=True)
    text = f"{known.run}: {status}" + (f"\n\n{note}" if note else "")
    return commit_files(repo, summary_ref(known.run), {}, text, options, caller=caller)


def _fitting(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """As many as a file holds, in their order: a checkpoint is not lost for a metric too many."""
    found: dict[str, Any] = {}
    left = MAX_METRICS
    for name, value in metrics.items():
        left -= 8 * len(name) + 64
        if left < 0:
            break
        found[name] = value
    return found


def thinned(series: Sequence[Point]) -> tuple[Point, ...]:
    """At most MAX_POINTS of a series, and about MAX_SERIES bytes: evenly spread, with the last."""
    size = sum(24 + sum(len(name) + 24 for name in point.values) for point in series)
    every = max(-(-len(series) // MAX_POINTS), -(-size // MAX_SERIES))
    if every <= 1:
        return tuple(series)
    return tuple(series[(len(series) - 1) % every :: every])
