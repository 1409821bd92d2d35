"""The bits that an element of each dtype takes, by safetensors' spelling."""

from __future__ import annotations

from collections.abc import Sequence

BITS: dict[str, int] = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F8_E8M0": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F8_E4M3B11FNUZ": 8,
    "I4": 4,
    "U4": 4,
    "I8": 8,
    "U8": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
    "C128": 128,
}


def elements(shape: Sequence[int]) -> int:
    """The number of elements of a tensor of that shape."""
    count = 1
    for dimension in shape:
        count *= dimension
    return count


def byte_length(dtype: str, shape: Sequence[int]) -> int | None:
    """The bytes that such a tensor takes when packed tightly, or None for a dtype unknown here."""
    bits = BITS.get(dtype)
    return None if bits is None else (elements(shape) * bits + 7) // 8
