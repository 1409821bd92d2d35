"""Chunks that follow the verdict over one of them: whatever is mixed, each decodes to itself and is never longer."""

from __future__ import annotations

import random
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.codecs.base import Base, Encoded
from mvc.codecs.decode import decode
from mvc.codecs.encode import Precedent, encode
from tests.codecs import making


def _check(raw: bytes, encoded: Encoded, bases: tuple[Base, ...]) -> None:
    payload = b"".join(encoded.payload)
    assert encoded.size == len(encoded.params) + len(payload) <= len(raw)
    chosen = () if encoded.base is None else (bases[encoded.base].raw,)
    assert decode(encoded.codec, encoded.params, payload, len(raw), chosen) == raw


@st.composite
def _bases(draw: st.DrawFn, raw: bytes) -> tuple[Base, ...]:
    """Like the chunk, unlike it, shorter, longer, none, two."""
    like = bytearray(raw)
    for at in draw(st.lists(st.integers(0, max(len(raw) - 1, 0)), max_size=20)):
        like[at : at + 1] = bytes((draw(st.integers(0, 255)),))[: len(like) - at]
    data = st.sampled_from([bytes(like), raw[: len(raw) // 2], bytes(like) * 2, b"", bytes(len(raw)), raw[::-1]])
    kind = st.sampled_from(["same", "fp32"])
    return tuple(draw(st.lists(st.builds(Base, kind, data), max_size=2)))


@settings(max_examples=50, deadline=None)
@given(st.lists(making.chunks(), min_size=1, max_size=6), st.data())
def test_any_mix_of_chunks(chunks: list[tuple[str | None, bytes]], data: st.DataObject) -> None:
    """Also those that no tensor would mix: of other dtypes, lengths, bases."""
    precedent = Precedent()
    for dtype, raw in [*chunks, *chunks]:
        bases = data.draw(_bases(raw))
        for _ in range(data.draw(st.integers(1, 3))):
            _check(raw, encode(raw, dtype, bases, precedent=precedent), bases)


def _tensor(count: int) -> list[tuple[bytes, tuple[Base, ...]]]:
    """Pieces of a fine-tuned tensor; some were not touched, some are of another scale, the last is short."""
    rng = random.Random(5)
    pieces: list[tuple[bytes, tuple[Base, ...]]] = []
    for number in range(count):
        step = rng.choice([2e-4, 2e-4, 2e-4, 1e-2, 0.0])
        before, after = making.tuned("BF16", 16_384, seed=number, step=step)
        pieces.append((after, (Base("same", before),)))
    raw, (base,) = pieces[-1]
    return [*pieces[:-1], (raw[:3001], (base,))]


def test_what_it_costs_is_little() -> None:
    """Against judging each chunk: as far as this kind of data goes, a percent."""
    pieces, precedent = _tensor(24), Precedent()
    with_it = [encode(raw, "BF16", bases, precedent=precedent) for raw, bases in pieces]
    without = [encode(raw, "BF16", bases) for raw, bases in pieces]
    assert sum(made.size for made in with_it) <= 1.01 * sum(made.size for made in without)


def test_from_many_threads() -> None:
    pieces, precedent = _tensor(40), Precedent()
    made: dict[int, Encoded] = {}
    errors: list[BaseException] = []

    def work(start: int) -> None:
        try:
            for at in range(start, len(pieces), 8):
                raw, bases = pieces[at]
                made[at] = encode(raw, "BF16", bases, precedent=precedent)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(made) == len(pieces)
    for at, (raw, bases) in enumerate(pieces):
        _check(raw, made[at], bases)
