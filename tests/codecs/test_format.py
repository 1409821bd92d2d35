"""The bytes of docs/format/codecs.md: records worked out by hand, and what the stand-alone reader makes of ours."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.codecs.base import Base, Codec
from mvc.codecs.decode import decode
from mvc.codecs.encode import encode
from tests.codecs import making

ROOT = Path(__file__).resolve().parents[2]


def hexed(text: str) -> bytes:
    return bytes.fromhex(text)


def halves(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}H", *numbers)


@pytest.mark.parametrize(
    ("codec", "params", "payload", "base", "raw"),
    [
        # planes of 2 bytes, both stored: low bytes, then high bytes
        (Codec.PLANES, "01 00 01 01", "01 02 03 a1 a2 a3", None, hexed("01a1 02a2 03a3")),
        # the same rotated left by one: 0x8001 is stored as 0x0003, 0x3f80 as 0x7f00
        (Codec.PLANES, "11 00 01 01", "03 00 00 7f", None, halves(0x8001, 0x3F80)),
        # one byte before the first element, one after the last; the high plane constant
        (Codec.PLANES, "01 01 01 00 3f", "05 06 aa bb", None, hexed("aa 053f 063f bb")),
        # the low byte as 4 + 4 bits: elements 0x21, 0x43, 0x65 (the last byte half empty)
        (Codec.PLANES, "04 00 01 01", "31 05 42 06", None, hexed("21 43 65")),
        # the low byte as 2 + 2 + 4 bits: 0b0001_10_11, then four more, of which one fills the next byte
        (Codec.PLANES, "08 00 01 01 01", "03 01 02 00 01 00 00", None, hexed("1b 00 00 00 01")),
        # deltas: +1 is 2, -1 is 1, -3 is 5; the base is too short, so the last prediction is 0
        (Codec.DELTA, "01 00 01 00 00", "02 01 05 04", halves(10, 10, 10), halves(11, 9, 7, 2)),
        # in two groups, by the high byte of the base shifted left by one: from 0x20 on is group 1
        (
            Codec.DELTA,
            "21 00 01 01 20 02000000 01 00 00",
            "02 04 06 08",
            halves(0x3F00, 0x0100, 0x0F00, 0x1000),
            halves(0x3F00 + 3, 0x0100 + 1, 0x0F00 + 2, 0x1000 + 4),
        ),
        # cast: 1.0 and -2.5 to BF16, a tie to even, NaN; no payload but planes of zeros
        (
            Codec.CAST,
            "01 00 00 00 00 00",
            "",
            struct.pack("<4I", 0x3F800000, 0xC0200000, 0x3F808000, 0xFFC12345),
            halves(0x3F80, 0xC020, 0x3F80, 0x7FC0),
        ),
        # and to FP16: 1.0, the smallest denormal, what is too large, NaN with its sign
        (
            Codec.CAST,
            "11 00 00 00 00 00",
            "",
            struct.pack("<4I", 0x3F800000, 0x33800000, 0x47800000, 0xFFC12345),
            halves(0x3C00, 0x0001, 0x7C00, 0xFE00),
        ),
        # a packed plane: a frame of one block that repeats one byte
        (Codec.PLANES, "00 00 02 0a000000", "28b52ffd 20 08 43 00 00 55", None, b"\x55" * 8),
        (Codec.RAW, "", "01 02", None, b"\1\2"),
        (Codec.ZSTD, "", "28b52ffd 20 08 43 00 00 55", None, b"\x55" * 8),
    ],
)
def test_records_worked_out_by_hand(codec: int, params: str, payload: str, base: bytes | None, raw: bytes) -> None:
    bases = () if base is None else (base,)
    assert decode(codec, hexed(params), hexed(payload), len(raw), bases) == raw


def the_reader() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stand_alone_reader", ROOT / "docs" / "format" / "reader.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


READER = the_reader()


@settings(max_examples=200, deadline=None)
@given(making.chunks(), st.integers(0, 3), st.integers(0, 2**32))
def test_the_stand_alone_reader_agrees(chunk: tuple[str | None, bytes], kind: int, seed: int) -> None:
    dtype, raw = chunk
    if kind == 0:
        bases: tuple[Base, ...] = ()
    elif kind == 1:
        bases = (Base("same", making.random(seed).bytes(len(raw) // 2)),)
    else:
        dtype = ("BF16", "F32", "F16")[seed % 3]
        before, raw = making.tuned(dtype, 1 + seed % 3000, seed)
        bases = (Base("same", before[: len(before) - seed % 5]),)
    encoded = encode(raw, dtype, bases)
    base = b"" if encoded.base is None else bytes(bases[encoded.base].raw)
    assert READER.decode(encoded.codec, encoded.params, b"".join(encoded.payload), len(raw), base) == raw
