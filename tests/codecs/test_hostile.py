"""Records that lie: an error that says so, never a crash, never more memory than the chunk's size explains."""

from __future__ import annotations

import tracemalloc

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.codecs.base import Base, Codec
from mvc.codecs.decode import decode
from mvc.codecs.encode import encode
from mvc.errors import ParseError
from tests.codecs import making

RAW_SIZE = 4001


def samples() -> list[tuple[int, bytes, bytes, tuple[bytes, ...]]]:
    before, after = making.tuned("BF16", RAW_SIZE // 2 + 1)
    raw = after[:RAW_SIZE]
    cases = [(None, ()), ("F32", ()), ("BF16", (Base("same", before),)), ("BF16", (Base("fp32", after * 2),))]
    result = []
    for dtype, bases in cases:
        encoded = encode(raw, dtype, bases)
        used = () if encoded.base is None else (bytes(bases[encoded.base].raw),)
        result.append((encoded.codec, encoded.params, b"".join(encoded.payload), used))
    text = encode(b"some text, " * 300 + b"." * (RAW_SIZE - 3300), None)
    result.append((text.codec, text.params, b"".join(text.payload), ()))
    return result


SAMPLES = samples()


def test_the_samples_are_of_several_codecs() -> None:
    assert {codec for codec, *_ in SAMPLES} >= {Codec.ZSTD, Codec.PLANES, Codec.DELTA}


def attempt(codec: int, params: bytes, payload: bytes, raw_size: int, bases: tuple[bytes, ...]) -> None:
    try:
        raw = decode(codec, params, payload, raw_size, bases)
    except ParseError:
        return
    assert len(raw) == raw_size


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_changed_records(sample: tuple[int, bytes, bytes, tuple[bytes, ...]], data: st.DataObject) -> None:
    codec, params, payload, bases = sample
    raw_size = RAW_SIZE
    for _ in range(data.draw(st.integers(1, 3))):
        match data.draw(st.integers(0, 6)):
            case 0:
                at = data.draw(st.integers(0, max(len(params) - 1, 0)))
                params = params[:at] + data.draw(st.binary(max_size=3)) + params[at + 1 :]
            case 1:
                at = data.draw(st.integers(0, max(len(payload) - 1, 0)))
                payload = payload[:at] + data.draw(st.binary(max_size=3)) + payload[at + 1 :]
            case 2:
                raw_size = data.draw(st.integers(0, 20000))
            case 3:
                codec = data.draw(st.integers(0, 255))
            case 4:
                payload = payload[: data.draw(st.integers(0, len(payload)))]
            case 5:
                bases = tuple(data.draw(st.lists(st.binary(max_size=100), max_size=3)))
            case _:
                params = data.draw(st.binary(max_size=40))
    attempt(codec, params, payload, raw_size, bases)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 6), st.binary(max_size=60), st.binary(max_size=300), st.integers(0, 5000), st.booleans())
def test_noise(codec: int, params: bytes, payload: bytes, raw_size: int, based: bool) -> None:
    attempt(codec, params, payload, raw_size, (b"base" * 50,) if based else ())


def frame_that_claims(size: int) -> bytes:
    """A frame's header alone, with a content size of 8 bytes."""
    return b"\x28\xb5\x2f\xfd\xe0" + size.to_bytes(8, "little") + b"\1\0\0"


@pytest.mark.parametrize("claim", [0, 4000, 4002, 2**40, 2**63, 2**64 - 1, 2**64 - 2])
def test_a_frame_that_claims_another_size(claim: int) -> None:
    frame = frame_that_claims(claim)
    tracemalloc.start()
    with pytest.raises(ParseError):
        decode(Codec.ZSTD, b"", frame, 4001)
    params = b"\0\0\2" + len(frame).to_bytes(4, "little")
    with pytest.raises(ParseError):
        decode(Codec.PLANES, params, frame, 4001)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_bomb_within_its_claim_is_just_that_size() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(50_000_000))
    with pytest.raises(ParseError):
        decode(Codec.ZSTD, b"", bomb, 1000)


@pytest.mark.parametrize(
    "frame",
    [
        zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 1000),
        zstandard.ZstdCompressor().compress(b"x" * 1000) + b"more",
        zstandard.ZstdCompressor().compress(b"x" * 1000) * 2,
        b"\x50\x2a\x4d\x18\xe8\3\0\0" + bytes(1000),
        b"",
        b"\x28\xb5\x2f\xfd",
    ],
    ids=["no size", "more after it", "two frames", "skippable", "empty", "cut off"],
)
def test_frames_that_are_not_one_plain_frame(frame: bytes) -> None:
    with pytest.raises(ParseError):
        decode(Codec.ZSTD, b"", frame, 1000)


@pytest.mark.parametrize(
    ("codec", "params"),
    [
        (Codec.RAW, b"\0"),
        (Codec.ZSTD, b"\0"),
        (5, b""),
        (200, b""),
        (Codec.PLANES, b""),
        (Codec.PLANES, b"\0"),
        (Codec.PLANES, b"\0\0"),
        (Codec.PLANES, b"\x40\0\1"),
        (Codec.PLANES, b"\x0c\0\1\1\1\1"),
        (Codec.PLANES, b"\0\1\1"),
        (Codec.PLANES, b"\0\0\1\1"),
        (Codec.PLANES, b"\0\0\3"),
        (Codec.PLANES, b"\0\0\2\1\0\0"),
        (Codec.PLANES, b"\x20\0\1\1\5\1"),
        (Codec.DELTA, b"\x10\0\1"),
        (Codec.DELTA, b"\x20\0\0\1\1"),
        (Codec.DELTA, b"\x20\0\1\1\5\0\0\0"),
        (Codec.DELTA, b"\x20\0\1\1\5\1\0\0\0\1"),
        (Codec.DELTA, b"\x20\0\2\1\5\5\1"),
        (Codec.DELTA, b"\x20\0\1\x08\5\1"),
        (Codec.DELTA, b"\x20\0\x08\1\1\2\3\4\5\6\7\x08" + bytes(32) + b"\1"),
        (Codec.CAST, b"\0\0\1"),
        (Codec.CAST, b"\1\1\1\1"),
    ],
)
def test_params_that_make_no_sense(codec: int, params: bytes) -> None:
    bases = (bytes(100),) if codec in (Codec.DELTA, Codec.CAST) else ()
    with pytest.raises(ParseError):
        decode(codec, params, bytes(100), 100, bases)


def test_bases_must_fit_the_codec() -> None:
    with pytest.raises(ParseError):
        decode(Codec.DELTA, b"\0\0\1", bytes(100), 100)
    with pytest.raises(ParseError):
        decode(Codec.PLANES, b"\0\0\1", bytes(100), 100, (bytes(100),))
    assert decode(Codec.DELTA, b"\0\0\1", bytes(100), 100, (b"\7" * 100,)) == b"\7" * 100
