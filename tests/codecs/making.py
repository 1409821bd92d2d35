"""Chunks to code: by dtype, like real ones and hostile ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from mvc.codecs.dtypes import KINDS

FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
Array = np.ndarray[Any, Any]


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def weights(dtype: str, elements: int, seed: int = 0, scale: float = 0.03) -> bytes:
    """Normal weights, as a trained layer has them."""
    return cast(random(seed).standard_normal(elements) * scale, dtype)


def tuned(dtype: str, elements: int, seed: int = 0, scale: float = 0.03, step: float = 2e-4) -> tuple[bytes, bytes]:
    """Weights, and the same after a few steps of an optimizer whose steps do not depend on the weight."""
    before = random(seed).standard_normal(elements) * scale
    after = before + random(seed + 1).standard_normal(elements) * step
    return cast(before, dtype), cast(after, dtype)


def cast(values: Array, dtype: str) -> bytes:
    """Values as the bytes of a dtype. BF16 and FP8 by cutting off, which will do here."""
    if dtype == "BF16":
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    if dtype == "F8_E5M2":
        return (values.astype("<f2").view("<u2") >> 8).astype("u1").tobytes()
    if dtype == "F8_E4M3":
        half = (values * 16).astype("<f2").view("<u2")
        return (half >> 8 & 0x80 | np.clip((half.astype(int) & 0x7FFF) - 0x2000 >> 7, 0, 0x7E)).astype("u1").tobytes()
    numpy = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}[dtype]
    if dtype.startswith("I"):
        values = np.clip(values * 1000, -127, 127)
    return values.astype(numpy).tobytes()


def specials(dtype: str, elements: int, seed: int = 0) -> bytes:
    """Patterns that arithmetic would not keep: NaN payloads, both zeros, infinities, denormals, extremes."""
    kind = KINDS[dtype]
    bits, top = 8 * kind.width, (1 << (8 * kind.width)) - 1
    exponent = kind.infinity
    some = [0, 1 << (bits - 1), exponent, exponent | 1, top, top >> 1, 1, 2, exponent - 1, 0x5555555555555555 & top]
    chosen = random(seed).choice(len(some), elements)
    return b"".join(some[k].to_bytes(kind.width, "little") for k in chosen)


@st.composite
def chunks(draw: st.DrawFn, largest: int = 6000) -> tuple[str | None, bytes]:
    """A dtype (or None, or one that codecs do not know) and bytes, of any size, that may or may not suit it."""
    dtype = draw(st.sampled_from([*KINDS, None, "Q4_K"]))
    seed = draw(st.integers(0, 2**32))
    size = draw(st.one_of(st.integers(0, 200), st.integers(0, largest)))
    like = draw(st.sampled_from([*FLOATS, "I8", "I64"]))
    width = KINDS[like].width
    match draw(st.integers(0, 6)):
        case 0:
            data = random(seed).bytes(size)
        case 1:
            data = bytes([draw(st.integers(0, 255))]) * size
        case 2:
            data = weights(like, size // width + 1, seed)
        case 3 if like.startswith("F"):
            data = specials(like, size // width + 1, seed)
        case 4:
            data = np.repeat(random(seed).integers(0, 256, size // 9 + 1), 9).astype(np.uint8).tobytes()
        case 5:
            data = (b"the quick brown fox jumps over the lazy dog " * (size // 40 + 1))[seed % 40 :]
        case _:
            sparse = random(seed).integers(0, 256, size).astype(np.uint8)
            data = (sparse * (random(seed + 1).random(size) < 0.02)).astype(np.uint8).tobytes()
    return dtype, data[:size]
