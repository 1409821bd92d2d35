"""Everything that a set of tips reaches: for gc, fsck and transfers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from mvc.errors import IntegrityError, MvcError, ParseError
from mvc.objects.model import FILE, LINK, SUBMODULE, TREE, Kind
from mvc.objects.reader import ObjectReader

_Read = TypeVar("_Read")
_LINKED = "l"
"""Behind an id in `seen`: so far this blob was found as a symbolic link's target only."""


class Reached(NamedTuple):
    """An object. `path` is the first path it was found at (blobs and trees), `mode` a blob's mode there,
    `commit` the commit through which it was found first ("" below a bare tree or tag).

    Each comes once; but a blob that is a symbolic link here and a file there comes as each,
    since only the file can be a manifest.
    """

    kind: Kind
    id: str
    path: str
    mode: int
    commit: str


OnError = Callable[[Reached, MvcError], None]
"""Told of an object that is missing or damaged: where it should be, and what is wrong."""


def walk_objects(
    objects: ObjectReader, tips: Iterable[str], *, seen: set[str] | None = None, on_error: OnError | None = None
) -> Iterator[Reached]:
    """Every object that `tips` (any kind) reach. `seen` holds ids that are known, and collects those found.

    Blobs are not read. Without `on_error`, a missing or damaged object raises; with it, the walk goes on.
    """
    walk = _Walk(objects, set() if seen is None else seen, on_error)
    pending = list(tips)
    while pending:
        object_id = pending.pop()
        if object_id in walk.seen:
            continue
        kind = walk.attempt(objects.kind, Reached("commit", object_id, "", 0, ""))
        if kind == "tag":
            walk.seen.add(object_id)
            yield Reached("tag", object_id, "", 0, "")
            tag = walk.attempt(objects.tag, Reached("tag", object_id, "", 0, ""))
            if tag is not None:
                pending.append(tag.target)
        elif kind == "commit":
            yield from walk.commits(object_id)
        elif kind == "tree":
            yield from walk.tree(object_id, "")
        elif kind == "blob":
            yield from walk.blob(object_id, FILE, "", "")


class _Walk:
    def __init__(self, objects: ObjectReader, seen: set[str], on_error: OnError | None) -> None:
        self._objects = objects
        self._on_error = on_error
        self.seen = seen

    def attempt(self, read: Callable[[str], _Read], wanted: Reached) -> _Read | None:
        """Read an object; None (and the error told) if it cannot be read and somebody listens."""
        try:
            return read(wanted.id)
        except (IntegrityError, ParseError) as error:
            if self._on_error is None:
                raise
            self.seen.add(wanted.id)
            self._on_error(wanted, error)
            return None

    def commits(self, tip: str) -> Iterator[Reached]:
        """A commit, its trees, its ancestors."""
        pending = [tip]
        while pending:
            commit_id = pending.pop()
            if commit_id in self.seen:
                continue
            self.seen.add(commit_id)
            found = Reached("commit", commit_id, "", 0, commit_id)
            commit = self.attempt(self._objects.commit, found)
            if commit is None:
                continue
            yield found
            yield from self.tree(commit.tree, commit_id)
            # The first parent is visited first, for it has most in common with this one.
            pending += [parent for parent in reversed(commit.parents) if parent not in self.seen]

    def tree(self, tree_id: str, commit: str) -> Iterator[Reached]:
        """A tree and all below it."""
        pending = [(tree_id, "")]
        while pending:
            tree_id, path = pending.pop()
            if tree_id in self.seen:
                continue
            self.seen.add(tree_id)
            found = Reached("tree", tree_id, path, TREE, commit)
            entries = self.attempt(self._objects.tree, found)
            if entries is None:
                continue
            yield found
            prefix = f"{path}/" if path else ""
            for name, mode, object_id in entries:
                if mode == TREE:
                    pending.append((object_id, prefix + name))
                elif mode != SUBMODULE:
                    yield from self.blob(object_id, mode, prefix + name, commit)

    def blob(self, blob_id: str, mode: int, path: str, commit: str) -> Iterator[Reached]:
        """A blob, unless it was found before in the same role."""
        link = blob_id + _LINKED
        if blob_id in self.seen:
            if mode == LINK or link not in self.seen:
                return
            self.seen.discard(link)
        else:
            self.seen.add(blob_id)
            if mode == LINK:
                self.seen.add(link)
        yield Reached("blob", blob_id, path, mode, commit)
