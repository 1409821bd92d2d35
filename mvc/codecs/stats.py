"""Figures of a tensor's values that cost one pass: what is not finite, range, RMS, zeros."""

from __future__ import annotations

from dataclasses import dataclass

from mvc.codecs.base import Buffer


@dataclass(frozen=True, slots=True)
class ValueStats:
    """Over the finite values of one or more pieces; `merge` adds pieces up. min > max if there are none."""

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


def count_nonfinite(raw: Buffer, dtype: str | None) -> tuple[int, int] | None:
    """(NaN, infinite) values in `raw`; None if `dtype` has neither, or is not known.

    F64 F32 F16 BF16 F8_E4M3 (no infinity) F8_E5M2, C64 and C128 (each part counts). A last
    element that is cut off does not count.
    """
    return None


def value_stats(raw: Buffer, dtype: str) -> ValueStats | None:
    """All figures of `raw`; None for a dtype that is not a number's."""
    return None
