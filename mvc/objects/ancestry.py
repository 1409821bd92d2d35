"""Questions about descent: merge bases, is-ancestor, ahead and behind.

The algorithm of Git's `paint_down_to_common` (commit-reach.c): walk from both sides, newest first,
painting each commit with the sides that reach it; below a commit that both reach, all is stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush

from mvc.objects.reader import ObjectReader

_ONE, _TWO, _STALE = 1, 2, 4
_BOTH = _ONE | _TWO
_SLOP = 16
"""So many commits further goes who wants to know of each commit what reaches it, as Git does (`SLOP` in revision.c)."""


def merge_bases(objects: ObjectReader, one: str, others: Sequence[str]) -> list[str]:
    """The best common ancestors of `one` and (a merge of) `others`, newest first; none is another's ancestor."""
    if one in others:
        return [one]
    paint = _Painter(objects)
    paint.add(one, _ONE)
    for other in others:
        paint.add(other, _TWO)
    found = [commit for commit in list(paint.run()) if not paint.colours[commit] & _STALE]
    return _without_ancestors(objects, found) if len(found) > 1 else found


def merge_base(objects: ObjectReader, one: str, two: str) -> str | None:
    """The first of the merge bases, or None for unrelated histories."""
    found = merge_bases(objects, one, [two])
    return found[0] if found else None


def is_ancestor(objects: ObjectReader, ancestor: str, descendant: str) -> bool:
    """Whether `descendant` is `ancestor` or comes after it."""
    return ancestor == descendant or ancestor in merge_bases(objects, ancestor, [descendant])


def ahead_behind(objects: ObjectReader, ours: str, theirs: str) -> tuple[int, int]:
    """How many commits only `ours` has, and how many only `theirs`."""
    if ours == theirs:
        return 0, 0
    paint = _Painter(objects, slop=_SLOP)
    paint.add(ours, _ONE)
    paint.add(theirs, _TWO)
    for _ in paint.run():
        pass
    sides = [colour & _BOTH for colour in paint.colours.values()]
    return sides.count(_ONE), sides.count(_TWO)


def only_in(objects: ObjectReader, include: Iterable[str], exclude: Iterable[str]) -> set[str]:
    """All commits that `include` reach and `exclude` do not."""
    paint = _Painter(objects, stale_alone=_TWO, slop=_SLOP)
    for commit in include:
        paint.add(commit, _ONE)
    for commit in exclude:
        paint.add(commit, _TWO)
    for _ in paint.run():
        pass
    return {commit for commit, colour in paint.colours.items() if colour & _BOTH == _ONE}


class _Painter:
    def __init__(self, objects: ObjectReader, stale_alone: int = _STALE, slop: int = 0) -> None:
        """`stale_alone`: a commit with one of these colours needs no further look for its own sake. `slop`: so many
        are looked at all the same, and more where clocks were seen to lie: a path from one that claims to be old may
        lead to one that claims to be new."""
        self._objects = objects
        self._slop = slop
        self._lie = 0
        """By how many seconds a parent claimed to be younger than its child, at the most."""
        self._stale = _STALE | stale_alone
        self._queue: list[tuple[int, int, str]] = []
        self._known: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._fresh: set[str] = set()
        """The commits in the queue that are not stale; with none left, nothing new can be found."""
        self._oldest_fresh = 0
        self.colours: dict[str, int] = {}

    def add(self, commit_id: str, colour: int) -> None:
        """Paint a commit; if that is news, it is looked at (again: clocks lie, a child may come late)."""
        before = self.colours.get(commit_id, 0)
        now = before | colour
        if now == before:
            return
        self.colours[commit_id] = now
        if commit_id not in self._known:
            commit = self._objects.commit(commit_id)
            self._known[commit_id] = commit.committer.time, commit.parents
        time = self._known[commit_id][0]
        heappush(self._queue, (-time, len(self._known), commit_id))
        if now & self._stale:
            self._fresh.discard(commit_id)
        else:
            self._fresh.add(commit_id)
            self._oldest_fresh = min(self._oldest_fresh, time) if self._oldest_fresh else time

    def run(self) -> Iterator[str]:
        """Paint all; yields the commits that both sides reach, newest first (later ones may turn out stale)."""
        found: set[str] = set()
        left = self._slop
        while self._queue:
            # What is stale but not older than something fresh goes on, as in Git: clocks lie.
            if self._fresh or -self._queue[0][0] >= self._oldest_fresh - 2 * self._lie:
                left = self._slop
            elif left:
                left -= 1
            else:
                break
            _, _, commit = heappop(self._queue)
            self._fresh.discard(commit)
            colour = self.colours[commit]
            if colour & _BOTH == _BOTH and not colour & _STALE:
                if commit not in found:
                    found.add(commit)
                    yield commit
                colour |= _STALE
            time, parents = self._known[commit]
            for parent in parents:
                self.add(parent, colour)
                if self._slop:
                    self._lie = max(self._lie, self._known[parent][0] - time)


def _without_ancestors(objects: ObjectReader, commits: list[str]) -> list[str]:
    return [
        commit
        for commit in commits
        if not any(other != commit and is_ancestor(objects, commit, other) for other in commits)
    ]
