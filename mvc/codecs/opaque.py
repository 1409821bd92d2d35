"""Chunks whose elements no parser told: are they floats all the same, how wide, and where do they begin?"""

from __future__ import annotations

from collections.abc import Sequence

from mvc.codecs.base import Base, Buffer
from mvc.codecs.judge import Verdict, judge_scheme, take, windows_of
from mvc.codecs.scheme import DELTA, PLAIN, ROTATE, Scheme

_SPAN, _UNIT = 2048, 8
"""Bytes of a window, and what each begins at a multiple of, so that all see the same alignment."""

_WIDER = 0.995
"""Wider elements must take less than this share of what narrower ones do."""


def judge_opaque(raw: Buffer, bases: Sequence[Base], width: int | None = None) -> Verdict:
    """The best scheme for a chunk of 16 bytes or more; `width` is that of its integers, if they are known."""
    view = memoryview(raw)
    windows = windows_of(len(view) - _UNIT, _SPAN, _UNIT)
    sample = take(view, windows)
    best = judge_scheme(sample, Scheme(PLAIN, width or 1))
    if width is None:
        for wider in (2, 4, 8):
            verdict = judge_scheme(sample, Scheme(PLAIN, wider))
            if verdict.share < _WIDER * best.share:
                best = verdict
        if best.scheme.width > 1:
            best = _rotated(view, windows, best)
    scheme = Scheme(DELTA, best.scheme.width, head=best.scheme.head)
    for index, base in enumerate(bases):
        if base.kind == "same":
            predicted = take(memoryview(base.raw)[scheme.head :], windows)
            delta = judge_scheme(take(view[scheme.head :], windows), scheme, predicted, index)
            best = delta if delta.share < best.share else best
    return best


def _rotated(view: memoryview, windows: Sequence[tuple[int, int]], plain: Verdict) -> Verdict:
    """If these are floats, the plane that takes least holds their exponents, and elements end with it."""
    width = plain.scheme.width
    head = (min(range(width), key=plain.costs.__getitem__) + 1) % width
    rotated = judge_scheme(take(view[head:], windows), Scheme(ROTATE, width, head=head))
    return rotated if rotated.share < plain.share else plain
