"""Writing many objects as one pack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mvc.objects.model import Kind, Signature, TreeEntry
from mvc.objects.reader import ObjectReader


class ObjectBatch(ObjectReader):
    """New objects, streamed to a pack that gets its name when `seal` is called.

    Thread-safe: `blob` hashes and compresses in the calling thread. What the batch holds can be
    read through it at once; what it does not hold is read from the database beneath. Use it in a
    `with` block: leaving without `seal` throws the new objects away.
    """

    def __enter__(self) -> ObjectBatch:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    def add(self, kind: Kind, data: bytes) -> str:
        """Add an object by its content, and return its id. One that exists is not written again."""
        raise NotImplementedError

    def blob(self, data: bytes) -> str:
        """Add a blob."""
        return self.add("blob", data)

    def tree(self, entries: Iterable[TreeEntry]) -> str:
        """Add a tree with these entries (in any order). Names are guarded: raises UnsafePath."""
        raise NotImplementedError

    def commit(self, tree: str, parents: Sequence[str], author: Signature, committer: Signature, message: str) -> str:
        """Add a commit."""
        raise NotImplementedError

    def tag(self, target: str, kind: Kind, name: str, tagger: Signature, message: str) -> str:
        """Add an annotated tag that points to `target`, an object of kind `kind`."""
        raise NotImplementedError

    def seal(self, keep: str | None = None) -> Path | None:
        """Make the new objects durable and visible, as one pack and its idx, all fsynced.

        Returns the pack's path, or None if there was nothing to write. `keep` replaces the label
        given to `Objects.batch`. The batch is empty afterwards and may be filled again.
        """
        raise NotImplementedError

    def discard(self) -> None:
        """Throw away what is not sealed."""
        raise NotImplementedError
