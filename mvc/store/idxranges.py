"""Looking up a few chunks in an idx that is elsewhere, by ranges: when it is large, and few are wanted.

Names are hashes, so where one stands in the sorted table is known up to the square root of their number: one read of
a window finds it, where the fanout would take another one before it. What is read so is not checked against the idx's
id. It need not be: a chunk is held against its name, wherever it is said to lie.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from math import isqrt

from mvc.errors import IntegrityError, UnsupportedFormat
from mvc.store.idx import ENTRY, HEADER, MAGIC, MAX_FAN_BITS, PACK, VERSION, sections
from mvc.store.records import MAX_BASES, NAME_SIZE, Location

ReadAt = Callable[[int, int], bytes]
"""(offset, length) to exactly so many bytes. Raises IntegrityError."""

_FIRST = 4096
_MAX_PACKS = 1 << 20
_COPIES = 32
"""More copies of a chunk than these are not looked at."""
_TRIES = 3
"""So often a window is made wider. In a table that is what it should be, the first one holds the name."""
_SPREAD = 2
"""The window reaches this many square roots of the count to each side: four standard deviations or more."""


class RangedIdx:
    """An idx of `size` bytes behind `read_at`. Raises IntegrityError, UnsupportedFormat where it is none."""

    def __init__(self, read_at: ReadAt, size: int) -> None:
        self._read_at = read_at
        first = read_at(0, min(_FIRST, size))
        if len(first) < HEADER.size:
            raise IntegrityError("an idx is cut short")
        magic, version, bits, zero, packs, records, bases = HEADER.unpack_from(first)
        if magic != MAGIC:
            raise IntegrityError("it does not begin as an idx does")
        if version != VERSION or zero != 0:
            raise UnsupportedFormat(f"an idx of version {version}: this mvc does not know it")
        self._at = sections(packs, bits, records, bases)
        if bits > MAX_FAN_BITS or packs > _MAX_PACKS or self._at.size != size:
            raise IntegrityError("an idx has not the size that its header tells")
        self._records, self._bases = records, bases
        end = self._at.fanout
        table = first[HEADER.size : end]
        if end > len(first):
            table += read_at(len(first), end - len(first))
        self.packs: list[tuple[bytes, int]] = list(PACK.iter_unpack(table))

    def copies(self, name: bytes) -> list[Location]:
        """Where the idx says that the chunk lies; the least depth first. Two or three reads."""
        numbers = self._find(name)[:_COPIES]
        if not numbers:
            return []
        rows = self._read_at(self._at.entries + ENTRY.size * numbers.start, ENTRY.size * len(numbers))
        return [self._location(row) for row in ENTRY.iter_unpack(rows)]

    def _find(self, name: bytes) -> range:
        """The numbers of the records of that name."""
        count = self._records
        guess = int.from_bytes(name[:8]) * count >> 64
        radius = _SPREAD * isqrt(count) + 8
        for _ in range(_TRIES):
            low, high = max(0, guess - radius), min(count, guess + radius)
            if low >= high:
                return range(0)
            window = self._read_at(self._at.names + NAME_SIZE * low, NAME_SIZE * (high - low))
            names = [window[at : at + NAME_SIZE] for at in range(0, len(window), NAME_SIZE)]
            begin, end = bisect_left(names, name), bisect_right(names, name)
            whole = (begin > 0 or low == 0) and (end < len(names) or high == count)
            if whole:
                return range(low + begin, low + end)
            radius *= 4
        raise IntegrityError("the names of an idx are not where they should be")

    def _location(self, row: tuple[int, ...]) -> Location:
        offset, raw, stored, pack, base, codec, depth, nbases, nparams = row
        if pack >= len(self.packs) or nbases > MAX_BASES or base + nbases > self._bases:
            raise IntegrityError("an idx points to what it does not list")
        bases: tuple[bytes, ...] = ()
        if nbases:
            data = self._read_at(self._at.bases + NAME_SIZE * base, NAME_SIZE * nbases)
            bases = tuple(data[at : at + NAME_SIZE] for at in range(0, len(data), NAME_SIZE))
        return Location(self.packs[pack][0], offset, raw, stored, codec, depth, nparams, bases)
