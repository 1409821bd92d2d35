"""GGUF: key-value metadata, a table of tensors, the tensors' bytes, aligned.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, and `gguf/constants.py` of the
package `gguf` for the block types. Versions 2 and 3, little-endian; anything else is opaque.
"""

from __future__ import annotations

from itertools import pairwise

from mvc.errors import ParseError
from mvc.formats.base import Layout, ReadAt, Segment, Tensor
from mvc.formats.cover import cover
from mvc.formats.cursor import Cursor
from mvc.formats.dtypes import elements
from mvc.formats.limits import MAX_DIMENSION, MAX_NAME, MAX_TENSORS

MAGIC = b"GGUF"

_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_ALIGNMENT = 1 << 20
_MAX_PAIRS = 65_536
_MAX_METADATA = 64 * 1024 * 1024
"""Bytes of metadata: the vocabularies of published models take 5 to 20 MB."""
_MAX_DIMENSIONS = 8
"""ggml itself has four."""
_MAX_NESTING = 2
_MAX_STRINGS = 4 * 1024 * 1024
"""Strings in one array; the largest vocabularies have half a million merges."""
_MAX_INNER = 65_536
"""Arrays within one array."""

_STRING, _ARRAY = 8, 9
_VALUE_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

# number of the type: name, elements a block, bytes a block
_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}


def parse(read_at: ReadAt, size: int, name: str) -> Layout:
    """The layout of a GGUF file."""
    cursor = Cursor(read_at, 0, size, "GGUF")
    if cursor.take(4) != MAGIC:
        raise ParseError("GGUF: no magic number")
    version = cursor.u32()
    if version not in _VERSIONS:
        raise ParseError(f"GGUF: version {version}, or big-endian")
    tensor_count, pair_count = cursor.u64(), cursor.u64()
    if tensor_count > MAX_TENSORS or pair_count > _MAX_PAIRS:
        raise ParseError(f"GGUF: {tensor_count} tensors and {pair_count} metadata entries")
    alignment = _metadata(cursor, pair_count)
    infos = [_tensor_info(cursor) for _ in range(tensor_count)]
    start = -(-cursor.position // alignment) * alignment
    runs = _place(infos, start, size)
    runs.append(Segment("header", 0, min(start, size)))
    return cover("gguf", size, runs, gap="opaque")


def _metadata(cursor: Cursor, count: int) -> int:
    """Passes over the metadata and gives the alignment that it sets."""
    alignment = _DEFAULT_ALIGNMENT
    for _ in range(count):
        key = cursor.take(cursor.u64(), MAX_NAME)
        kind = cursor.u32()
        if key == b"general.alignment":
            if kind != 4:
                raise ParseError("GGUF: the alignment is no 32-bit number")
            alignment = cursor.u32()
        else:
            _skip_value(cursor, kind, 0)
        if cursor.position > _MAX_METADATA:
            raise ParseError(f"GGUF: more than {_MAX_METADATA} bytes of metadata")
    if not 1 <= alignment <= _MAX_ALIGNMENT or alignment & (alignment - 1):
        raise ParseError(f"GGUF: an alignment of {alignment}")
    return alignment


def _skip_value(cursor: Cursor, kind: int, nesting: int) -> None:
    if kind == _STRING:
        cursor.skip(cursor.u64())
        return
    if kind != _ARRAY:
        cursor.skip(_value_size(kind))
        return
    kind, count = cursor.u32(), cursor.u64()
    if kind == _STRING:
        _skip_strings(cursor, count)
    elif kind == _ARRAY:
        if nesting == _MAX_NESTING or count > _MAX_INNER:
            raise ParseError("GGUF: arrays nested too deeply, or too many")
        for _ in range(count):
            _skip_value(cursor, _ARRAY, nesting + 1)
            _bound(cursor)
    else:
        cursor.skip(count * _value_size(kind))


def _skip_strings(cursor: Cursor, count: int) -> None:
    """Passes over a vocabulary: some 100,000 to 500,000 short strings."""
    if count > _MAX_STRINGS:
        raise ParseError(f"GGUF: an array of {count} strings")
    cursor.skip_prefixed(count)
    _bound(cursor)


def _bound(cursor: Cursor) -> None:
    if cursor.position > _MAX_METADATA:
        raise ParseError(f"GGUF: more than {_MAX_METADATA} bytes of metadata")


def _value_size(kind: int) -> int:
    size = _VALUE_SIZES.get(kind)
    if size is None:
        raise ParseError(f"GGUF: a metadata value of type {kind}")
    return size


def _tensor_info(cursor: Cursor) -> tuple[int, int | None, Tensor]:
    """(offset from the start of the data, length if the type is known, tensor)."""
    try:
        name = cursor.take(cursor.u64(), MAX_NAME).decode()
    except UnicodeDecodeError as error:
        raise ParseError("GGUF: a tensor's name is not UTF-8") from error
    dimensions = cursor.u32()
    if dimensions > _MAX_DIMENSIONS:
        raise ParseError(f"GGUF: {name[:80]!r} has {dimensions} dimensions")
    shape = tuple(reversed([cursor.u64() for _ in range(dimensions)]))
    kind, offset = cursor.u32(), cursor.u64()
    if any(dimension > MAX_DIMENSION for dimension in shape):
        raise ParseError(f"GGUF: the shape of {name[:80]!r} is out of bounds")
    if kind not in _TYPES:
        return offset, None, Tensor(name, f"GGML_{kind}", shape)
    dtype, block, block_bytes = _TYPES[kind]
    count = elements(shape)
    if count % block:
        raise ParseError(f"GGUF: {name[:80]!r} has {count} elements in blocks of {block}")
    return offset, count // block * block_bytes, Tensor(name, dtype, shape)


def _place(infos: list[tuple[int, int | None, Tensor]], start: int, size: int) -> list[Segment]:
    """Where the tensors lie. One of a type that is not known here reaches to the next one, or to the end."""
    ordered = sorted(infos, key=lambda info: info[0])
    ends = [start + after[0] for _, after in pairwise(ordered)] + [size]
    return [
        Segment("tensor", start + offset, end - start - offset if length is None else length, tensor)
        for (offset, length, tensor), end in zip(ordered, ends, strict=False)
    ]
