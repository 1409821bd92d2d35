"""Reading one Git pack: objects whole or as deltas, each verified by the caller through its id."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from mvc.errors import IntegrityError
from mvc.fsio import RandomFile
from mvc.objects.delta import apply_delta, result_size
from mvc.objects.model import Kind
from mvc.objects.packentry import (
    FIRST_READ,
    KIND_OF,
    TYPES,
    Entry,
    entry_from,
    read_entry,
    read_head,
    small_delta,
    whole_object,
)
from mvc.objects.packindex import PackIndex

_CACHE_BYTES = 8 * 1024 * 1024
_CACHED_BASE = 1024 * 1024
_MAX_CHAIN = 5000
"""Longer than any chain that git makes (4095); what goes on beyond is a circle."""

External = Callable[[bytes], tuple[Kind, bytes]]
"""Reads the base of a REF_DELTA that is not in the same pack (only in packs that were not completed)."""


class Pack:
    """`<name>.pack` with its index; both are opened when first used, and closed when nothing refers to it any more.

    So one that another process removed can go while a thread still reads from it.
    """

    def __init__(self, idx_path: Path, *, mapped: bool = True) -> None:
        self.name = idx_path.name.removesuffix(".idx")
        self.idx_path = idx_path
        self.path = idx_path.with_suffix(".pack")
        self._mapped = mapped
        self._index: PackIndex | None = None
        self._file: RandomFile | None = None
        self._lock = threading.Lock()
        self._bases: dict[int, tuple[int, bytes]] = {}
        self._base_bytes = 0

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def index(self) -> PackIndex:
        """The pack's index. Raises FileNotFoundError if another process removed the pack."""
        if self._index is None:
            with self._lock:
                if self._index is None:
                    self._index = PackIndex(self.idx_path, mapped=self._mapped)
        return self._index

    def file(self) -> RandomFile:
        """The open pack file. Raises FileNotFoundError as `index`."""
        if self._file is None:
            with self._lock:
                if self._file is None:
                    self._file = RandomFile(self.path)
        return self._file

    def opens(self) -> bool:
        """Whether the index can be used at all."""
        try:
            return self.index.count >= 0
        except (IntegrityError, FileNotFoundError):
            return False

    def find(self, raw_id: bytes) -> int | None:
        """The offset of an object, or None."""
        return (self._index or self.index).find(raw_id)

    def read(self, offset: int, external: External | None = None) -> tuple[Kind, bytes]:
        """The object at `offset`. Raises IntegrityError, naming the pack, if it cannot be read."""
        try:
            if offset in self._bases:
                entry = self._entry(offset)
            else:
                read_at = (self._file or self.file()).read_at
                data = read_at(offset, FIRST_READ)
                if (whole := whole_object(data)) is not None:
                    return whole
                entry = entry_from(data, read_at, offset)
            if entry.base is None:
                return KIND_OF[entry.type], entry.data
            return self._resolved(offset, entry.data, entry.base, external)
        except IntegrityError as error:
            raise IntegrityError(f"{self.path.name} at {offset}: {error.message}", hint="mvc fsck") from error

    def read_small(self, offset: int, most: int) -> tuple[Kind, bytes] | None:
        """As `read`, of an object of at most `most` bytes that takes little room in the pack; None for any other, and
        for what is damaged.
        """
        data = (self._file or self.file()).read_at(offset, FIRST_READ)
        if (whole := whole_object(data)) is not None:
            return whole if len(whole[1]) <= most else None
        found = small_delta(data, offset)
        if found is None:
            return None
        base, delta = found
        try:
            if result_size(delta) > most:
                return None
            return self._resolved(offset, delta, base, None)
        except IntegrityError:
            return None

    def _resolved(self, offset: int, delta: bytes, base: int | bytes, external: External | None) -> tuple[Kind, bytes]:
        """What `delta`, at `offset`, makes of its base, which may be a delta again."""
        deltas = [(offset, delta)]
        place = self._base_offset(base)
        for _ in range(_MAX_CHAIN):
            if isinstance(place, bytes):
                kind, data = _beyond(external)(place)
                return kind, self._unwind(deltas, TYPES[kind], data)
            entry = self._entry(place)
            if entry.base is None:
                self._remember(place, entry.type, entry.data)
                return KIND_OF[entry.type], self._unwind(deltas, entry.type, entry.data)
            deltas.append((place, entry.data))
            place = self._base_offset(entry.base)
        raise IntegrityError("a chain of deltas does not end")

    def _unwind(self, deltas: list[tuple[int, bytes]], type_number: int, data: bytes) -> bytes:
        """Apply a chain of deltas. What lies on the way is kept at hand: a walk through the history reads it next."""
        for index in range(len(deltas) - 1, -1, -1):
            offset, delta = deltas[index]
            data = apply_delta(data, delta)
            if index:
                self._remember(offset, type_number, data)
        return data

    def _entry(self, offset: int) -> Entry:
        cached = self._bases.get(offset)
        return Entry(cached[0], None, cached[1]) if cached else read_entry((self._file or self.file()).read_at, offset)

    def _base_offset(self, base: int | bytes) -> int | bytes:
        """Where in this pack a base is; its id, if it is not in this pack."""
        if isinstance(base, int):
            return base
        at = self.index.find(base)
        return base if at is None else at

    def _remember(self, offset: int, type_number: int, data: bytes) -> None:
        """Keep a base at hand: its deltas are often read next."""
        if len(data) > _CACHED_BASE or offset in self._bases:
            return
        with self._lock:
            while self._bases and self._base_bytes + len(data) > _CACHE_BYTES:
                _, gone = self._bases.pop(next(iter(self._bases)))
                self._base_bytes -= len(gone)
            self._bases[offset] = (type_number, data)
            self._base_bytes += len(data)

    def head(self, offset: int, external: External | None = None) -> tuple[Kind, int]:
        """The kind and size of the object at `offset`, without reading it whole."""
        read_at = self.file().read_at
        head, _ = read_head(read_at, offset)
        size = head.size
        if head.base is not None:
            size = result_size(read_head(read_at, offset, 32)[1])
        for _ in range(_MAX_CHAIN):
            if head.base is None:
                return KIND_OF[head.type], size
            base = self._base_offset(head.base)
            if isinstance(base, bytes):
                return _beyond(external)(base)[0], size
            head, _ = read_head(read_at, base)
        raise IntegrityError(f"{self.path.name}: a chain of deltas does not end")

    def spans(self) -> Iterator[tuple[bytes, int, int, int]]:
        """All objects in the order of the file: (id, CRC-32, offset, length in the pack)."""
        rows = self.index.rows()
        end = self.file().stat().st_size - 20
        for at, (name, crc, offset) in enumerate(rows):
            following = rows[at + 1][2] if at + 1 < len(rows) else end
            if following <= offset:
                raise IntegrityError(f"{self.idx_path.name} gives two objects one place")
            yield name, crc, offset, following - offset

    def mtime(self) -> float:
        """When the pack was written (or last found to hold something that was to be written again)."""
        return os.stat(self.path).st_mtime

    def close(self) -> None:
        """Close the files; they are opened again when needed."""
        with self._lock:
            if self._index is not None:
                self._index.close()
                self._index = None
            if self._file is not None:
                self._file.close()
                self._file = None


def _beyond(external: External | None) -> External:
    if external is None:
        raise IntegrityError("the base of a delta is missing")
    return external
