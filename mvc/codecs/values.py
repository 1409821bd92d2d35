"""Bit patterns to numbers: tensors of any dtype as arrays that numpy can reckon with."""

from __future__ import annotations

from typing import Any

import numpy as np

from mvc.codecs.base import Buffer


def as_float(raw: Buffer, dtype: str) -> np.ndarray[Any, Any] | None:
    """The values as a flat float32 array (float64 for F64 and 32/64-bit integers); None if not numbers.

    BF16 and FP8 are widened exactly. NaN payloads need not survive.
    """
    return None


def as_array(raw: Buffer, dtype: str, ml_dtypes: Any = None) -> np.ndarray[Any, Any]:
    """A flat array of numpy's own dtype, without a copy where it can.

    `ml_dtypes` is that module, when the caller has it: then BF16 and FP8 come in its dtypes;
    without it as their bits (uint16, uint8). A dtype unknown here comes as uint8.
    """
    return np.frombuffer(raw, dtype=np.uint8)
