"""Writing many objects as one pack."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from mvc.objects import encoding, paths
from mvc.objects.model import Kind, Signature, TreeEntry
from mvc.objects.packwriter import PackWriter
from mvc.objects.reader import ObjectReader


class Destination(Protocol):
    """What a batch needs of the database that it writes to."""

    def new_pack(self) -> PackWriter:
        """Begin a pack."""

    def known(self, keep: str | None) -> Callable[[bytes], bool]:
        """A test whether an object (by its 20 bytes) need not be written for a batch with this label."""

    def sealed(self, idx_path: Path, keep: str | None) -> None:
        """A new pack with this label is visible."""


class ObjectBatch:
    """New objects, streamed to a pack that gets its name when `seal` is called.

    Thread-safe: `blob` hashes and compresses in the calling thread. Use it in a `with` block:
    leaving without `seal` throws the new objects away. `reader` reads what the batch holds, and
    what it does not hold from the database beneath.
    """

    def __init__(self, destination: Destination, beneath: ObjectReader, keep: str | None) -> None:
        self._destination = destination
        self._keep = keep
        self._writer: PackWriter | None = None
        self._lock = threading.Lock()
        self._known = destination.known(keep)
        self.reader: ObjectReader = _Overlay(self, beneath)

    def __enter__(self) -> ObjectBatch:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    def __len__(self) -> int:
        """How many new objects wait to be sealed."""
        return len(self._writer) if self._writer is not None else 0

    def add(self, kind: Kind, data: bytes) -> str:
        """Add an object by its content, and return its id. One that exists is not written again."""
        raw_id = encoding.raw_object_id(kind, data)
        writer = self._writer
        if (writer is None or raw_id not in writer) and not self._known(raw_id):
            (writer or self._pack()).add(raw_id, kind, data)
        return raw_id.hex()

    def _pack(self) -> PackWriter:
        with self._lock:
            if self._writer is None:
                self._writer = self._destination.new_pack()
            return self._writer

    def blob(self, data: bytes) -> str:
        """Add a blob."""
        return self.add("blob", data)

    def tree(self, entries: Iterable[TreeEntry], *, root: bool = False) -> str:
        """Add a tree with these entries (in any order). Names are guarded: raises UnsafePath.

        `.mvcmeta` is allowed only with `root`.
        """
        rows = list(entries)
        paths.check_entries(rows, root=root)
        return self.add("tree", encoding.dump_tree(rows))

    def commit(self, tree: str, parents: Sequence[str], author: Signature, committer: Signature, message: str) -> str:
        """Add a commit."""
        return self.add("commit", encoding.dump_commit(tree, parents, author, committer, message))

    def tag(self, target: str, kind: Kind, name: str, tagger: Signature, message: str) -> str:
        """Add an annotated tag that points to `target`, an object of kind `kind`."""
        return self.add("tag", encoding.dump_tag(target, kind, name, tagger, message))

    def written(self, raw_id: bytes) -> tuple[Kind, bytes] | None:
        """An object that waits in this batch, or None."""
        return self._writer.read(raw_id) if self._writer is not None else None

    def seal(self) -> Path | None:
        """Make the new objects durable and visible, as one pack and its idx, all fsynced.

        Returns the pack's path, or None if there was nothing to write. The batch is empty
        afterwards and may be filled again.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return None
        try:
            idx_path = writer.seal(self._keep)
        except BaseException:
            writer.discard()
            raise
        self._destination.sealed(idx_path, self._keep)
        self._known = self._destination.known(self._keep)
        return idx_path.with_suffix(".pack")

    def discard(self) -> None:
        """Throw away what is not sealed."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.discard()


class _Overlay(ObjectReader):
    """Reads a batch, and beneath it the database."""

    def __init__(self, batch: ObjectBatch, beneath: ObjectReader) -> None:
        super().__init__()
        self._batch = batch
        self._beneath = beneath

    def raw(self, object_id: str) -> tuple[Kind, bytes]:
        return self._batch.written(bytes.fromhex(object_id)) or self._beneath.raw(object_id)

    def contains(self, object_id: str) -> bool:
        return self._batch.written(bytes.fromhex(object_id)) is not None or self._beneath.contains(object_id)
