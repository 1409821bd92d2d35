"""Tensors as `.npy` files, without numpy.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, version 1.0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod

from mvc.errors import UsageError
from mvc.formats.base import Tensor

_NATIVE = {
    "F64": ("<f8", 8),
    "F32": ("<f4", 4),
    "F16": ("<f2", 2),
    "I64": ("<i8", 8),
    "I32": ("<i4", 4),
    "I16": ("<i2", 2),
    "I8": ("|i1", 1),
    "U64": ("<u8", 8),
    "U32": ("<u4", 4),
    "U16": ("<u2", 2),
    "U8": ("|u1", 1),
    "BOOL": ("|b1", 1),
    "C64": ("<c8", 8),
    "C128": ("<c16", 16),
}
_BITS = {"BF16": ("<u2", 2)}
_ALIGN = 64
_MOST_HEADER = 65535


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """The bytes before the data; `bits` if numpy has no such dtype, so that the file holds the values' bits."""

    data: bytes
    bits: bool


def npy_header(tensor: Tensor, size: int) -> NpyHeader:
    """The header for a tensor of `size` bytes, little-endian, in C order.

    BF16 and one-byte floats come as their bits (`<u2`, `|u1`); what has no fixed number of bytes an
    element (blocks of quantised values) comes as a row of bytes.
    """
    count = prod(tensor.shape)
    descr, width = _NATIVE.get(tensor.dtype) or _BITS.get(tensor.dtype) or ("|u1", 1)
    shape = tensor.shape if count * width == size else (size,)
    if shape is not tensor.shape:
        descr = "|u1"
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {_shape(shape)}, }}"
    fill = -(10 + len(text) + 1) % _ALIGN
    header = (text + " " * fill + "\n").encode("latin-1")
    if len(header) > _MOST_HEADER:
        raise UsageError(f"the tensor '{tensor.name}' has too many dimensions for a .npy file")
    bits = tensor.dtype not in _NATIVE or shape is not tensor.shape
    return NpyHeader(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header, bits)


def _shape(shape: tuple[int, ...]) -> str:
    return f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(map(str, shape))})"
