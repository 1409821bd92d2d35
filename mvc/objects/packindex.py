"""The index of one Git pack (`.idx`, version 2): from ids to offsets. Format: gitformat-pack(5)."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from hashlib import sha1
from itertools import pairwise
from math import isqrt
from pathlib import Path

from mvc.errors import IntegrityError

_MAGIC = b"\xfftOc\0\0\0\x02"
_IDS = 8 + 1024
_LARGE = 0x80000000
_MOST_IN_TABLE = 1 << 18
"""An index of at most so many objects is made a table of (some 40 MB) when much is looked up."""
_TABLE_PAYS = 16
"""To look an object up in the file takes as long as to put so many into the table."""

Row = tuple[bytes, int, int]
"""What an index says of an object: its id (20 bytes), the CRC-32 of its bytes in the pack, its offset."""


class PackIndex:
    """An index, mapped (or, on a network file system, read whole)."""

    def __init__(self, path: Path, *, mapped: bool = True) -> None:
        """Raises FileNotFoundError if it is gone, IntegrityError if its parts do not fit together."""
        self.path = path
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _IDS + 40:
                raise IntegrityError(f"{path} is cut short")
            self._data: mmap.mmap | bytes = (
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if mapped else file.read()
            )
        if self._data[:8] != _MAGIC:
            raise IntegrityError(f"{path} is no pack index of version 2", hint="git index-pack makes a new one")
        fanout = struct.unpack_from(">256I", self._data, 8)
        self._fanout = (0, *fanout)
        self.count: int = fanout[255]
        self._crcs = _IDS + 20 * self.count
        self._offsets = self._crcs + 4 * self.count
        self._large = self._offsets + 4 * self.count
        extra = size - 40 - self._large
        if extra < 0 or extra % 8 or any(a > b for a, b in pairwise(fanout)):
            raise IntegrityError(f"{path} does not hold together")
        self._has_large = extra > 0
        self._table: dict[bytes, int] | None = None
        self._finds = 0

    def find(self, raw_id: bytes) -> int | None:
        """The offset of an object in the pack, or None."""
        if self._table is not None:
            return self._table.get(raw_id)
        self._finds += 1
        if self._finds * _TABLE_PAYS > self.count and self.count <= _MOST_IN_TABLE and not self._has_large:
            offsets = struct.unpack_from(f">{self.count}I", self._data, self._offsets)
            self._table = dict(zip(self.all_ids(), offsets, strict=True))
        at = self._position(raw_id)
        return None if at is None else self._offset(at)

    def _position(self, raw_id: bytes) -> int | None:
        """Which of the ids, counted from 0, this one is; None if it is none of them."""
        first = raw_id[0]
        low: int = self._fanout[first]
        high: int = self._fanout[first + 1]
        # Ids are as good as random, so where one stands is known up to the square root of their number.
        number = high - low
        guess = low + (number * int.from_bytes(raw_id[1:4]) >> 24)
        radius = isqrt(number) + 1
        low, high = max(low, guess - radius), min(high, guess + radius)
        window = self._data[_IDS + 20 * low : _IDS + 20 * high]
        at = window.find(raw_id)
        if at >= 0 and not at % 20:
            return low + at // 20
        if at < 0 and window[:20] < raw_id < window[-20:]:
            return None
        at = self._lower_bound(raw_id)
        if at < self.count and self._data[_IDS + 20 * at : _IDS + 20 * at + 20] == raw_id:
            return at
        return None

    def _lower_bound(self, raw_id: bytes) -> int:
        """The position of the first id that is not below `raw_id`."""
        data = self._data
        first = raw_id[0]
        low: int = self._fanout[first]
        high: int = self._fanout[first + 1]
        while low < high:
            middle = (low + high) >> 1
            at = _IDS + 20 * middle
            if data[at : at + 20] < raw_id:
                low = middle + 1
            else:
                high = middle
        return low

    def with_prefix(self, prefix: str) -> Iterator[str]:
        """All ids here that begin with these hex digits."""
        at = self._lower_bound(bytes.fromhex(prefix.ljust(40, "0")))
        while at < self.count:
            name = self._data[_IDS + 20 * at : _IDS + 20 * at + 20].hex()
            if not name.startswith(prefix):
                return
            yield name
            at += 1

    def shared_digits(self, raw_id: bytes) -> int:
        """How many hex digits the most similar other id here shares with this one."""
        at = self._position(raw_id)
        before, behind = (at, at + 1) if at is not None else (place := self._lower_bound(raw_id), place)
        most = 0
        if before:
            most = common_digits(raw_id, self._data[_IDS + 20 * before - 20 : _IDS + 20 * before])
        if behind < self.count:
            most = max(most, common_digits(raw_id, self._data[_IDS + 20 * behind : _IDS + 20 * behind + 20]))
        return most

    def _offset(self, at: int) -> int:
        offset: int = struct.unpack_from(">I", self._data, self._offsets + 4 * at)[0]
        if offset & _LARGE:
            place = self._large + 8 * (offset & ~_LARGE)
            if place + 8 > len(self._data) - 40:
                raise IntegrityError(f"{self.path} refers to an offset that it does not hold")
            offset = struct.unpack_from(">Q", self._data, place)[0]
        return offset

    def ids(self) -> Iterator[bytes]:
        """All ids, ascending."""
        for at in range(_IDS, self._crcs, 20):
            yield self._data[at : at + 20]

    def all_ids(self) -> tuple[bytes, ...]:
        """As `ids`, at once: faster, but it takes 100 bytes of memory for each."""
        # A Struct of its own: the module would keep the format, of one word an id, for good.
        return struct.Struct("20s" * self.count).unpack_from(self._data, _IDS)

    def rows(self) -> list[Row]:
        """All objects in the order of their offsets."""
        crcs = struct.unpack_from(f">{self.count}I", self._data, self._crcs)
        rows = [(name, crc, self._offset(at)) for at, (name, crc) in enumerate(zip(self.ids(), crcs, strict=True))]
        rows.sort(key=lambda row: row[2])
        return rows

    def pack_checksum(self) -> bytes:
        """The trailer of the pack that this index is for."""
        return self._data[-40:-20]

    def verify(self) -> None:
        """Check the index's own checksum. Raises IntegrityError."""
        with memoryview(self._data) as whole, whole[:-20] as body:
            digest = sha1(body, usedforsecurity=False).digest()
        if digest != self._data[-20:]:
            raise IntegrityError(f"{self.path} is damaged: its checksum does not fit", hint="git index-pack")

    def close(self) -> None:
        """Give the mapping back."""
        if isinstance(self._data, mmap.mmap):
            self._data.close()


def common_digits(one: bytes, two: bytes) -> int:
    """How many hex digits two ids (20 bytes each) have in common at their beginning."""
    return (160 - (int.from_bytes(one) ^ int.from_bytes(two)).bit_length()) // 4


def dump_index(rows: Sequence[Row], pack_checksum: bytes) -> bytes:
    """The bytes of an index. `rows` in any order, each id once."""
    rows = sorted(rows)
    fanout = [0] * 256
    for name, _, _ in rows:
        fanout[name[0]] += 1
    for at in range(1, 256):
        fanout[at] += fanout[at - 1]
    large = [offset for _, _, offset in rows if offset >= _LARGE]
    places = iter(range(len(large)))
    offsets = [offset if offset < _LARGE else _LARGE | next(places) for _, _, offset in rows]
    count = len(rows)
    body = b"".join(
        (
            _MAGIC,
            struct.pack(">256I", *fanout),
            b"".join([row[0] for row in rows]),
            struct.pack(f">{count}I", *[row[1] for row in rows]),
            struct.pack(f">{count}I", *offsets),
            struct.pack(f">{len(large)}Q", *large),
            pack_checksum,
        )
    )
    return body + sha1(body, usedforsecurity=False).digest()
