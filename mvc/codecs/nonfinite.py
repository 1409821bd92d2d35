"""Counting NaN and infinite values of a tensor, as it is added."""

from __future__ import annotations

from mvc.codecs import engine
from mvc.codecs.base import Buffer
from mvc.codecs.dtypes import KINDS


def count_nonfinite(raw: Buffer, dtype: str | None) -> tuple[int, int] | None:
    """(NaN, infinite) values in `raw`; None if `dtype` has neither, or is not known.

    F64 F32 F16 BF16 F8_E4M3 (no infinity) F8_E5M2, C64 and C128 (each part counts). A last
    element that is cut off does not count. Runs at memory speed, without the GIL.
    """
    kind = KINDS.get(dtype or "")
    if kind is None or kind.exponent is None:
        return None
    above, equal = engine.engine.nonfinite(raw, kind.width, kind.infinity)
    return above, equal if kind.has_infinity else 0
