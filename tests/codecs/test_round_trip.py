"""What goes in comes out, whatever it is, with the kernel and with numpy, and each reads the other's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.codecs import engine, portable
from mvc.codecs.base import Base, Codec, Encoded
from mvc.codecs.decode import decode
from mvc.codecs.dtypes import KINDS
from mvc.codecs.encode import encode, estimate
from tests.codecs import making

ENGINES = [pytest.param(portable, id="numpy")]
if engine.engine is not portable:
    ENGINES.append(pytest.param(engine.engine, id="kernel"))


@pytest.fixture(params=ENGINES)
def each_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    before = engine.engine
    engine.engine = request.param
    yield
    engine.engine = before


def there_and_back(raw: bytes, dtype: str | None, bases: tuple[Base, ...] = ()) -> Encoded:
    encoded = encode(raw, dtype, bases)
    payload = b"".join(encoded.payload)
    assert encoded.size == len(encoded.params) + len(payload) <= max(len(raw), 0)
    assert len(encoded.params) <= 255
    chosen = () if encoded.base is None else (bases[encoded.base].raw,)
    for other in (engine.engine, portable):
        mine, engine.engine = engine.engine, other
        try:
            assert decode(encoded.codec, encoded.params, payload, len(raw), chosen) == raw
            out = bytearray(len(raw))
            assert decode(encoded.codec, encoded.params, payload, len(raw), chosen, out) is out
            assert out == raw
        finally:
            engine.engine = mine
    return encoded


@pytest.mark.usefixtures("each_engine")
class TestWithEachEngine:
    @settings(max_examples=150, deadline=None)
    @given(making.chunks())
    def test_any_bytes_without_a_base(self, chunk: tuple[str | None, bytes]) -> None:
        there_and_back(chunk[1], chunk[0])

    @settings(max_examples=150, deadline=None)
    @given(making.chunks(), st.data())
    def test_any_bytes_with_bases(self, chunk: tuple[str | None, bytes], data: st.DataObject) -> None:
        dtype, raw = chunk
        bases = []
        for kind in data.draw(st.lists(st.sampled_from(["same", "fp32"]), max_size=3)):
            if data.draw(st.booleans()):  # near: some bytes are changed
                bits = np.frombuffer(raw, np.uint8).copy()
                bits[:: data.draw(st.integers(2, 50))] ^= 1
                other = bits.tobytes()
            else:
                other = data.draw(making.chunks())[1]
            grown = other + bytes(data.draw(st.integers(0, 20)))
            bases.append(Base(kind, grown[: data.draw(st.integers(0, len(grown)))]))
        there_and_back(raw, dtype, tuple(bases))

    @pytest.mark.parametrize("dtype", making.FLOATS)
    @pytest.mark.parametrize("elements", [1, 12, 97, 5003])
    def test_patterns_that_arithmetic_would_not_keep(self, dtype: str, elements: int) -> None:
        raw = making.specials(dtype, elements)
        there_and_back(raw, dtype)
        there_and_back(raw, dtype, (Base("same", making.specials(dtype, elements, 1)),))
        there_and_back(raw, dtype, (Base("fp32", making.specials("F32", elements, 2)),))

    @pytest.mark.parametrize("dtype", making.FLOATS)
    def test_a_fine_tune_is_a_small_delta(self, dtype: str) -> None:
        before, after = making.tuned(dtype, 20000)
        alone = there_and_back(after, dtype)
        delta = there_and_back(after, dtype, (Base("same", making.weights(dtype, 20000, 9)), Base("same", before)))
        assert alone.codec == Codec.PLANES
        assert (delta.codec, delta.base, delta.bases_used) == (Codec.DELTA, 1, 1)
        assert delta.size < {"F64": 0.9, "F32": 0.8}.get(dtype, 0.6) * alone.size

    @pytest.mark.parametrize("dtype", ["BF16", "F16"])
    def test_an_export_of_fp32_costs_its_params(self, dtype: str) -> None:
        values = making.random().standard_normal(30000).astype("<f4")
        fp32 = values.tobytes()
        bits = values.view("<u4").astype(np.uint64)
        bf16 = (bits + 0x7FFF + (bits >> 16 & 1) >> 16).astype("<u2").tobytes()
        raw = bf16 if dtype == "BF16" else values.astype("<f2").tobytes()
        encoded = there_and_back(raw, dtype, (Base("fp32", fp32),))
        assert encoded.codec == Codec.CAST
        assert encoded.size < 16

    def test_a_base_that_is_equal_costs_its_params(self) -> None:
        raw = making.weights("F32", 10000)
        assert there_and_back(raw, "F32", (Base("same", raw),)).size < 16

    @pytest.mark.parametrize("dtype", ["BF16", "F32"])
    def test_a_base_that_is_shorter_or_longer(self, dtype: str) -> None:
        before, after = making.tuned(dtype, 20000)
        full = there_and_back(after, dtype, (Base("same", before),)).size
        assert there_and_back(after, dtype, (Base("same", before + before),)).size == full
        half = there_and_back(after, dtype, (Base("same", before[: len(before) * 3 // 4 + 1]),))
        assert half.codec == Codec.DELTA
        assert half.size > full

    @pytest.mark.parametrize("width", [2, 4, 8])
    @pytest.mark.parametrize("head", [0, 1, 2, 3, 5, 7])
    def test_floats_are_found_at_any_alignment(self, width: int, head: int) -> None:
        dtype = {2: "BF16", 4: "F32", 8: "F64"}[width]
        raw = bytes(range(101, 101 + head)) + making.weights(dtype, 16000)
        known = there_and_back(raw[head:], dtype)
        found = there_and_back(raw, None)
        assert found.codec == Codec.PLANES
        assert found.size < known.size * 1.01 + 16

    def test_text_goes_through_zstd(self) -> None:
        text = b"".join(b"line %d of a log that tells little\n" % k for k in range(5000))
        assert there_and_back(text, None).codec == Codec.ZSTD
        assert there_and_back(text, "U8").codec == Codec.ZSTD

    @pytest.mark.parametrize("dtype", [None, *KINDS])
    def test_noise_stays_raw_and_is_not_copied(self, dtype: str | None) -> None:
        noise = making.random().bytes(50000)
        encoded = there_and_back(noise, dtype)
        assert encoded.codec == Codec.RAW
        assert encoded.payload[0] is noise

    def test_rows_of_zeros_cost_next_to_nothing(self) -> None:
        table = np.frombuffer(making.weights("F32", 64 * 384), "<f4").reshape(64, 384).copy()
        table[np.arange(64) % 8 != 0] = 0
        assert there_and_back(table.tobytes(), "F32").size < 0.12 * table.nbytes


def test_buffers_of_any_kind() -> None:
    raw = making.weights("BF16", 3000)
    for kind in (bytes, bytearray, memoryview):
        encoded = encode(kind(raw), "BF16", (Base("same", kind(raw[:100])),))
        payload = b"".join(encoded.payload)
        assert decode(encoded.codec, encoded.params, kind(payload), len(raw)) == raw


def test_a_base_in_several_pieces() -> None:
    before, after = making.tuned("F32", 5000)
    encoded = encode(after, "F32", (Base("same", before),))
    pieces = (before[:7001], before[7001:])
    assert decode(encoded.codec, encoded.params, b"".join(encoded.payload), len(after), pieces) == after


def test_estimate_ranks_bases() -> None:
    before, after = making.tuned("BF16", 8000)
    near = estimate(after, "BF16", Base("same", before))
    far = estimate(after, "BF16", Base("same", making.weights("BF16", 8000, 5)))
    alone = estimate(after, "BF16")
    assert near < alone < far
    assert near == pytest.approx(encode(after, "BF16", (Base("same", before),)).size, rel=0.2)
    assert estimate(after, "F32", Base("fp32", before)) == len(after)
