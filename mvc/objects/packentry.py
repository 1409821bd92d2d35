"""One object in a Git pack: its header and its compressed bytes, written and read. gitformat-pack(5)."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from mvc.errors import IntegrityError
from mvc.objects.model import Kind

ReadAt = Callable[[int, int], bytes]
"""(offset, length) to up to `length` bytes, fewer only at the end."""

TYPES: dict[Kind, int] = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
KIND_OF: dict[int, Kind] = {number: kind for kind, number in TYPES.items()}
OFS_DELTA = 6
REF_DELTA = 7

MAX_OBJECT = 2**31
"""Larger objects are not read: mvc's own are some megabytes at the most, and a size in a file may lie."""

FIRST_READ = 448
"""Enough for most commits and small trees, and no more than Python's own allocator serves."""
_WHOLE = FIRST_READ - 48
"""Objects up to this size lie whole in the first read, even if they are stored uncompressed."""
_NEXT_READ = 256 * 1024

_SMALL = 4096
"""Bytes of an object up to which setting a compressor up counts."""
_LEVEL = 4
"""At most 4 % larger than git's own level 6 on source code, where level 1 is up to 17 % larger."""
_PROBED = 512
"""Shorter ones are compressed as text is: what repeats in them would often be missed."""
_SAMPLE = 4


class Entry(NamedTuple):
    """An object as its pack holds it: `data` is the content, or a delta against `base` (an offset or an id)."""

    type: int
    base: int | bytes | None
    data: bytes


class EntryHead(NamedTuple):
    """The header alone: the type, the size of what is compressed, the base, and how many bytes the header has."""

    type: int
    size: int
    base: int | bytes | None
    length: int


@lru_cache(maxsize=4096)
def encode_head(type_number: int, size: int) -> bytes:
    """The header in front of the compressed bytes."""
    first = (type_number << 4) | (size & 0x0F)
    size >>= 4
    out = bytearray()
    while size:
        out.append(first | 0x80)
        first = size & 0x7F
        size >>= 7
    out.append(first)
    return bytes(out)


def encode_offset(distance: int) -> bytes:
    """The distance back to an OFS_DELTA's base."""
    out = [distance & 0x7F]
    distance >>= 7
    while distance:
        distance -= 1
        out.append(0x80 | (distance & 0x7F))
        distance >>= 7
    return bytes(reversed(out))


def parse_head(data: bytes, offset: int) -> EntryHead:
    """The header at the start of `data`, which was read at `offset`. Raises IntegrityError."""
    try:
        return _parse_head(data, offset)
    except IndexError as error:
        raise IntegrityError("an object's header is cut short") from error


@lru_cache(maxsize=4096)
def _short_head(first: bytes) -> tuple[int, int, int] | None:
    """(type, size, length) of a header that takes up one byte or two, as that of most objects (they are small)."""
    if len(first) < 2 or first[0] & first[1] & 0x80:
        return None
    type_number, size = (first[0] >> 4) & 7, first[0] & 0x0F
    return (type_number, size | first[1] << 4, 2) if first[0] & 0x80 else (type_number, size, 1)


def _parse_head(data: bytes, offset: int) -> EntryHead:
    type_number, size, at = _short_head(data[:2]) or _long_head(data)
    base: int | bytes | None = None
    if type_number == OFS_DELTA:
        byte = data[at]
        at += 1
        distance = byte & 0x7F
        while byte & 0x80:
            byte = data[at]
            at += 1
            distance = ((distance + 1) << 7) | (byte & 0x7F)
        base = offset - distance
        if distance == 0 or base < 12:
            raise IntegrityError("a delta's base lies outside of its pack")
    elif type_number == REF_DELTA:
        base = data[at : at + 20]
        at += 20
        if len(data) < at:
            raise IndexError
    elif type_number not in KIND_OF:
        raise IntegrityError("an object is of an unknown type")
    if size > MAX_OBJECT:
        raise IntegrityError("an object's size is out of range")
    return EntryHead(type_number, size, base, at)


def _long_head(data: bytes) -> tuple[int, int, int]:
    byte = data[0]
    type_number, size, shift, at = (byte >> 4) & 7, byte & 0x0F, 4, 1
    while byte & 0x80:
        byte = data[at]
        at += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if shift > 67:
            raise IntegrityError("an object's size is out of range")
    return type_number, size, at


def read_entry(read_at: ReadAt, offset: int) -> Entry:
    """The entry at `offset`, inflated. Bounded by the size its header tells. Raises IntegrityError."""
    return entry_from(read_at(offset, FIRST_READ), read_at, offset)


def entry_from(data: bytes, read_at: ReadAt, offset: int) -> Entry:
    """As `read_entry`, when the first `FIRST_READ` bytes of it were read."""
    short = _short_head(data[:2])
    if short is not None and short[0] in KIND_OF:
        if short[1] > _WHOLE:  # some kilobyte: two reads, one step
            data += read_at(offset + len(data), short[1] - _WHOLE)
        if (small := _inflated(data, *short)) is not None:
            return small
    type_number, size, base, length = parse_head(data, offset)
    if size <= _WHOLE:  # a delta, as a rule
        with suppress(zlib.error):
            made = zlib.decompress(data[length:])
            if len(made) == size:
                return Entry(type_number, base, made)
    return Entry(type_number, base, inflate(read_at, offset, data[length:], length, size))


