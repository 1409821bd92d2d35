"""Encoding a chunk: candidates are judged on a sample, the smallest is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mvc.codecs import engine, zstandards
from mvc.codecs.base import Base, Buffer, Codec, Encoded
from mvc.codecs.dtypes import KINDS, Kind
from mvc.codecs.judge import Verdict, judge, judge_base, sample_of
from mvc.codecs.opaque import judge_opaque
from mvc.codecs.scheme import DELTA, pack_params

SMALLEST = 48
"""Fewer bytes are stored raw: no codec's params and headers would pay."""

_WORTH_CODING = 0.985
"""A chunk whose sample takes more than this share of itself is stored raw."""

_TRIAL = 32 * 1024
"""So many bytes tell how well zstd does on a chunk; a chunk of up to twice as many is all tried."""

_PREFER_PLANES = 0.97
"""zstd must take less than this share of what planes take: they are decoded faster."""


_SAME_CASE = 0.97, 1.02
"""What was chosen for one chunk holds for the next if that then takes such a share of what the first took."""

_RULINGS = 8
"""So many chunks may rest on one sample."""


@dataclass(slots=True)
class Precedent:
    """What was chosen for a chunk of floats, for those that follow it in the same tensor.

    Judging takes a sixth of the time of a delta. Neighbours mostly come to the same verdict; and what
    a chunk really takes then tells whether this one did. May be shared between threads.
    """

    found: tuple[Verdict, tuple[str, ...], float] | None = None
    """The verdict, the kinds of bases there were, the share of itself that the chunk took."""
    left: int = 0

    def verdict(self, bases: Sequence[Base]) -> Verdict | None:
        """The verdict to try first."""
        found = self.found
        if found is None or self.left <= 0 or found[1] != tuple(base.kind for base in bases):
            return None
        self.left -= 1
        return found[0]

    def holds(self, share: float) -> bool:
        """Whether a chunk that came to this share is a case like the one that was judged."""
        return self.found is not None and _SAME_CASE[0] <= share / self.found[2] <= _SAME_CASE[1]

    def note(self, verdict: Verdict, bases: Sequence[Base], share: float) -> None:
        """A chunk was judged, and came to `share`."""
        self.found, self.left = (verdict, tuple(base.kind for base in bases), share), _RULINGS


def encode(
    raw: Buffer,
    dtype: str | None = None,
    bases: Sequence[Base] = (),
    *,
    zstd_level: int = 3,
    precedent: Precedent | None = None,
) -> Encoded:
    """Encode a chunk of one dtype, at most 2**32 - 1 bytes.

    `dtype` is a hint, spelt as in `formats.base.Tensor`; None or an unknown one means opaque
    bytes, which are sampled for floats of 2, 4 and 8 bytes. Every base that fits is a candidate.
    `precedent` is that of the chunk's tensor; which chunks were judged then shows in their sizes.
    Thread-safe; releases the GIL while it works; never fails on any content.
    """
    kind = KINDS.get(dtype or "")
    if len(raw) < SMALLEST:
        return _stored(raw)
    if dtype is not None and kind is not None and kind.exponent is not None:
        return _encode_floats(raw, dtype, kind, bases, precedent)
    return _encode_opaque(raw, kind, bases, zstd_level)


def _stored(raw: Buffer) -> Encoded:
    return Encoded(Codec.RAW, b"", (raw,))


def _encode_floats(raw: Buffer, dtype: str, kind: Kind, bases: Sequence[Base], precedent: Precedent | None) -> Encoded:
    size = len(raw)
    known = precedent.verdict(bases) if precedent is not None else None
    tried = _stored(raw)
    if precedent is not None and known is not None:
        tried = _apply(raw, known, bases)
        if precedent.holds(tried.size / size) and tried.size < size:
            return tried
    verdict = judge(sample_of(raw, dtype, kind), bases)
    if verdict.share > _WORTH_CODING:
        encoded = _stored(raw)
    elif known is not None and (known.scheme, known.base) == (verdict.scheme, verdict.base):
        encoded = tried
    else:
        encoded = _apply(raw, verdict, bases)
    if precedent is not None and encoded.codec != Codec.RAW:
        precedent.note(verdict, bases, encoded.size / size)
    return min((encoded, tried, _stored(raw)), key=lambda made: made.size)


def _encode_opaque(raw: Buffer, kind: Kind | None, bases: Sequence[Base], zstd_level: int) -> Encoded:
    verdict = judge_opaque(raw, bases, kind.width if kind else None)
    squeezed = _try_zstd(raw, verdict, zstd_level)
    if squeezed is not None:
        return squeezed
    encoded = _apply(raw, verdict, bases) if verdict.share <= _WORTH_CODING else _stored(raw)
    return min((encoded, _stored(raw)), key=lambda made: made.size)


def estimate(sample: Buffer, dtype: str | None, base: Base | None = None) -> int:
    """About how many bytes `sample` would take with that base (or none): to choose among bases.

    Costs some 30 microseconds at 16 KiB. The base's raw belongs to the sample, position by
    position. A base that does not fit the dtype gives what the sample takes raw.
    """
    kind = KINDS.get(dtype or "")
    bases = () if base is None else (base,)
    size = len(sample)
    if size < SMALLEST:
        return size
    verdict: Verdict | None
    if dtype is None or kind is None or kind.exponent is None:
        verdict = judge_opaque(sample, bases, kind.width if kind else None)
    elif base is None:
        verdict = judge(sample_of(sample, dtype, kind), ())
    else:
        verdict = judge_base(sample_of(sample, dtype, kind), base, 0)
    return size if verdict is None else min(size, round(verdict.share * size))


def _apply(raw: Buffer, verdict: Verdict, bases: Sequence[Base]) -> Encoded:
    scheme = verdict.scheme
    view = memoryview(raw)
    end = scheme.head + (len(view) - scheme.head) // scheme.width * scheme.width
    predicted: Buffer | None = None
    if verdict.base is not None:
        predicted = memoryview(bases[verdict.base].raw)[scheme.head if scheme.transform == DELTA else 0 :]
    planes, starts = engine.engine.encode(
        view[scheme.head : end],
        predicted,
        scheme.transform,
        scheme.width,
        scheme.low,
        scheme.order,
        verdict.hints,
        engine.scratch(len(view)),
    )
    payload = [value for _, value in planes if not isinstance(value, int)]
    payload += [bytes(rest) for rest in (view[: scheme.head], view[end:]) if len(rest)]
    return Encoded(scheme.codec, pack_params(scheme, starts, planes), tuple(payload), verdict.base)


def _try_zstd(raw: Buffer, verdict: Verdict, level: int) -> Encoded | None:
    """The chunk through zstd, if that beats the verdict and raw."""
    size = len(raw)
    whole = size <= 2 * _TRIAL
    middle = (size - _TRIAL) // 2
    trial = raw if whole else memoryview(raw)[middle : middle + _TRIAL]
    frame = zstandards.compress(trial, level)
    if len(frame) >= _PREFER_PLANES * min(verdict.share, 1.0) * len(trial):
        return None
    if not whole:
        frame = zstandards.compress(raw, level)
    return Encoded(Codec.ZSTD, b"", (frame,)) if len(frame) < size else None
