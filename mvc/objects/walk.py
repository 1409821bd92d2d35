"""Walking the history: the commits that `log` shows, in its order.

Simplification by paths is Git's default (git-log(1), "History Simplification"): a commit that leaves
the paths as they were in a parent is not shown, and the walk follows that parent alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import islice
from typing import Literal, NamedTuple, TypeVar

from mvc.errors import UsageError
from mvc.objects import ancestry, trees
from mvc.objects.model import Commit
from mvc.objects.reader import ObjectReader

_Item = TypeVar("_Item")
_RECENT = 1024


class Selection(NamedTuple):
    """Which commits to walk, and how. All conditions must hold; times are seconds since 1970."""

    include: Sequence[str]
    exclude: Sequence[str] = ()
    order: Literal["date", "topo"] = "date"
    paths: Sequence[str] = ()
    """Files or folders: only commits that change one of them. "" is the whole tree (without metadata)."""
    fits: Callable[[str], bool] | None = None
    """Instead of `paths`: only commits that change a path that fits."""
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


class Step(NamedTuple):
    """A commit of the walk. `parents` are the nearest ancestors that the walk shows (for a graph)."""

    commit: Commit
    parents: tuple[str, ...]


def walk(objects: ObjectReader, selection: Selection) -> Iterator[Commit]:
    """The selected commits, newest first, found as they are asked for: the first costs no more than itself.

    (With `order="topo"`, where no parent comes before all its children, the history is read first.)
    Raises UsageError for a bad regular expression.
    """
    history = _History(objects, selection)
    visits = history.by_date() if selection.order == "date" else _topological(list(history.by_date()))
    return _cut(selection, (visit.commit for visit in visits if visit.shown))


def walk_graph(objects: ObjectReader, selection: Selection) -> Iterator[Step]:
    """As `walk` in topo order, with parents rewritten to those that are shown."""
    visits = _topological(list(_History(objects, selection).by_date()))
    nearest: dict[str, tuple[str, ...]] = {}
    steps: list[Step] = []
    for visit in reversed(visits):
        # Children come before parents, so from the end the parents' answer is known.
        parents = tuple(dict.fromkeys(found for one in visit.parents for found in nearest.get(one, ())))
        nearest[visit.commit.id] = (visit.commit.id,) if visit.shown else parents
        if visit.shown:
            steps.append(Step(visit.commit, parents))
    return _cut(selection, reversed(steps))


def _cut(selection: Selection, items: Iterator[_Item]) -> Iterator[_Item]:
    stop = None if selection.max_count is None else selection.skip + selection.max_count
    return islice(items, selection.skip, stop)


class _Visit:
    """A commit that the walk came by, the parents that it follows from there, and whether it is shown."""

    __slots__ = ("commit", "parents", "shown")

    def __init__(self, commit: Commit, parents: tuple[str, ...], shown: bool) -> None:
        self.commit = commit
        self.parents = parents
        self.shown = shown


class _History:
    def __init__(self, objects: ObjectReader, selection: Selection) -> None:
        self._objects = objects
        self._selection = selection
        self._author = _pattern(selection.author)
        self._grep = _pattern(selection.grep)
        self._paths = tuple(path.strip("/") for path in selection.paths)
        self._simplify = bool(self._paths) or selection.fits is not None
        self._every = not self._paths and selection == Selection(
            include=selection.include,
            exclude=selection.exclude,
            order=selection.order,
            since=selection.since,
            max_count=selection.max_count,
            skip=selection.skip,
        )
        """Nothing is filtered, but by time and number."""
        self._recent: dict[str, Commit] = {}
        self._allowed = ancestry.only_in(objects, selection.include, selection.exclude) if selection.exclude else None

    def by_date(self) -> Iterator[_Visit]:
        """All commits to visit, the newest of those known first."""
        read = self._commit if self._simplify else self._objects.commit
        queue: list[tuple[int, int, Commit]] = []
        seen: set[str] = set()

        def push(commit_id: str) -> None:
            if commit_id not in seen and (self._allowed is None or commit_id in self._allowed):
                seen.add(commit_id)
                commit = read(commit_id)
                heappush(queue, (-commit.committer.time, len(seen), commit))

        for tip in self._selection.include:
            push(tip)
        since = self._selection.since
        while queue:
            _, _, commit = heappop(queue)
            if since is not None and commit.committer.time < since:
                continue
            if self._every:
                parents, shown = commit.parents, True
            else:
                parents, shown = self._simplified(commit)
                shown = shown and self._wanted(commit)
            yield _Visit(commit, parents, shown)
            for parent in parents:
                push(parent)

    def _commit(self, commit_id: str) -> Commit:
        """A commit; the last few are at hand, for a parent is compared before it is visited."""
        commit = self._recent.get(commit_id)
        if commit is None:
            commit = self._objects.commit(commit_id)
            if len(self._recent) >= _RECENT:
                self._recent.clear()
            self._recent[commit_id] = commit
        return commit

    def _simplified(self, commit: Commit) -> tuple[tuple[str, ...], bool]:
        """The parents to follow, and whether the commit changes one of the paths."""
        parents = commit.parents[:1] if self._selection.first_parent else commit.parents
        if not self._simplify:
            return parents, True
        if not parents:
            return (), not self._same(commit.tree, None)
        for parent in parents:
            if self._same(commit.tree, self._commit(parent).tree):
                return (parent,), False
        return parents, True

    def _same(self, one: str, two: str | None) -> bool:
        if one == two:
            return True
        fits = self._selection.fits
        if fits is not None:
            return not any(fits(change.path) for change in trees.diff(self._objects, two, one))
        for path in self._paths:
            if not path:
                if not trees.same_content(self._objects, one, two):
                    return False
            elif trees.entry_at(self._objects, one, path) != (two and trees.entry_at(self._objects, two, path)):
                return False
        return True

    def _wanted(self, commit: Commit) -> bool:
        want = self._selection
        return (
            (want.until is None or commit.committer.time <= want.until)
            and (want.merges is None or want.merges == (len(commit.parents) > 1))
            and (self._author is None or self._author.search(str(commit.author)) is not None)
            and (self._grep is None or self._grep.search(commit.message) is not None)
            and (want.keep is None or want.keep(commit, self._objects))
        )


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text, re.MULTILINE)
    except re.error as error:
        raise UsageError(f"'{text}' is not a regular expression: {error}") from error


def _topological(visits: list[_Visit]) -> list[_Visit]:
    """Git's graph order: no parent before all its children, one line of development after another."""
    by_id = {visit.commit.id: visit for visit in visits}
    waiting = dict.fromkeys(by_id, 0)
    for visit in visits:
        for parent in visit.parents:
            if parent in waiting:
                waiting[parent] += 1
    ready = [visit for visit in visits if not waiting[visit.commit.id]]
    ready.reverse()
    done: list[_Visit] = []
    while ready:
        visit = ready.pop()
        done.append(visit)
        for parent in visit.parents:
            if parent in waiting:
                waiting[parent] -= 1
                if not waiting[parent]:
                    ready.append(by_id[parent])
    return done
