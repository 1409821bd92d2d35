"""NumPy's .npy: a magic number, the text of a dict, one array.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1 to 3.
The dict is matched against the one form in which NumPy writes it, never evaluated.
"""

from __future__ import annotations

import re

from mvc.errors import ParseError
from mvc.formats.base import Layout, ReadAt, Segment, Tensor
from mvc.formats.cover import cover
from mvc.formats.cursor import read_exactly
from mvc.formats.dtypes import elements
from mvc.formats.limits import MAX_DIMENSIONS

MAGIC = b"\x93NUMPY"
NAME = "array"
"""What the one array is called: a .npy has no name for it."""

_MAX_HEADER = 16_384
"""NumPy itself reads at most 10,000 characters."""

_HEADER = re.compile(
    r"\{\s*'descr':\s*'(?P<descr>[^']{1,32})',\s*'fortran_order':\s*(?P<fortran>True|False),"
    r"\s*'shape':\s*\((?P<shape>(?:[0-9]{1,19}L?, ?)*(?:[0-9]{1,19}L?)?)\),?\s*\}\s*"
)
_OTHER_HEADER = re.compile(r"\{\s*'descr':\s*[\[(]")
"""Of records and sub-arrays."""
_DESCR = re.compile(r"([<>|=])([a-zA-Z])([0-9]{1,6})")

_KINDS = {
    "b1": "BOOL",
    "i1": "I8",
    "i2": "I16",
    "i4": "I32",
    "i8": "I64",
    "u1": "U8",
    "u2": "U16",
    "u4": "U32",
    "u8": "U64",
    "f2": "F16",
    "f4": "F32",
    "f8": "F64",
    "c8": "C64",
    "c16": "C128",
}


def parse(read_at: ReadAt, size: int, name: str) -> Layout:
    """The layout of a .npy file."""
    return cover("npy", size, segments(read_at, 0, size, NAME), gap="opaque")


def segments(read_at: ReadAt, start: int, end: int, name: str) -> list[Segment]:
    """The header and the array, called `name`, of a .npy that lies in the bytes `start` to `end` of a file.

    An array of a dtype that has no plain little-endian elements (objects, strings, records) is
    opaque, as are bytes behind the array.
    """
    prefix = read_at(start, min(12, end - start))
    if len(prefix) < 10 or not prefix.startswith(MAGIC) or prefix[6] not in (1, 2, 3):
        raise ParseError("npy: no magic number, or an unknown version")
    text_at = 10 if prefix[6] == 1 else 12
    length = int.from_bytes(prefix[8:text_at], "little")
    data = start + text_at + length
    if length > _MAX_HEADER or data > end:
        raise ParseError(f"npy: a header of {length} bytes")
    text = read_exactly(read_at, start + text_at, length, "npy").decode("latin-1")
    header = Segment("header", start, data - start)
    array = _array(text, data, end, name)
    return [header] if array is None else [header, array]


def _array(text: str, start: int, end: int, name: str) -> Segment | None:
    """The array's segment, or None if its elements are of no kind that is known here."""
    match = _HEADER.fullmatch(text)
    if match is None:
        if _OTHER_HEADER.match(text):
            return None
        raise ParseError("npy: the header is no dict as NumPy writes it")
    dtype = _dtype(match["descr"])
    if dtype is None:
        return None
    dimensions = [int(part.rstrip("L")) for part in match["shape"].replace(" ", "").split(",") if part]
    if len(dimensions) > MAX_DIMENSIONS:
        raise ParseError(f"npy: {len(dimensions)} dimensions")
    if match["fortran"] == "True":
        dimensions.reverse()
    spelling, item_size = dtype
    length = elements(dimensions) * item_size
    if length > end - start:
        raise ParseError(f"npy: an array of {length} bytes where {end - start} are left")
    return Segment("tensor", start, length, Tensor(name, spelling, tuple(dimensions)))


def _dtype(descr: str) -> tuple[str, int] | None:
    """(safetensors' spelling, bytes an element); `V2` is what NumPy makes of a bfloat16."""
    match = _DESCR.fullmatch(descr)
    if match is None:
        return None
    order, kind, digits = match.groups()
    item_size = int(digits)
    if kind == "V" and item_size in (1, 2):
        return f"V{item_size}", item_size
    spelling = _KINDS.get(f"{kind}{item_size}")
    if spelling is None or (order == ">" and item_size > 1):
        return None
    return spelling, item_size
