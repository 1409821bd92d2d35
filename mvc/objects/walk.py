"""Walking the history: the commits that `log` shows, in its order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mvc.objects.model import Commit
from mvc.objects.reader import ObjectReader


@dataclass(frozen=True, slots=True)
class Selection:
    """Which commits to walk, and how. All conditions must hold; times are seconds since 1970."""

    include: Sequence[str]
    exclude: Sequence[str] = ()
    order: Literal["date", "topo"] = "date"
    paths: Sequence[str] = ()
    """Files or folders: only commits that change one of them (history simplified as Git's default)."""
    since: int | None = None
    until: int | None = None
    author: str | None = None
    """A regular expression for "Name <email>" of the author."""
    grep: str | None = None
    """A regular expression for the message."""
    first_parent: bool = False
    merges: bool | None = None
    """True: only merges; False: none of them."""
    max_count: int | None = None
    skip: int = 0
    keep: Callable[[Commit, ObjectReader], bool] | None = None
    """A last filter of the caller's own (as `log --tensor`)."""


@dataclass(frozen=True, slots=True)
class Step:
    """A commit of the walk. `parents` are the nearest ancestors that the walk by paths shows (for a graph)."""

    commit: Commit
    parents: tuple[str, ...]


def walk(objects: ObjectReader, selection: Selection) -> Iterator[Commit]:
    """The selected commits, newest first, found as they are asked for: the first costs no more than itself.

    (With `order="topo"`, where no parent comes before all its children, the history is read first.)
    """
    raise NotImplementedError


def walk_graph(objects: ObjectReader, selection: Selection) -> Iterator[Step]:
    """As `walk` in topo order, with parents rewritten to those that are shown."""
    raise NotImplementedError
