"""Files of a version that describe those beside them (`.onnx`, `.metadata`), where they are on no disk."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate

from mvc.errors import NotFound
from mvc.formats.base import ReadAt
from mvc.formats.beside import describes
from mvc.objects.manifest import is_manifest, parse
from mvc.objects.model import TreeItem, is_file
from mvc.objects.reader import ObjectReader
from mvc.repo.tensors import Buffer, ChunkSource, file_chunks, read_chunk


class VersionFiles:
    """Of a tree's `items`, and `contents` that are to be in it."""

    def __init__(
        self, objects: ObjectReader, chunks: ChunkSource, items: Mapping[str, TreeItem], contents: Mapping[str, bytes]
    ) -> None:
        self._objects, self._chunks = objects, chunks
        self._items = {path: item for path, item in items.items() if describes(path) and is_file(item.mode)}
        self._contents = {path: content for path, content in contents.items() if describes(path)}

    def names(self, folder: str) -> Sequence[str]:
        """The bare names of those that are in a folder ("" is the top), in no order."""
        parts = (path.rpartition("/") for path in (*self._items, *self._contents))
        return [name for above, _, name in parts if above == folder]

    @contextmanager
    def open(self, path: str) -> Iterator[tuple[ReadAt, int]]:
        """Read one: (read_at, size). Raises NotFound, MissingObject, IntegrityError."""
        blob = self._contents.get(path)
        if blob is None:
            if path not in self._items:
                raise NotFound(f"there is no '{path}'")
            blob = self._objects.blob(self._items[path].id)
            if is_manifest(blob):
                chunked = ChunkedFile(self._chunks, blob)
                yield chunked.read_at, chunked.size
                return
        content = blob

        def read_at(offset: int, length: int, /) -> bytes:
            return content[offset : offset + length]

        yield read_at, len(content)


class ChunkedFile:
    """A chunked file, read at any place; the chunk that was read last is kept, for headers are read bit by bit."""

    def __init__(self, chunks: ChunkSource, blob: bytes) -> None:
        manifest = parse(blob)
        self.size = manifest.size
        self._chunks = chunks
        self._pieces = [(ref, segment) for _, ref, segment in file_chunks(chunks, manifest)]
        self._starts = list(accumulate((ref.size for ref, _ in self._pieces), initial=0))
        self._last: tuple[int, Buffer] = (-1, b"")

    def read_at(self, offset: int, length: int, /) -> bytes:
        """Up to `length` bytes from `offset`, fewer only at the end."""
        end = min(offset + length, self.size)
        parts = []
        while offset < end:
            number = bisect_right(self._starts, offset) - 1
            if self._last[0] != number:
                self._last = number, read_chunk(self._chunks, *self._pieces[number])
            begin = self._starts[number]
            stop = min(end, self._starts[number + 1])
            parts.append(bytes(memoryview(self._last[1])[offset - begin : stop - begin]))
            offset = stop
        return b"".join(parts)