def whole_object(data: bytes) -> tuple[Kind, bytes] | None:
    """The object at the start of `data`, if it lies there whole and is no delta; None for any other, and for
    what is damaged. What nearly all commits are: a long log reads ten thousand of them, so each step counts.
    """
    head = _whole_head(data[:2])
    if head is None:
        return None
    try:
        made = zlib.decompress(data[head[2] :])
    except zlib.error:
        return None
    return (head[0], made) if len(made) == head[1] else None


@lru_cache(maxsize=4096)
def _whole_head(first: bytes) -> tuple[Kind, int, int] | None:
    """Kind, size and length of the header, of an object that is no delta and lies whole in the first read."""
    short = _short_head(first)
    if short is None or short[0] not in KIND_OF or short[1] > _WHOLE:
        return None
    return KIND_OF[short[0]], short[1], short[2]


def small_delta(data: bytes, offset: int) -> tuple[int, bytes] | None:
    """The delta that lies whole at the start of `data`, which was read at `offset`, and the offset of what it is
    against; None for anything else, and for what is damaged.
    """
    short = _short_head(data[:2])
    if short is None or short[0] != OFS_DELTA or short[1] > _WHOLE:
        return None
    try:
        head = parse_head(data, offset)
        made = zlib.decompress(data[head.length :])
    except (zlib.error, IntegrityError):
        return None
    return (head.base, made) if isinstance(head.base, int) and len(made) == head.size else None


def _inflated(data: bytes, type_number: int, size: int, length: int) -> Entry | None:
    """The object behind a header of `length` bytes, if `data` holds all of it."""
    if size > len(data):
        return None
    try:
        made = zlib.decompress(data[length:])
    except zlib.error:
        return None
    return Entry(type_number, None, made) if len(made) == size else None


def read_head(read_at: ReadAt, offset: int, extra: int = 0) -> tuple[EntryHead, bytes]:
    """The header at `offset`, and the first `extra` bytes of the content."""
    data = read_at(offset, FIRST_READ)
    head = parse_head(data, offset)
    if not extra:
        return head, b""
    try:
        return head, zlib.decompressobj().decompress(data[head.length :], extra)
    except zlib.error as error:
        raise IntegrityError("an object's compressed bytes are damaged") from error


def inflate(read_at: ReadAt, offset: int, first: bytes, skip: int, size: int) -> bytes:
    """Inflate `size` bytes from a stream that begins `skip` bytes behind `offset`; `first` is its known beginning."""
    stream = zlib.decompressobj()
    try:
        made = stream.decompress(first, size + 1)
        if stream.eof and len(made) == size:
            return made
        parts = [made]
        got, at = len(made), offset + skip + len(first)
        while not stream.eof and got <= size:
            more = stream.unconsumed_tail
            if not more:
                more = read_at(at, min(_NEXT_READ, size - got + 1024))
                at += len(more)
            if not more:
                break
            made = stream.decompress(more, size + 1 - got)
            parts.append(made)
            got += len(made)
    except zlib.error as error:
        raise IntegrityError("an object's compressed bytes are damaged") from error
    if got != size or not stream.eof:
        raise IntegrityError("an object's compressed bytes do not have the size that they should")
    return b"".join(parts)


def deflate(data: bytes) -> bytes:
    """`data` as a zlib stream, quickly. Any zlib reads it.

    Small objects get a small window (setting a large one up costs more than compressing); what looks
    random is not compressed; and where nothing seems to repeat (hashes, random digits), only the digits' own
    frequency is used: half the time of looking for repeats in vain, and smaller than with the few that chance makes.
    """
    size = len(data)
    if size > _SMALL:
        return zlib.compress(data, _LEVEL)
    if len(set(data[:64])) > 46:
        return _stored(data)
    strategy = zlib.Z_DEFAULT_STRATEGY if _repeats(data) else zlib.Z_HUFFMAN_ONLY
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, 12, 5, strategy)
    return stream.compress(data) + stream.flush()


def _repeats(data: bytes) -> bool:
    """Whether one of seven samples occurs twice. In text or JSON one does, as a rule the first or second."""
    size = len(data)
    if size < _PROBED:
        return True
    find, eighth = data.find, size // 8
    for at in range(eighth, 7 * eighth + 1, eighth):
        sample = data[at : at + _SAMPLE]
        if find(sample) != at or find(sample, at + 1) >= 0:
            return True
    return False


def _stored(data: bytes) -> bytes:
    """A zlib stream (RFC 1950) of one stored block (RFC 1951, 3.2.4)."""
    size = len(data)
    return b"".join(
        (
            b"\x78\x01\x01",
            size.to_bytes(2, "little"),
            (size ^ 0xFFFF).to_bytes(2, "little"),
            data,
            zlib.adler32(data).to_bytes(4, "big"),
        )
    )
