"""Figures and numbers of tensors, held against ml_dtypes and plain reckoning."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from mvc.codecs import engine, portable
from mvc.codecs.nonfinite import count_nonfinite
from mvc.codecs.values import as_array, as_float
from tests.codecs import making

ML = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}


@pytest.mark.parametrize("dtype", ML)
def test_every_pattern_as_ml_dtypes_reads_it(dtype: str) -> None:
    bits = 16 if dtype == "BF16" else 8
    raw = np.arange(1 << bits, dtype=f"<u{bits // 8}").tobytes()
    theirs = np.frombuffer(raw, getattr(ml_dtypes, ML[dtype])).astype(np.float32)
    mine = as_float(raw, dtype)
    assert mine is not None
    assert mine.dtype == np.float32
    np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(np.signbit(mine), np.signbit(theirs))
    nan, inf = int(np.isnan(theirs).sum()), int(np.isinf(theirs).sum())
    assert count_nonfinite(raw, dtype) == (nan, inf)
    assert as_array(raw, dtype, ml_dtypes).dtype == getattr(ml_dtypes, ML[dtype])
    assert as_array(raw, dtype).dtype == np.dtype(f"<u{bits // 8}")


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "C64", "C128"])
@pytest.mark.parametrize("elements", [0, 1, 5000, 20001])
def test_nonfinite_values_are_counted(dtype: str, elements: int) -> None:
    part = {"C64": "F32", "C128": "F64"}.get(dtype, dtype)
    raw = making.specials(part, elements) + making.weights(part, 5000)
    numbers = np.frombuffer(raw, {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[part])
    expected = int(np.isnan(numbers).sum()), int(np.isinf(numbers).sum())
    assert count_nonfinite(raw, dtype) == expected
    assert count_nonfinite(raw + b"\xff", dtype) == expected


def test_numpy_counts_the_same() -> None:
    raw = making.specials("BF16", 10001)
    assert engine.engine.nonfinite(raw, 2, 0x7F80) == portable.nonfinite(raw, 2, 0x7F80)


@pytest.mark.parametrize("dtype", ["I8", "U64", "BOOL", "Q4_K", None])
def test_dtypes_without_nan(dtype: str | None) -> None:
    assert count_nonfinite(b"\xff" * 16, dtype) is None


@pytest.mark.parametrize("dtype", ["I8", "I64", "U16", "BOOL", "C64"])
def test_numbers_of_other_dtypes(dtype: str) -> None:
    raw = making.random().integers(0, 2, 64).astype(np.uint8).tobytes()
    array, numbers = as_array(raw, dtype), as_float(raw, dtype)
    assert numbers is not None
    assert numbers.dtype == (np.float64 if dtype == "I64" else np.float32)
    if dtype == "C64":
        array = array.view(np.float32)
    np.testing.assert_array_equal(numbers, array.astype(numbers.dtype))


def test_what_is_cut_off_or_unknown() -> None:
    assert as_array(bytes(7), "F32").size == 1
    assert as_array(bytes(7), "Q4_K").dtype == np.uint8
    assert as_float(bytes(7), "Q4_K") is None
    assert math.isnan(float(as_float(b"\xc0\x7f", "BF16")[0]))  # type: ignore[index]
