"""Reading objects by id: what a database, and a batch that is not sealed yet, have in common."""

from __future__ import annotations

from mvc.errors import IntegrityError, MissingObject
from mvc.objects import encoding
from mvc.objects.model import EMPTY_TREE, Commit, Kind, TagObject, TreeEntry

_CACHED_TREES = 256
_CACHED_TREE_BYTES = 256 * 1024


class ObjectReader:
    """Typed reads on top of `raw`. Every read verifies the SHA-1 of what it returns.

    All methods that take an id raise MissingObject if no such object is there, and
    IntegrityError if its bytes do not hash to it or if it is of another kind.
    """

    def __init__(self) -> None:
        self._trees: dict[str, list[TreeEntry]] = {}

    def raw(self, object_id: str) -> tuple[Kind, bytes]:
        """The kind and the content of an object."""
        raise NotImplementedError

    def kind(self, object_id: str) -> Kind:
        """What an object is."""
        return self.raw(object_id)[0]

    def size(self, object_id: str) -> int:
        """The length of an object's content in bytes."""
        return len(self.raw(object_id)[1])

    def contains(self, object_id: str) -> bool:
        """Whether the object is there (unread, so possibly damaged)."""
        raise NotImplementedError

    @property
    def shallow(self) -> frozenset[str]:
        """The commits at which a shallow history ends (mvc.objects.shallow)."""
        return frozenset()

    def commit(self, commit_id: str) -> Commit:
        """The commit with this id (no tag is peeled). Where a shallow history ends, it has no parents."""
        found = encoding.parse_commit(commit_id, self._expect(commit_id, "commit"))
        return found._replace(parents=()) if commit_id in self.shallow else found

    def tree(self, tree_id: str) -> list[TreeEntry]:
        """The entries of a tree, in Git's order. The list is shared: do not change it."""
        entries = self._trees.get(tree_id)
        if entries is None:
            data = self.tree_data(tree_id)
            entries = encoding.parse_tree(data)
            if len(data) <= _CACHED_TREE_BYTES:
                while len(self._trees) >= _CACHED_TREES:
                    self._trees.pop(next(iter(self._trees)), None)
                self._trees[tree_id] = entries
        return entries

    def blob(self, blob_id: str) -> bytes:
        """The content of a blob."""
        return self._expect(blob_id, "blob")

    def blob_within(self, blob_id: str, most: int) -> bytes | None:
        """The content of a blob; None, and not read, if it is of more than `most` bytes."""
        return None if self.size(blob_id) > most else self._expect(blob_id, "blob")

    def tree_data(self, tree_id: str) -> bytes:
        """The bytes of a tree."""
        return b"" if tree_id == EMPTY_TREE else self._expect(tree_id, "tree")

    def tag(self, tag_id: str) -> TagObject:
        """The annotated tag with this id."""
        return encoding.parse_tag(tag_id, self._expect(tag_id, "tag"))

    def peel(self, object_id: str, to: Kind | None = None) -> str:
        """Follow annotated tags from `object_id`; with `to="tree"` also from a commit to its tree.

        Raises IntegrityError if what is reached is not a `to`.
        """
        kind = self.kind(object_id)
        while kind == "tag" and to != "tag":
            object_id = self.tag(object_id).target
            kind = self.kind(object_id)
        if kind == "commit" and to == "tree":
            return self.commit(object_id).tree
        if to is not None and kind != to:
            raise IntegrityError(f"{object_id} is a {kind}, not a {to}")
        return object_id

    def _expect(self, object_id: str, kind: Kind) -> bytes:
        found, data = self.raw(object_id)
        if found != kind:
            raise IntegrityError(f"{object_id} is a {found}, not a {kind}")
        return data


def missing(object_id: str) -> MissingObject:
    """The error for an object that is not there."""
    return MissingObject(f"object {object_id} is missing", hint="mvc fsck")
