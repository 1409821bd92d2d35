"""The kernel does what numpy does, bit for bit, but for how it packs a plane: that zstandard reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.codecs import engine, portable
from mvc.codecs.scheme import CAST_BF16, CAST_F16, CONSTANT, DELTA, LOW_BITS, PACKED, PLAIN, ROTATE, STORED
from tests.codecs import making

kernel = engine.engine
pytestmark = pytest.mark.skipif(kernel is portable, reason="the kernel is not compiled here")


@st.composite
def schemes(draw: st.DrawFn) -> dict[str, Any]:
    width = draw(st.sampled_from([1, 2, 4, 8]))
    transform = draw(st.sampled_from([PLAIN, ROTATE, DELTA, DELTA] + [CAST_BF16, CAST_F16] * (width == 2)))
    order = b""
    if transform >= DELTA and draw(st.booleans()):
        count = draw(st.sampled_from([1, 3, 3, 3, 7]))
        thresholds = draw(st.lists(st.integers(1, 255), min_size=count, max_size=count, unique=True))
        order = bytes([draw(st.integers(0, 8 * width - 1)), *sorted(thresholds)])
    return {"transform": transform, "width": width, "low": draw(st.integers(0, 2)), "order": order}


def data_for(draw: Any, width: int, per_element: int = 1) -> tuple[bytes, bytes]:
    elements = draw(st.one_of(st.integers(1, 40), st.integers(1, 9000)))
    rng = making.random(draw(st.integers(0, 2**32)))
    spread = draw(st.sampled_from([2, 12, 256]))
    raw = rng.integers(0, spread, elements * width).astype(np.uint8).tobytes()
    base = rng.integers(0, 256, elements * width * per_element).astype(np.uint8)
    if per_element == 1 and draw(st.booleans()):
        base = np.frombuffer(raw, np.uint8) ^ (base < 20)
    return raw, base.tobytes()[: draw(st.sampled_from([None, None, len(base) // 2, -1]))]


@settings(max_examples=300, deadline=None)
@given(schemes(), st.data())
def test_the_same_planes_and_figures(scheme: dict[str, Any], data: st.DataObject) -> None:
    transform, width, low, order = scheme["transform"], scheme["width"], scheme["low"], scheme["order"]
    raw, base = data_for(data.draw, width, 2 if transform >= CAST_BF16 else 1)
    scratch = engine.scratch(len(raw))
    based = base if transform >= DELTA else None
    planes, starts = kernel.encode(raw, based, transform, width, low, order, bytes(width + low), scratch)
    assert (planes, starts) == portable.encode(raw, based, transform, width, low, order, bytes(width + low), scratch)
    assert kernel.costs(raw, based, transform, width, order, scratch) == portable.costs(
        raw, based, transform, width, order, scratch
    )
    for one in (kernel, portable):
        out = bytearray(len(raw))
        one.decode([value for _, value in planes], based, transform, width, low, order, starts, out, scratch)
        assert out == raw
        if transform == DELTA and len(base) <= len(raw):  # in place: the base lies where the elements come to lie
            out[: len(base)] = base
            within = memoryview(out)[: len(base)]
            one.decode([value for _, value in planes], within, transform, width, low, order, starts, out, scratch)
            assert out == raw
    if transform >= DELTA:
        elements = len(raw) // width
        for shift in (0, 1, 4, 8 * width - 1):
            if shift < 8 * width:
                mine = kernel.keys(based, transform, width, shift, elements, scratch)
                assert mine == portable.keys(based, transform, width, shift, elements, scratch)


@pytest.mark.parametrize("elements", [1, 15, 2048, 2049, 2063, 6144, 9001])
@pytest.mark.parametrize("thresholds", [b"\1\2\3", b"\x76\x78\x79", b"\xfd\xfe\xff", b"\1\x80\xff"])
@pytest.mark.parametrize("transform", [DELTA, CAST_BF16])
def test_the_way_of_a_fine_tune(elements: int, thresholds: bytes, transform: int) -> None:
    """Two bytes an element, four groups by the exponent: many elements at once, and what is left of them."""
    rng = making.random(elements)
    raw = rng.bytes(2 * elements)
    base = np.frombuffer(raw, np.uint16) + rng.integers(-300, 300, elements).astype(np.uint16)
    known = base.tobytes() if transform == DELTA else (base.astype(np.uint32) << 16).tobytes()
    scratch = engine.scratch(len(raw))
    for low in range(3):
        for order in (b"", b"\1" + thresholds, b"\2" + thresholds):
            args = (raw, known[: rng.integers(len(known) + 1)], transform, 2, low, order, bytes(2 + low), scratch)
            planes, starts = kernel.encode(*args)
            assert (planes, starts) == portable.encode(*args)
            out = bytearray(len(raw))
            kernel.decode([value for _, value in planes], args[1], transform, 2, low, order, starts, out, scratch)
            assert out == raw


@pytest.mark.parametrize("transform", [CAST_BF16, CAST_F16])
@pytest.mark.parametrize("low_half", [0, 1, 0x0FFF, 0x1000, 0x1001, 0x2000, 0x7FFF, 0x8000, 0x8001, 0xFFFF])
def test_rounding_of_every_high_half(transform: int, low_half: int) -> None:
    fp32 = ((np.arange(65536, dtype=np.uint32) << 16) | low_half).tobytes()
    raw = bytes(131072)
    scratch = engine.scratch(len(raw))
    mine = kernel.encode(raw, fp32, transform, 2, 0, b"", b"\0\0", scratch)
    assert mine == portable.encode(raw, fp32, transform, 2, 0, b"", b"\0\0", scratch)


@st.composite
def planes(draw: st.DrawFn) -> bytes:
    """Bytes of any distribution, with runs or without."""
    rng = making.random(draw(st.integers(0, 2**32)))
    size = draw(st.one_of(st.integers(1, 300), st.integers(1, 70000), st.sampled_from([16384, 131072, 131073, 300000])))
    match draw(st.integers(0, 6)):
        case 0:
            values = rng.integers(0, draw(st.integers(1, 256)), size)
        case 1:
            values = np.abs(rng.standard_normal(size) * draw(st.floats(0.1, 60)))
        case 2:
            values = rng.geometric(draw(st.floats(0.02, 0.999)), size).clip(0, 255)
        case 3:
            values = np.repeat(rng.integers(0, 256, size // 20 + 1), rng.integers(1, 60, size // 20 + 1))
        case 4:
            values = rng.integers(1, 256, size) * (rng.random(size) < draw(st.floats(0, 0.1)))
        case 5:  # so steep that code lengths must be cut
            weights = 2.0 ** -np.arange(256) + 1e-9
            values = rng.choice(256, size, p=weights / weights.sum())
        case _:
            lengths = rng.integers(1, 70000, draw(st.integers(1, 6)))
            values = np.concatenate([np.full(n, k * 37) for k, n in enumerate(lengths)] + [rng.integers(0, 3, 5)])
    return values.astype(np.uint8).tobytes() or b"\0"


@settings(max_examples=300, deadline=None)
@given(planes())
def test_its_frames_are_zstandard(plane: bytes) -> None:
    [(mode, value)], _ = kernel.encode(plane, None, PLAIN, 1, 0, b"", b"\1", engine.scratch(len(plane)))
    if mode == CONSTANT:
        assert plane == bytes([value]) * len(plane)
    elif mode == STORED:
        assert value == plane
    else:
        assert mode == PACKED
        assert zstandard.get_frame_parameters(value).content_size == len(plane)
        assert zstandard.ZstdDecompressor().decompress(value, allow_extra_data=False) == plane
        # decoders that stream see the same
        assert zstandard.ZstdDecompressor().stream_reader(value).read() == plane


@pytest.mark.parametrize(
    ("transform", "width", "low", "order"),
    [
        (5, 1, 0, b""),
        (-1, 1, 0, b""),
        (PLAIN, 3, 0, b""),
        (PLAIN, 1, 3, b""),
        (PLAIN, 2, 0, b"\1\1\2\3"),
        (DELTA, 2, 0, b"\1"),
        (DELTA, 2, 0, b"\x10\1\2\3"),
        (DELTA, 2, 0, b"\1\2\2\3"),
        (DELTA, 2, 0, b"\1\0\2\3"),
        (DELTA, 2, 0, bytes(range(9))),
        (CAST_BF16, 4, 0, b""),
        (PLAIN, 8, 0, b""),
    ],
)
def test_schemes_that_make_no_sense(transform: int, width: int, low: int, order: bytes) -> None:
    scratch, raw = engine.scratch(12), bytes(12)
    hints = bytes(max(width + low, 0))
    with pytest.raises(ValueError, match="no such scheme"):
        kernel.encode(raw, None, transform, width, low, order, hints, scratch)
    with pytest.raises(ValueError, match="no such scheme"):
        kernel.decode(
            [0] * len(hints),
            None,
            transform,
            width,
            low,
            order,
            bytes(4 * max(len(order) - 1, 0)),
            bytearray(12),
            scratch,
        )


def test_buffers_that_are_too_small() -> None:
    raw, scratch = bytes(range(256)) * 8, engine.scratch(2048)
    with pytest.raises(ValueError, match="scratch"):
        kernel.encode(raw, None, PLAIN, 1, 0, b"", b"\1", bytearray(100))
    with pytest.raises(ValueError, match="hints"):
        kernel.encode(raw, None, PLAIN, 1, 0, b"", b"\1\1", scratch)
    with pytest.raises(ValueError, match="scratch"):
        kernel.decode([raw], None, PLAIN, 1, 0, b"", b"", bytearray(2048), bytearray(100))
    for wrong in ([raw[:-1]], [raw, raw], [], [256], [-1]):
        with pytest.raises(ValueError, match="plane"):
            kernel.decode(wrong, None, PLAIN, 1, 0, b"", b"", bytearray(2048), scratch)
    with pytest.raises(ValueError, match="sample"):
        kernel.costs(bytes(16385), None, PLAIN, 1, b"", engine.scratch(20000))
    with pytest.raises(TypeError):
        kernel.decode([None], None, PLAIN, 1, 0, b"", b"", bytearray(2048), scratch)  # type: ignore[list-item]


@pytest.mark.parametrize("starts", [(5, 5, 5), (0, 2048, 2048), (2048, 0, 0), (2049, 2049, 2049), (2**32 - 1,) * 3])
def test_groups_that_are_not_where_they_are_said_to_be(starts: tuple[int, ...]) -> None:
    base, scratch = making.random().bytes(4096), engine.scratch(4096)
    lies = np.array(starts, "<u4").tobytes()
    for one in (kernel, portable):
        with pytest.raises(ValueError, match="groups"):
            one.decode([7, 9], base, DELTA, 2, 0, b"\1\x20\x40\xc0", lies, bytearray(4096), scratch)


def test_plane_bits_add_up() -> None:
    assert all(sum(bits) == 8 for bits in LOW_BITS)
