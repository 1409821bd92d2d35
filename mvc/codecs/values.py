"""Bit patterns to numbers: tensors of any dtype as arrays that numpy can reckon with."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from mvc.codecs.base import Buffer

Array = np.ndarray[Any, Any]

_NUMPY = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "C128": "<c16",
    "C64": "<c8",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}
"""Dtypes that numpy has by itself."""

_BITS = {"BF16": "<u2", "F8_E4M3": "u1", "F8_E5M2": "u1"}
"""Dtypes that numpy lacks, as their bits."""

_ML_DTYPES = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
"""The same in the package ml_dtypes."""


def as_float(raw: Buffer, dtype: str) -> Array | None:
    """The values as a flat float32 array; float64 for F64 and for integers of 32 and 64 bits; None if not numbers.

    Complex numbers come as pairs. BF16 and FP8 are widened exactly; FP16 too. NaN stay NaN, but
    their payloads need not survive. BOOL comes as 0 and 1. Bytes that fill no element are left out.
    """
    if dtype == "BF16":
        bits: Array = _elements(raw, "<u2").astype(np.uint32) << np.uint32(16)
        return bits.view(np.float32)
    if dtype in ("F8_E4M3", "F8_E5M2"):
        return _fp8_values(dtype)[_elements(raw, "u1")]
    if dtype == "BOOL":
        return _elements(raw, "u1").astype(np.bool_).astype(np.float32)
    name = {"C64": "<f4", "C128": "<f8"}.get(dtype) or _NUMPY.get(dtype)
    if name is None:
        return None
    wide = dtype in ("F64", "C128", "I64", "U64", "I32", "U32")
    return _elements(raw, name).astype(np.float64 if wide else np.float32, copy=False)


def as_array(raw: Buffer, dtype: str, ml_dtypes: Any = None) -> Array:
    """A flat array of numpy's own dtype, without a copy.

    `ml_dtypes` is that module, when the caller has it: then BF16 and FP8 come in its dtypes;
    without it as their bits (uint16, uint8). A dtype unknown here comes as uint8.
    """
    if dtype in _ML_DTYPES and ml_dtypes is not None:
        return _elements(raw, np.dtype(getattr(ml_dtypes, _ML_DTYPES[dtype])))
    return _elements(raw, _NUMPY.get(dtype) or _BITS.get(dtype) or "u1")


def _elements(raw: Buffer, dtype: str | np.dtype[Any]) -> Array:
    wanted = np.dtype(dtype)
    return np.frombuffer(raw, wanted, count=len(raw) // wanted.itemsize)


@cache
def _fp8_values(dtype: str) -> Array:
    """The value of each of the 256 patterns, after Micikevicius et al., "FP8 formats for deep learning" (2022)."""
    mantissa_bits, bias = (3, 7) if dtype == "F8_E4M3" else (2, 15)
    bits = np.arange(256)
    exponent = (bits & 0x7F) >> mantissa_bits
    fraction = (bits & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    values: Array = np.where(exponent > 0, 1 + fraction, fraction) * 2.0 ** (np.maximum(exponent, 1) - bias)
    if dtype == "F8_E4M3":
        values[bits & 0x7F == 0x7F] = np.nan
    else:
        values[bits & 0x7F == 0x7C] = np.inf
        values[bits & 0x7F > 0x7C] = np.nan
    return np.where(bits & 0x80, -values, values).astype(np.float32)
