"""History of a remote by walking it, for who wants a part of it: the newest commits, or what a shallow one lacks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from mvc.backends.metered import MeteredBackend
from mvc.errors import IntegrityError, MissingObject, Refused
from mvc.objects import ancestry, encoding
from mvc.objects.model import SUBMODULE, TREE
from mvc.objects.reader import ObjectReader
from mvc.objects.receive import Incoming
from mvc.sync.remotes import Remote
from mvc.sync.state import State
from mvc.sync.viewobjects import RemoteObjects

_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the walk found the history to end: `ends` are commits whose parents it left out, `opened` commits that it
    went beyond."""

    ends: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)


class History:
    """A remote's Git objects, brought where they are needed. A context manager; what it keeps is temporary."""

    def __init__(self, remote: Remote, state: State) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mvc-")
        self._meter = MeteredBackend(remote.backend)
        self._there = RemoteObjects(self._meter, Path(self._folder.name))
        self._there.set_state(state)

    def __enter__(self) -> History:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._there.objects.close()
        self._folder.cleanup()

    @property
    def moved(self) -> int:
        """Bytes that came."""
        return self._meter.received

    def holds(self, object_ids: Collection[str]) -> set[str]:
        """Those of the objects that the remote has in a live pack."""
        self._there.bring(object_ids)
        return {one for one in object_ids if self._there.objects.here(one)}

    def take(
        self,
        incoming: Incoming,
        here: ObjectReader,
        tips: Sequence[str],
        *,
        depth: int | None,
        shallow: Collection[str],
        believed: bool = True,
        advance: Callable[[int], None] = lambda _: None,
    ) -> Cut:
        """Bring what `tips` reach, `depth` commits deep from each of them (None: all), and what is not `here`.

        Without a depth, what is behind a commit that is here is taken for known. `believed` false: what is behind
        trees that are here is looked at, too (some of it was lost). Raises IntegrityError for what the remote lacks.
        """
        walk = _Walk(self._there, incoming, here, believed, advance)
        cut = Cut()
        level = walk.peeled(tips)
        seen: set[str] = set()
        done = 0
        while level:
            done += 1
            walk.bring(level)
            seen.update(level)  # what is near by one way is not deeper by another
            following: dict[str, None] = {}
            trees: list[str] = []
            for commit_id in level:
                known = here.contains(commit_id)
                commit = encoding.parse_commit(commit_id, walk.take(commit_id, "commit"))
                if not known or not believed or depth is not None:
                    trees.append(commit.tree)
                if depth is None and known and believed:
                    continue
                if depth is not None and done >= depth:
                    cut.ends.add(commit_id)  # as Git, also if it is the first of all
                    continue
                if commit_id in shallow:
                    cut.opened.add(commit_id)
                following.update((parent, None) for parent in commit.parents if parent not in seen)
            walk.trees(trees)
            level = list(following)
        return cut

    def take_tags(self, incoming: Incoming, here: ObjectReader, tags: Collection[str]) -> None:
        """Bring those annotated tags whose commit is here, or has just come."""
        self._there.bring([tag for tag in tags if not here.contains(tag)])
        for tag in tags:
            objects = self._there.objects
            if here.contains(tag) or not objects.here(tag) or objects.kind(tag) != "tag":
                continue
            chain = [tag]
            target = objects.tag(tag).target
            while not incoming.contains(target) and objects.contains(target) and objects.kind(target) == "tag":
                chain.append(target)
                target = objects.tag(target).target
            if incoming.contains(target):
                for one in chain:
                    incoming.add(*objects.raw(one))


class _Walk:
    def __init__(
        self,
        there: RemoteObjects,
        incoming: Incoming,
        here: ObjectReader,
        believed: bool,
        advance: Callable[[int], None],
    ) -> None:
        self._there, self._incoming, self._here = there, incoming, here
        self._believed, self._advance = believed, advance
        self._seen: set[str] = set()

    def bring(self, object_ids: Iterable[str]) -> None:
        """Say that these will be taken, so that they come in few requests."""
        wanted = [one for one in object_ids if not self._incoming.contains(one)]
        for at in range(0, len(wanted), _BATCH):
            self._there.bring(wanted[at : at + _BATCH])

    def take(self, object_id: str, kind: str) -> bytes:
        """An object, from here or there; it is among what came afterwards."""
        try:
            if self._incoming.contains(object_id):
                found, data = self._incoming.raw(object_id)
            else:
                found, data = self._there.objects.raw(object_id)
                self._incoming.add(found, data)
                self._advance(1)
        except MissingObject as error:
            raise IntegrityError(f"the remote lacks object {object_id} of its history") from error
        if found != kind:
            raise IntegrityError(f"{object_id} is a {found}, not a {kind}")
        return data

    def peeled(self, tips: Sequence[str]) -> list[str]:
        """The commits that these stand for; tags on the way, and trees and blobs that have one, are taken."""
        self.bring(tips)
        commits: dict[str, None] = {}
        pending = list(tips)
        while pending:
            one = pending.pop(0)
            kind = (self._incoming if self._incoming.contains(one) else self._there.objects).kind(one)
            if kind == "commit":
                commits[one] = None
            elif kind == "tag":
                pending.append(encoding.parse_tag(one, self.take(one, "tag")).target)
            elif kind == "tree":
                self.trees([one])
            else:
                self.take(one, "blob")
        return list(commits)

    def trees(self, roots: Iterable[str]) -> None:
        """Trees and all below them, a level at a time."""
        level = self._new(roots)
        while level:
            self.bring(level)
            below: list[str] = []
            blobs: list[str] = []
            for tree_id in level:
                for _, mode, object_id in encoding.parse_tree(self.take(tree_id, "tree")):
                    if mode != SUBMODULE:
                        (below if mode == TREE else blobs).append(object_id)
            blobs = self._new(blobs)
            self.bring(blobs)
            for blob in blobs:
                self.take(blob, "blob")
            level = self._new(below)

    def _new(self, object_ids: Iterable[str]) -> list[str]:
        """Those that were not looked at yet, and are not here (or, where that proves nothing, may lack something)."""
        found = [
            one
            for one in dict.fromkeys(object_ids)
            if one not in self._seen and not (self._believed and self._here.contains(one))
        ]
        self._seen.update(found)
        return found


def ends_there(remote: Remote, state: State, tips: Sequence[str], have: Sequence[str]) -> list[str]:
    """The commits at which the history here ends that a push of `tips` would come to: the remote must have them, with
    all that is behind them. Raises Refused, as Git, if it does not: nobody could fetch that whole."""
    objects = remote.repo.objects
    peeled = [objects.peel(tip) for tip in dict.fromkeys(tips)]
    commits = [one for one in peeled if objects.kind(one) == "commit"]
    behind = [one for one in map(objects.peel, have) if objects.kind(one) == "commit"]
    ends = ancestry.only_in(objects, commits, behind) & objects.shallow
    if not ends:
        return []
    with History(remote, state) as history:
        lacking = ends - history.holds(sorted(ends))
    if lacking:
        where = f"the history here ends at {min(lacking)[:10]}, which {remote.backend.url} lacks"
        raise Refused(f"shallow update not allowed: {where}", hint="mvc fetch --unshallow")
    return sorted(ends)
