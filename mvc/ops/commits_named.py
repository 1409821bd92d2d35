"""The commits that one word of a command line stands for: a revision, a range, a run of training, or a query."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mvc.errors import NotFound, UsageError
from mvc.lazy import load
from mvc.objects.model import Commit
from mvc.objects.revparse import resolve_commit
from mvc.ops.log import LogOptions, log
from mvc.progress import SILENT, Progress
from mvc.repo.repository import Repository

RUNS: Final = "refs/runs/"

SEARCH = {"search": "mvc.catalogue.search:search", "options": "mvc.catalogue.search:SearchOptions"}
"""Loaded for a query."""

_QUERY = re.compile(r"\s|[<>=]|~(?!\d*$|[\d~^])")
"""What no name of a commit holds, and nearly every query does."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What a query needs besides its text: where the catalogue is (MVC_HOME), how many commits are wanted."""

    home: Path | None = None
    limit: int = 10
    progress: Progress = SILENT


ANYWHERE: Final = Asking()
"""A catalogue in memory."""


def commits_named(repo: Repository, text: str, asking: Asking, *, most: int) -> list[Commit]:
    """The commits, the oldest first: one of a revision or of a run (its last checkpoint), those of a range `A..B`
    (`most` of them, the newest), those that a query finds. Raises NotFound, QueryError."""
    if is_query(text):
        return queried(repo, text, asking)
    if ".." in text:
        return list(history(repo, text, most, first_parent=False))
    steps = run_steps(repo, text)
    return [repo.objects.commit(steps[-1] if steps else resolve_commit(repo.objects, repo.refs, text))]


def is_query(text: str) -> bool:
    """Whether it can only be a query."""
    return _QUERY.search(text) is not None and not text.startswith(":/") and "^{" not in text and "@{" not in text


def queried(repo: Repository, query: str, asking: Asking) -> list[Commit]:
    """The commits that a query finds, the oldest first. Raises NotFound where there are none."""
    options = load(SEARCH["options"])(limit=asking.limit)
    found = load(SEARCH["search"])(repo, query, options, home=asking.home, progress=asking.progress)
    if not found.rows:
        raise NotFound(f"no commit fulfils '{query}'", hint="mvc search shows what there is")
    return [repo.objects.commit(row.id) for row in reversed(found.rows)]


def history(repo: Repository, text: str, limit: int, *, first_parent: bool = True) -> Iterator[Commit]:
    """The newest commits of a revision's history or of a range, the oldest of them first."""
    if limit < 1:
        raise UsageError("a limit is at least 1")
    found = log(repo, LogOptions((text,), max_count=limit, metadata=False, first_parent=first_parent))
    yield from reversed([entry.commit for entry in found])


def run_steps(repo: Repository, name: str) -> list[str]:
    """The commits of a run's checkpoints, by step; none where `name` is no run."""
    if not name or name.startswith("refs/"):
        return []
    found = repo.refs.list(f"{RUNS}{name}/")
    steps = [(int(step), found[ref]) for ref in found if (step := ref.rpartition("/")[2]).isdecimal()]
    return [target for _, target in sorted(steps)]
