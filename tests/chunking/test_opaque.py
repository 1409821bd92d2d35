from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.chunking import opaque
from mvc.chunking.opaque import AVERAGE, MAXIMUM, MINIMUM, NORMALISATION, cut_opaque
from mvc.errors import FileChanged
from mvc.formats.base import ReadAt

GOLDEN = Path(__file__).parent / "golden-cuts.txt"


def noise(size: int, seed: bytes = b"") -> bytes:
    """Bytes without a pattern, the same everywhere and for ever."""
    return blake3(b"content-defined cuts" + seed).digest(size)


def reader(data: bytes) -> ReadAt:
    return lambda offset, length: data[offset : offset + length]


def cuts(data: bytes) -> list[int]:
    return [length for _, length in cut_opaque(reader(data), 0, len(data))]


def vectors() -> dict[str, bytes]:
    return {
        "noise": noise(3_000_000),
        "zeros": bytes(700_000),
        "text": b"".join(b"line %d of a text that is cut by its content\n" % number for number in range(40_000)),
        "floats": b"".join(bytes((value & 255, value >> 8 & 255, 0xC0, 0x3F)) for value in noise(400_000)),
        "odd-tail": noise(MINIMUM + 1, b"tail"),
        "small": noise(MINIMUM, b"small"),
    }


def golden() -> dict[str, list[int]]:
    lines = (line.split(":") for line in GOLDEN.read_text().splitlines() if not line.startswith("#"))
    return {name: [int(length) for length in lengths.split()] for name, lengths in lines}


def test_cuts_are_where_they_always_were() -> None:
    assert {name: cuts(data) for name, data in vectors().items()} == golden()


def test_the_fallback_of_the_library_cuts_alike() -> None:
    """Without its compiled part, `pyfastcdc` is slow but must cut the same."""
    fallback = pytest.importorskip("pyfastcdc.py")
    cutter = fallback.FastCDC(AVERAGE, min_size=MINIMUM, max_size=MAXIMUM, normalized_chunking=NORMALISATION)
    data = vectors()["noise"][:400_000]
    found = [chunk.length for chunk in cutter.cut_buf(data)]
    assert found[:-1] == golden()["noise"][: len(found) - 1]


def test_sizes_stay_within_bounds() -> None:
    for lengths in golden().values():
        assert all(MINIMUM <= length <= MAXIMUM for length in lengths[:-1])
        assert 0 < lengths[-1] <= MAXIMUM


@pytest.mark.parametrize("window", [MAXIMUM, MAXIMUM + 1, 1_000_003])
def test_cuts_do_not_depend_on_the_window(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(opaque, "WINDOW", window)
    assert {name: cuts(data) for name, data in vectors().items()} == golden()


def test_cuts_do_not_depend_on_where_the_segment_lies() -> None:
    data = vectors()["noise"]
    outer = b"before" + data + b"behind"
    found = list(cut_opaque(reader(outer), 6, len(data)))
    assert [length for _, length in found] == golden()["noise"]
    assert [offset for offset, _ in found] == [6, *(6 + end for end in itertools.accumulate(golden()["noise"]))][:-1]


def test_nothing_has_no_chunks() -> None:
    assert list(cut_opaque(reader(b"abc"), 1, 0)) == []


def test_a_file_that_shrank_is_noticed() -> None:
    data = noise(100_000)
    for size in (100_001, 2**40):
        with pytest.raises(FileChanged):
            list(cut_opaque(reader(data), 0, size))


def test_memory_is_a_window_whatever_the_size() -> None:
    longest = 0

    def zeros(offset: int, length: int) -> bytes:
        nonlocal longest
        longest = max(longest, length)
        return bytes(length)

    reads = itertools.islice(cut_opaque(zeros, 0, 2**42), 200)
    assert sum(length for _, length in reads) == 200 * MAXIMUM
    assert longest <= opaque.WINDOW


DATA = noise(3_000_000)
BEFORE = {DATA[offset : offset + length] for offset, length in cut_opaque(reader(DATA), 0, len(DATA))}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(DATA)), st.binary(min_size=0, max_size=300), st.integers(0, 2000))
def test_an_edit_costs_the_chunks_around_it(position: int, inserted: bytes, removed: int) -> None:
    """The average costs one chunk and a half; three of the longest are never passed on these data."""
    edited = DATA[:position] + inserted + DATA[position + removed :]
    chunks = [edited[offset : offset + length] for offset, length in cut_opaque(reader(edited), 0, len(edited))]
    assert b"".join(chunks) == edited
    assert sum(len(chunk) for chunk in chunks if chunk not in BEFORE) <= 3 * MAXIMUM
