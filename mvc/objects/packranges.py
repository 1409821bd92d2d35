"""Looking up a few objects in a Git pack's index that is elsewhere, by ranges: when it is large, and few are wanted.

Ids are as good as random, so where one stands among those with its first byte is known up to the square root of their
number. What is read so is not checked against the index's own checksum: an object that is read is held against its id.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from math import isqrt

from mvc.errors import IntegrityError

ReadAt = Callable[[int, int], bytes]
"""(offset, length) to exactly so many bytes. Raises IntegrityError."""

_MAGIC = b"\xfftOc\0\0\0\x02"
_IDS = 8 + 1024
_LARGE = 0x80000000
_SPREAD = 2
_ID = 20
_TRIES = 3
"""So often a window is made wider. In an index that is what it should be, the first one holds the id."""
_MOST = 1 << 21
"""Ids with one first byte, at the most, among which a prefix is looked for: an index of half a thousand million."""


class RangedPackIndex:
    """A version 2 index of `size` bytes behind `read_at`. Raises IntegrityError where it is none."""

    def __init__(self, read_at: ReadAt, size: int) -> None:
        self._read_at = read_at
        head = read_at(0, _IDS)
        if head[:8] != _MAGIC:
            raise IntegrityError("what came is no pack index of version 2")
        fanout = struct.unpack_from(">256I", head, 8)
        self._fanout = (0, *fanout)
        self.count: int = fanout[255]
        self._offsets = _IDS + (_ID + 4) * self.count
        self._large = self._offsets + 4 * self.count
        extra = size - 40 - self._large
        if extra < 0 or extra % 8 or any(a > b for a, b in pairwise(fanout)):
            raise IntegrityError("a pack index that came does not hold together")
        self._large_count = extra // 8

    def find(self, raw_id: bytes) -> int | None:
        """The offset of an object in the pack, or None. Two or three reads."""
        first = raw_id[0]
        begin, end = self._fanout[first], self._fanout[first + 1]
        guess = begin + ((end - begin) * int.from_bytes(raw_id[1:5]) >> 32)
        radius = _SPREAD * isqrt(end - begin) + 8
        for _ in range(_TRIES):
            low, high = max(begin, guess - radius), min(end, guess + radius)
            if low >= high:
                return None
            ids = self._ids(low, high)
            if raw_id in ids:
                return self._offset(low + ids.index(raw_id))
            if (low == begin or ids[0] < raw_id) and (high == end or raw_id < ids[-1]):
                return None
            radius *= 4
        raise IntegrityError("the ids of a pack index that came are not where they should be")

    def with_prefix(self, prefix: str) -> list[str]:
        """All ids here that begin with these hex digits, two or more."""
        first = int(prefix[:2], 16)
        begin, end = self._fanout[first], self._fanout[first + 1]
        if end - begin > _MOST:
            raise IntegrityError("the ids of a pack index that came are not where they should be")
        found = self._ids(begin, end) if begin < end else []
        return [one.hex() for one in found if one.hex().startswith(prefix)]

    def _ids(self, low: int, high: int) -> list[bytes]:
        data = self._read_at(_IDS + _ID * low, _ID * (high - low))
        return [data[at : at + _ID] for at in range(0, len(data), _ID)]

    def _offset(self, at: int) -> int:
        offset = int.from_bytes(self._read_at(self._offsets + 4 * at, 4))
        if offset & _LARGE:
            number = offset & ~_LARGE
            if number >= self._large_count:
                raise IntegrityError("a pack index that came refers to an offset that it does not hold")
            offset = int.from_bytes(self._read_at(self._large + 8 * number, 8))
        return offset
