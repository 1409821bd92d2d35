"""One idx file: where the chunks of some packs lie. Immutable, mapped, searched without numpy.

The byte table is in docs/format/idx.md:

    header (64) | packs (40 each) | fanout (4 each) | names (32 each) | entries (28 each) | bases (32 each) | id (32)

Opening reads the header alone and holds the sizes against the file's; the id, a BLAKE3 over
all before it, is checked by fsck, and by whoever makes another idx or removes chunks on its word.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mvc import fsio
from mvc.errors import IntegrityError, UnsupportedFormat
from mvc.hashing import digest
from mvc.store.records import NAME_SIZE, Location

MAGIC = b"mvcidx\0\0"
VERSION = 1
HEADER = struct.Struct("<8sHBBIQQ32x")
"""magic, version, bits of the fanout, 0, packs, records, bases, reserved (zero)."""
PACK = struct.Struct("<32sQ")
"""id, size of the pack's file."""
ENTRY = struct.Struct("<QIIIIBBBB")
"""offset, raw size, stored size, pack (its number in the table), first base, codec, depth, bases, length of params."""
ID_SIZE = 32
MAX_FAN_BITS = 24
PER_BUCKET = 8
"""Names in a bucket of the fanout, about."""


def fan_bits(records: int) -> int:
    """How many bits of a name the fanout of so many records is over."""
    return min(MAX_FAN_BITS, max(0, (records // PER_BUCKET).bit_length()))


@dataclass(frozen=True, slots=True)
class Sections:
    """Where the parts of an idx begin, in bytes from its start."""

    packs: int
    fanout: int
    names: int
    entries: int
    bases: int
    id: int
    size: int


def sections(packs: int, bits: int, records: int, bases: int) -> Sections:
    fanout = HEADER.size + PACK.size * packs
    names = fanout + 4 * ((1 << bits) + 1)
    entries = names + NAME_SIZE * records
    base_table = entries + ENTRY.size * records
    trailer = base_table + NAME_SIZE * bases
    return Sections(HEADER.size, fanout, names, entries, base_table, trailer, trailer + ID_SIZE)


class Idx:
    """An idx file, open. It is closed when nothing refers to it any more."""

    __slots__ = ("_bucket", "_data", "_shift", "at", "bases", "bits", "packs", "path", "records")

    def __init__(self, path: Path, *, mapped: bool = True, wary: bool = False) -> None:
        """Raises FileNotFoundError, IntegrityError if it is no sound idx, UnsupportedFormat if a newer one.

        `mapped` or else read whole; `wary`: others may change the file, so it is read where it is looked up.
        """
        self.path = path
        self._data: mmap.mmap | bytes | Ranges = Ranges(path) if wary else _load(path, mapped)
        if len(self._data) < HEADER.size:
            raise IntegrityError(f"idx {path.name} is cut short")
        magic, version, bits, zero, packs, records, bases = HEADER.unpack(self._data[: HEADER.size])
        if magic != MAGIC:
            raise IntegrityError(f"{path.name} does not begin as an idx does")
        if version != VERSION or zero != 0:
            raise UnsupportedFormat(f"idx {path.name} is of version {version}: this mvc does not know it")
        self.at = sections(packs, bits, records, bases)
        if bits > MAX_FAN_BITS or self.at.size != len(self._data):
            raise IntegrityError(f"idx {path.name} has not the size that its header tells")
        self.records, self.bases, self.bits = records, bases, bits
        self._shift = 32 - bits
        self._bucket = struct.Struct("<II")
        table = self._data[self.at.packs : self.at.fanout]
        self.packs: list[tuple[bytes, int]] = list(PACK.iter_unpack(table))

    @property
    def data(self) -> mmap.mmap | bytes:
        """The whole file."""
        return self._data[:] if isinstance(self._data, Ranges) else self._data

    @property
    def size(self) -> int:
        return self.at.size

    def find(self, name: bytes) -> int:
        """The number of the first record of that name, or -1. Takes about a microsecond."""
        at = self.at.fanout + 4 * (int.from_bytes(name[:4]) >> self._shift)
        lo, hi = self._bucket.unpack(self._data[at : at + 8])
        if not lo < hi <= self.records:
            return -1
        start = self.at.names
        end = start + NAME_SIZE * hi
        found = self._data.find(name, start + NAME_SIZE * lo, end)
        while found >= 0 and (found - start) % NAME_SIZE:  # across two names: as good as never
            found = self._data.find(name, found + 1, end)
        return -1 if found < 0 else (found - start) // NAME_SIZE

    def find_all(self, name: bytes) -> list[int]:
        """The numbers of all records of that name: copies in several packs, the least depth first."""
        number = self.find(name)
        found: list[int] = []
        while number >= 0 and number < self.records and self.name(number) == name:
            found.append(number)
            number += 1
        return found

    def name(self, number: int) -> bytes:
        start = self.at.names + NAME_SIZE * number
        return self._data[start : start + NAME_SIZE]

    def location(self, number: int) -> Location:
        """What the idx knows of a record."""
        offset, raw, stored, pack, base, codec, depth, nbases, nparams = self._entry(number)
        bases = self._base_names(base, nbases) if nbases else ()
        return Location(self._pack_id(pack), offset, raw, stored, codec, depth, nparams, bases)

    def __iter__(self) -> Iterator[tuple[bytes, Location]]:
        """All names with their locations, in the order of names."""
        for number in range(self.records):
            yield self.name(number), self.location(number)

    def names(self) -> Iterator[bytes]:
        for number in range(self.records):
            yield self.name(number)

    def check(self) -> None:
        """Raises IntegrityError unless every byte is as it was written and the file has its right name."""
        with memoryview(self.data) as view:
            found = digest(view[: self.at.id])
            if found != view[self.at.id :] or self.path.name != f"{found.hex()}.idx":
                raise IntegrityError(f"idx {self.path.name} has been changed: its bytes do not match its id")

    def _entry(self, number: int) -> tuple[int, ...]:
        start = self.at.entries + ENTRY.size * number
        return ENTRY.unpack(self._data[start : start + ENTRY.size])

    def _pack_id(self, number: int) -> bytes:
        if number >= len(self.packs):
            raise IntegrityError(f"idx {self.path.name} points to a pack that it does not list")
        return self.packs[number][0]

    def _base_names(self, first: int, count: int) -> tuple[bytes, ...]:
        if first + count > self.bases:
            raise IntegrityError(f"idx {self.path.name} points to a base that it does not list")
        start = self.at.bases + NAME_SIZE * first
        table = self._data[start : start + NAME_SIZE * count]
        return tuple(table[at : at + NAME_SIZE] for at in range(0, len(table), NAME_SIZE))


class Ranges:
    """A file of which each slice is read when it is asked for. It may not get shorter meanwhile."""

    __slots__ = ("_file", "_size", "path")

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError; IntegrityError for what is no file."""
        self.path = path
        self._file = fsio.RandomFile(path)
        found = self._file.stat()
        self._size = found.st_size
        if not stat.S_ISREG(found.st_mode):
            raise IntegrityError(f"idx {path.name} is no regular file")

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        """Raises IntegrityError where the file ends before."""
        start, stop, _ = part.indices(self._size)
        return self._file.read_exact(start, stop - start)

    def find(self, wanted: bytes, start: int, stop: int) -> int:
        """As bytes.find."""
        found = self[start:stop].find(wanted)
        return found if found < 0 else start + found


def _load(path: Path, mapped: bool) -> mmap.mmap | bytes:
    fd = os.open(path, os.O_RDONLY | fsio.NO_WAIT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        found = os.fstat(fd)
        size = found.st_size
        if not stat.S_ISREG(found.st_mode):
            raise IntegrityError(f"idx {path.name} is no regular file")
        if mapped and size:
            return mmap.mmap(fd, size, access=mmap.ACCESS_READ)
        with open(fd, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(fd)
