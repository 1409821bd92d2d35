"""Decoding a chunk. Nothing in the input is trusted; memory is bounded by a small multiple of `raw_size`."""

from __future__ import annotations

from collections.abc import Sequence

from mvc.codecs import engine, zstandards
from mvc.codecs.base import Buffer, Codec
from mvc.codecs.scheme import CONSTANT, DELTA, PACKED, Scheme, parse_params, plane_size
from mvc.errors import ParseError


def decode(
    codec: int,
    params: Buffer,
    payload: Buffer,
    raw_size: int,
    bases: Sequence[Buffer] = (),
    out: bytearray | memoryview | None = None,
) -> Buffer:
    """The chunk's raw bytes, exactly `raw_size` of them.

    `bases` are the raw bytes of the record's bases in their order (they are joined). With `out`
    (writable, `raw_size` long) the bytes are put there, and `out` is returned: a delta's only base, of
    just that size, may be the same memory. Raises ParseError for anything that does not hold
    together. That the bytes are right is for the caller to verify, by their hash. Thread-safe;
    releases the GIL while it works.
    """
    if codec in (Codec.PLANES, Codec.DELTA, Codec.CAST):
        return _decode_planes(codec, params, memoryview(payload), raw_size, bases, out)
    if codec not in (Codec.RAW, Codec.ZSTD) or len(params):
        raise ParseError(f"unknown codec {codec}, or params that it does not have")
    raw = payload if codec == Codec.RAW else zstandards.decompress(payload, raw_size)
    if len(raw) != raw_size:
        raise ParseError("a stored chunk of the wrong size")
    if out is None:
        return raw
    out[:] = raw
    return out


def _decode_planes(
    codec: int,
    params: Buffer,
    payload: memoryview,
    raw_size: int,
    bases: Sequence[Buffer],
    out: bytearray | memoryview | None,
) -> Buffer:
    record = parse_params(codec, params, raw_size)
    scheme, elements = record.scheme, record.elements
    if (codec != Codec.PLANES) != bool(bases):
        raise ParseError("a record with bases that its codec has not, or without those that it has")
    end = scheme.head + elements * scheme.width
    rest = raw_size - elements * scheme.width
    if sum(size for mode, size in record.fields if mode != CONSTANT) + rest != len(payload):
        raise ParseError("a payload of the wrong size")
    planes: list[Buffer | int] = []
    packed: list[tuple[Buffer, int]] = []
    places: list[int] = []
    at = 0
    for (mode, value), bits in zip(record.fields, scheme.plane_bits(), strict=True):
        if mode == CONSTANT:
            planes.append(value)
            continue
        plane = payload[at : at + value]
        if mode == PACKED:
            places.append(len(planes))
            packed.append((plane, plane_size(elements, bits)))
        planes.append(plane)
        at += value
    for place, content in zip(places, zstandards.decompress_all(packed), strict=True):
        planes[place] = content
    result = engine.engine.blank(raw_size) if out is None else out
    view = memoryview(result)
    try:
        engine.engine.decode(
            planes,
            _predicted(scheme, bases),
            scheme.transform,
            scheme.width,
            scheme.low,
            scheme.order,
            record.starts,
            view[scheme.head : end],
            engine.scratch(raw_size),
        )
    except ValueError as error:
        raise ParseError(str(error)) from error
    view[: scheme.head] = payload[at : at + scheme.head]
    view[end:] = payload[at + scheme.head :]
    return result


def _predicted(scheme: Scheme, bases: Sequence[Buffer]) -> Buffer | None:
    if not bases:
        return None
    base = bases[0] if len(bases) == 1 else b"".join(bases)
    return memoryview(base)[scheme.head if scheme.transform == DELTA else 0 :]
