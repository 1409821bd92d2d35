"""How the elements of a chunk become planes, and how a record's params say it (docs/format/codecs.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mvc.codecs.base import Buffer, Codec
from mvc.errors import ParseError

PLAIN, ROTATE, DELTA, CAST_BF16, CAST_F16 = range(5)
"""Transforms of elements; the same numbers in csrc/planes.h."""

CONSTANT, STORED, PACKED = range(3)
"""Modes of planes: one value in the params; as it is; a zstd frame."""

LOW_BITS: tuple[tuple[int, ...], ...] = ((8,), (4, 4), (2, 2, 4))
"""Into how many bits the planes of the lowest byte are split, by `Scheme.low`."""

MAX_THRESHOLDS = 7

_WIDTH_BITS, _LOW_SHIFT, _LOW_BITS, _VARIANT, _ORDERED, _RESERVED = 3, 2, 3, 1 << 4, 1 << 5, 3 << 6


@dataclass(frozen=True, slots=True)
class Scheme:
    """What is done to the elements.

    `width`: bytes an element, 1, 2, 4 or 8. `low`: index into LOW_BITS. `order`: empty, or a shift
    and 1 to 7 ascending thresholds: an element's key is the highest 8 bits of its prediction
    shifted left, its group how many thresholds are at most its key, and the elements lie group
    by group. `head`: bytes before the first element.
    """

    transform: int
    width: int
    low: int = 0
    order: bytes = b""
    head: int = 0

    @property
    def codec(self) -> Codec:
        """The codec that a record of this scheme has."""
        if self.transform <= ROTATE:
            return Codec.PLANES
        return Codec.DELTA if self.transform == DELTA else Codec.CAST

    def plane_bits(self) -> tuple[int, ...]:
        """Bits that each plane takes from an element, lowest first."""
        return LOW_BITS[self.low] + (8,) * (self.width - 1)


Plane = tuple[int, Buffer | int]
"""A plane's mode with its value (CONSTANT) or its stored bytes (STORED, PACKED)."""


def plane_size(elements: int, bits: int) -> int:
    """Bytes of a plane of `bits` bits an element."""
    return (elements * bits + 7) // 8


@dataclass(frozen=True, slots=True)
class Record:
    """What params say. `fields`: a (mode, value or stored size) a plane; `starts`: as an engine gives them."""

    scheme: Scheme
    starts: bytes
    fields: tuple[tuple[int, int], ...]
    elements: int


def pack_params(scheme: Scheme, starts: bytes, planes: Sequence[Plane]) -> bytes:
    """The params of a record."""
    flags = (scheme.width.bit_length() - 1) | scheme.low << _LOW_SHIFT
    if scheme.transform in (ROTATE, CAST_F16):
        flags |= _VARIANT
    params = bytearray((flags, scheme.head))
    if scheme.order:
        params[0] |= _ORDERED
        params.append(len(scheme.order) - 1)
        params += scheme.order + starts
    for mode, value in planes:
        params.append(mode)
        if isinstance(value, int):
            params.append(value)
        elif mode == PACKED:
            params += len(value).to_bytes(4, "little")
    return bytes(params)


def parse_params(codec: int, params: Buffer, raw_size: int) -> Record:
    """What the params of a record say; ParseError if they make no sense."""
    data = bytes(params)
    if len(data) < 2:
        raise ParseError("codec params are cut off")
    flags, head = data[0], data[1]
    width, low = 1 << (flags & _WIDTH_BITS), flags >> _LOW_SHIFT & _LOW_BITS
    ordered, variant = bool(flags & _ORDERED), bool(flags & _VARIANT)
    elements = (raw_size - head) // width
    if flags & _RESERVED or low >= len(LOW_BITS) or head >= width or elements < 1:
        raise ParseError("codec params make no sense")
    order, starts, at = _parse_order(data, width) if ordered else (b"", b"", 2)
    scheme = Scheme(_transform(codec, variant), width, low, order, head)
    if ordered and codec == Codec.PLANES:
        raise ParseError("codec params order by what is not there")
    if codec == Codec.CAST and (width != 2 or head):
        raise ParseError("codec params cast what cannot be cast")
    planes: list[tuple[int, int]] = []
    for bits in scheme.plane_bits():
        mode = data[at] if at < len(data) else 255
        taken = {CONSTANT: 1, STORED: 0, PACKED: 4}.get(mode, -1)
        field = data[at + 1 : at + 1 + taken] if taken >= 0 else b""
        if len(field) != taken:
            raise ParseError("codec params of a plane make no sense")
        planes.append((mode, plane_size(elements, bits) if mode == STORED else int.from_bytes(field, "little")))
        at += 1 + taken
    if at != len(data):
        raise ParseError("codec params are too long")
    return Record(scheme, starts, tuple(planes), elements)


def _parse_order(data: bytes, width: int) -> tuple[bytes, bytes, int]:
    count = data[2] if len(data) > 2 else 0
    order = data[3 : 4 + count]
    ascending = all(a < b for a, b in pairwise((0, *order[1:])))
    if not 1 <= count <= MAX_THRESHOLDS or len(order) != count + 1 or not ascending or order[0] >= 8 * width:
        raise ParseError("codec params of an order make no sense")
    end = 4 + 5 * count
    starts = data[4 + count : end]
    if len(starts) != 4 * count:
        raise ParseError("codec params are cut off")
    return order, starts, end


def _transform(codec: int, variant: bool) -> int:
    if codec == Codec.PLANES:
        return ROTATE if variant else PLAIN
    if codec == Codec.CAST:
        return CAST_F16 if variant else CAST_BF16
    if variant or codec != Codec.DELTA:
        raise ParseError("codec params make no sense")
    return DELTA
