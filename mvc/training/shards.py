"""Checkpoints whose files are stored already, by several processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mvc.metadata.model import CommitMetadata
from mvc.ops.checkpoint import RunKnown, commit_checkpoint
from mvc.ops.commit_files import Source
from mvc.ops.runfiles import RUNS, check_name, runs_of
from mvc.repo.repository import Repository
from mvc.training.place import Place


def latest_before(repo: Repository, run: str, step: int) -> str | None:
    """The commit of a run's last checkpoint up to a step; None for a run without one."""
    found = runs_of(repo.refs.list(f"{RUNS}{run}/")).get(run) if run else None
    steps = [known for known in found.steps if known <= step] if found is not None else []
    return found.steps[max(steps)] if found is not None and steps else None


def alone(
    place: Place, run: str, step: int, files: Mapping[str, Source], metrics: Mapping[str, Any], message: str | None
) -> str:
    """Commit a checkpoint of a run of which nothing but the name is known; returns the commit's id."""
    repo = place.open()
    known = RunKnown(check_name(run), CommitMetadata(environment=place.surroundings(), links=place.links()))
    caller = place.caller(repo)
    return commit_checkpoint(repo, known, step, files, metrics=metrics, message=message, caller=caller).id
