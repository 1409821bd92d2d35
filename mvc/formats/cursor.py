"""Reading forward through a part of a file, in windows, without trusting any length that is found there."""

from __future__ import annotations

from struct import Struct

from mvc.errors import ParseError
from mvc.formats.base import ReadAt

WINDOW = 256 * 1024

_U32 = Struct("<I")
_U64 = Struct("<Q")


class Cursor:
    """A position in the bytes `start` to `end` of a file. Holds one window of it, or one `take` if that is longer.

    Every method raises ParseError when it would pass `end`, or when the file is shorter than it said.
    """

    __slots__ = ("_base", "_buffer", "_position", "_read_at", "end", "what")

    def __init__(self, read_at: ReadAt, start: int, end: int, what: str) -> None:
        self._read_at = read_at
        self._buffer = b""
        self._base = start
        self._position = 0
        self.end = end
        self.what = what

    @property
    def position(self) -> int:
        """Where the next byte is read from, counted from the start of the file."""
        return self._base + self._position

    def take(self, length: int, limit: int = WINDOW) -> bytes:
        """The next `length` bytes, which may be `limit` at the most."""
        if length > limit:
            raise ParseError(f"{self.what}: {length} bytes where {limit} are the most")
        start = self._need(length)
        self._position = start + length
        return self._buffer[start : self._position]

    def skip(self, length: int) -> None:
        """Passes over `length` bytes without reading them."""
        if length < 0 or length > self.end - self.position:
            raise ParseError(f"{self.what}: a length of {length} at byte {self.position} reaches past the end")
        self._position += length

    def skip_prefixed(self, count: int) -> None:
        """Passes over `count` runs of bytes, each behind its length as a u64: a vocabulary has 100,000s."""
        unpack = _U64.unpack_from
        while count:
            start, last = self._need(8), len(self._buffer) - 8
            while count and start <= last:
                start += 8 + unpack(self._buffer, start)[0]
                count -= 1
            self.skip(start - self._position)

    def u32(self) -> int:
        start = self._need(4)
        self._position = start + 4
        value: int = _U32.unpack_from(self._buffer, start)[0]
        return value

    def u64(self) -> int:
        start = self._need(8)
        self._position = start + 8
        value: int = _U64.unpack_from(self._buffer, start)[0]
        return value

    def varint(self) -> int:
        """An unsigned LEB128 number of at most 64 bits, as protobuf writes them."""
        value = shift = 0
        while shift < 70:
            start = self._need(1)
            byte = self._buffer[start]
            self._position = start + 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF
            shift += 7
        raise ParseError(f"{self.what}: an endless number at byte {self.position}")

    def _need(self, length: int) -> int:
        """Makes `length` bytes available and says where in the buffer they begin."""
        start = self._position
        if 0 <= length <= len(self._buffer) - start:
            return start
        return self._fill(length)

    def _fill(self, length: int) -> int:
        position = self._base + self._position
        if length < 0 or length > self.end - position:
            raise ParseError(f"{self.what}: a length of {length} at byte {position} reaches past the end")
        self._buffer = self._read_at(position, min(max(length, WINDOW), self.end - position))
        self._base, self._position = position, 0
        if len(self._buffer) < length:
            raise ParseError(f"{self.what}: the file ends at byte {position + len(self._buffer)}")
        return 0


def read_exactly(read_at: ReadAt, offset: int, length: int, what: str) -> bytes:
    """The `length` bytes from `offset`. Raises ParseError when there are not so many."""
    data = read_at(offset, length)
    if len(data) != length:
        raise ParseError(f"{what}: the file ends at byte {offset + len(data)}")
    return data
