"""A file of a version, read at any place: only the chunks that are asked for come."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import accumulate
from threading import Lock

from mvc.errors import IntegrityError, NotFound, ParseError, UsageError
from mvc.objects import trees
from mvc.objects.chunklist import parse as parse_list
from mvc.objects.manifest import ChunkRef, ListRef
from mvc.objects.model import is_file, is_link, is_tree
from mvc.ops.model_file import ModelFile, describe_file
from mvc.ops.windows import Piece, windows
from mvc.repo.tensors import read_chunk
from mvc.sync.view import View

Buffer = bytes | bytearray | memoryview

_LISTS = 8
"""Chunk lists that are remembered: 64 GiB of a file."""
_FIRST_AHEAD = 1024 * 1024
_MOST_AHEAD = 8 * 1024 * 1024
_MAX_LINKS = 16


def open_model_file(view: View, commit: str, path: str) -> ModelFile:
    """The file of a commit; symbolic links inside the tree are followed. Raises NotFound, UsageError."""
    objects = view.objects
    tree = objects.commit(commit).tree
    wanted = path
    for _ in range(_MAX_LINKS):
        item = trees.entry_at(objects, tree, wanted)
        if item is None:
            raise NotFound(f"there is no '{path}' in {commit[:12]} of {view.url}")
        if is_tree(item.mode):
            raise UsageError(f"'{path}' is a folder of {commit[:12]}")
        if is_file(item.mode):
            return describe_file(objects, wanted, item)
        if not is_link(item.mode):
            break
        target = objects.blob(item.id).decode("utf-8", "surrogateescape")
        wanted = _joined(wanted, target)
    raise NotFound(f"'{path}' is a link that leads to no file of {commit[:12]}")


def _joined(path: str, target: str) -> str:
    parts = path.split("/")[:-1]
    if target.startswith("/"):
        raise NotFound(f"'{path}' is a link that leads out of the version")
    for part in target.split("/"):
        if part == "..":
            if not parts:
                raise NotFound(f"'{path}' is a link that leads out of the version")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


class RangedFile:
    """Bytes of a file at any place. Thread-safe."""

    def __init__(self, view: View, file: ModelFile) -> None:
        self._view, self._file = view, file
        self._segments = file.manifest.segments
        self._starts = list(accumulate((one.length for one in self._segments), initial=0))
        self._lists: OrderedDict[bytes, tuple[list[int], list[ChunkRef]]] = OrderedDict()
        self._lock = Lock()
        self.size = file.manifest.size

    @property
    def model(self) -> ModelFile:
        return self._file

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`, fewer only at the end of the file."""
        out = bytearray(max(0, min(length, self.size - offset)))
        self.read_into(offset, memoryview(out))
        return bytes(out)

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fill `out` from `offset`, which must not reach beyond the end. Raises MissingObject, IntegrityError, ..."""
        if self._file.blob is not None:
            out[:] = self._file.blob[offset : offset + len(out)]
            return
        parts = list(windows(self.pieces(offset, len(out))))
        if len(parts) == 1:
            self._window(parts[0], offset, out)
        elif parts:
            self._view.expect([ref.name for window in parts for _, ref, _ in window])
            with ThreadPoolExecutor(self._view.jobs, thread_name_prefix="read") as pool:
                list(pool.map(lambda window: self._window(window, offset, out), parts))

    def ensure(self, offset: int, length: int) -> None:
        """Say that these bytes will be read soon: what is lacking comes in few requests."""
        if self._file.blob is None:
            self._view.chunks.ensure(ref.name for _, ref, _ in self.pieces(offset, length))

    def pieces(self, offset: int, length: int) -> Iterator[Piece]:
        """(offset in the file, chunk, segment) of each chunk that holds some of these bytes."""
        end = min(offset + length, self.size)
        number = max(0, bisect_right(self._starts, offset) - 1)
        while number < len(self._segments) and self._starts[number] < end:
            yield from self._in_segment(number, offset, end)
            number += 1

    def _in_segment(self, number: int, offset: int, end: int) -> Iterator[Piece]:
        segment, start = self._segments[number], self._starts[number]
        for ref in segment.chunks:
            if start >= end:
                return
            if start + ref.size > offset:
                yield start, ref, segment
            start += ref.size
        for listed in segment.lists:
            if start >= end:
                return
            if start + listed.length > offset:
                starts, refs = self._list(listed)
                first = max(0, bisect_right(starts, offset - start) - 1)
                for at in range(first, len(refs)):
                    if start + starts[at] >= end:
                        return
                    yield start + starts[at], refs[at], segment
            start += listed.length

    def _list(self, listed: ListRef) -> tuple[list[int], list[ChunkRef]]:
        with self._lock:
            found = self._lists.get(listed.name)
        if found is None:
            try:
                refs = parse_list(bytes(self._view.chunks.read(listed.name)))
            except ParseError as error:
                raise IntegrityError(f"{self._file.path}: {error.message}") from error
            if len(refs) != listed.count or sum(ref.size for ref in refs) != listed.length:
                raise IntegrityError(f"{self._file.path}: a chunk list does not hold what its manifest says")
            found = list(accumulate((ref.size for ref in refs[:-1]), initial=0)), refs
            with self._lock:
                self._lists[listed.name] = found
                while len(self._lists) > _LISTS:
                    self._lists.popitem(last=False)
        return found

    def _window(self, pieces: list[Piece], offset: int, out: memoryview) -> None:
        with self._view.batch([ref.name for _, ref, _ in pieces]) as records:
            for start, ref, segment in pieces:
                data = memoryview(read_chunk(records, ref, segment, self._file.path)).cast("B")
                skip = max(0, offset - start)
                at = max(0, start - offset)
                part = data[skip : skip + len(out) - at]
                out[at : at + len(part)] = part


class RawFile(io.RawIOBase):
    """The file as Python's own files are: to be wrapped in io.BufferedReader. Reads ahead of who reads in order.

    `closing` is closed with it. Not for several threads.
    """

    def __init__(self, file: RangedFile, closing: ExitStack) -> None:
        super().__init__()
        self.file = file
        self.name = file.model.path
        self._closing = closing
        self._at = 0
        self._expected = -1
        self._ahead = 0
        self._known = 0
        """Up to here it was read ahead."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check()
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._check()
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.file.size}.get(whence)
        if start is None:
            raise ValueError(f"invalid whence ({whence})")
        if start + offset < 0:
            raise ValueError(f"negative seek position {start + offset}")
        self._at = start + offset
        return self._at

    def readinto(self, out: memoryview, /) -> int:  # type: ignore[override]
        self._check()
        view = memoryview(out).cast("B")
        view = view[: max(0, min(len(view), self.file.size - self._at))]
        if view:
            self._look_ahead(len(view))
            self.file.read_into(self._at, view)
            self._at += len(view)
            self._expected = self._at
        return len(view)

    def readall(self) -> bytes:
        self._check()
        data = self.file.read_at(self._at, self.file.size - self._at)
        self._at += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._closing.close()

    def _look_ahead(self, length: int) -> None:
        if self._at != self._expected:
            self._ahead = self._known = 0
            return
        end = self._at + length
        if end > self._known and length < _MOST_AHEAD:
            self._ahead = min(max(2 * self._ahead, _FIRST_AHEAD), _MOST_AHEAD)
            self.file.ensure(self._at, length + self._ahead)
            self._known = end + self._ahead

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
