"""Figures of a tensor's values that cost one pass: range, RMS, zeros, what is not finite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvc.codecs.base import Buffer
from mvc.codecs.values import as_float


@dataclass(frozen=True, slots=True)
class ValueStats:
    """Over the finite values of one or more pieces; `merge` adds pieces up. minimum > maximum if there are none."""

    count: int
    zeros: int
    nan: int
    inf: int
    minimum: float
    maximum: float
    sum_squares: float

    @property
    def rms(self) -> float:
        """Root of the mean square of the finite values, 0.0 if there are none."""
        finite = self.count - self.nan - self.inf
        return float((self.sum_squares / finite) ** 0.5) if finite else 0.0

    def merge(self, other: ValueStats) -> ValueStats:
        """The figures of both pieces together."""
        return ValueStats(
            self.count + other.count,
            self.zeros + other.zeros,
            self.nan + other.nan,
            self.inf + other.inf,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.sum_squares + other.sum_squares,
        )


NOTHING = ValueStats(0, 0, 0, 0, float("inf"), float("-inf"), 0.0)
"""The figures of no values, to begin a merge with."""


def value_stats(raw: Buffer, dtype: str) -> ValueStats | None:
    """All figures of `raw`; None for a dtype that is not a number's. Complex numbers count as two."""
    values = as_float(raw, dtype)
    if values is None:
        return None
    finite = values[np.isfinite(values)]
    nan = int(np.count_nonzero(np.isnan(values)))
    if not finite.size:
        return ValueStats(values.size, 0, nan, values.size - nan, NOTHING.minimum, NOTHING.maximum, 0.0)
    wide = finite.astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        squares = float(np.einsum("i,i->", wide, wide))  # np.dot starts threads, which wait in a busy loop
    return ValueStats(
        count=values.size,
        zeros=int(finite.size - np.count_nonzero(finite)),
        nan=nan,
        inf=values.size - finite.size - nan,
        minimum=float(finite.min()),
        maximum=float(finite.max()),
        sum_squares=squares,
    )
