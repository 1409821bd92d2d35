from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.errors import ParseError, UnsupportedFormat, UsageError
from mvc.formats.base import Tensor
from mvc.objects import chunklist, manifest
from mvc.objects.manifest import ChunkRef, ListRef, Manifest, ManifestSegment

GOLDEN = Path(__file__).parent / "golden"

HASH = st.binary(min_size=32, max_size=32)
CHUNKS = st.lists(st.builds(ChunkRef, HASH, st.integers(1, manifest.MAX_CHUNK)), max_size=4)
LAST_LIST = st.builds(ListRef, HASH, st.integers(1, 10**6), st.integers(1, 16384), st.integers(1, 2**40))
FULL_LIST = st.builds(ListRef, HASH, st.integers(1, 10**6), st.just(16384), st.integers(1, 2**40))
TENSORS = st.builds(
    Tensor, st.text(max_size=20), st.text(max_size=8), st.lists(st.integers(0, 2**40), max_size=4).map(tuple)
)


@st.composite
def segments(draw: st.DrawFn) -> ManifestSegment:
    chunks: tuple[ChunkRef, ...] = ()
    lists: tuple[ListRef, ...] = ()
    if draw(st.booleans()):
        chunks = tuple(draw(CHUNKS))
    else:
        lists = (*draw(st.lists(FULL_LIST, max_size=2)), draw(LAST_LIST))
    length = sum(chunk.size for chunk in chunks) + sum(ref.length for ref in lists)
    kind = draw(st.sampled_from(["header", "opaque", "tensor"]))
    if kind != "tensor":
        return ManifestSegment("header" if kind == "header" else "opaque", length, None, chunks, lists)
    nan, inf = draw(st.sampled_from([(None, None), (0, 0), (3, 10**12)]))
    return ManifestSegment("tensor", length, draw(TENSORS), chunks, lists, nan, inf)


MANIFESTS = st.builds(
    lambda name, file_format, rows: Manifest(sum(row.length for row in rows), name, file_format, "1", tuple(rows)),
    HASH,
    st.sampled_from(["safetensors", "opaque", "a.b+c-d_0"]),
    st.lists(segments(), max_size=5),
)

PLAIN = Manifest(
    2097152 + 10,
    bytes(range(32)),
    "safetensors",
    "1",
    (
        ManifestSegment("header", 10, None, (ChunkRef(b"\1" * 32, 10),)),
        ManifestSegment(
            "tensor",
            2097152,
            Tensor('layer "0".w\u00e9\udcff', "BF16", (1024, 1024)),
            (ChunkRef(b"\2" * 32, 1048576), ChunkRef(b"\3" * 32, 1048576)),
            nan=0,
            inf=2,
        ),
        ManifestSegment("tensor", 0, Tensor("empty", "F32", (0, 4))),
    ),
)


@given(MANIFESTS)
def test_manifests_round_trip(made: Manifest) -> None:
    text = manifest.dump(made)
    assert manifest.is_manifest(text) and text.startswith(manifest.MAGIC) and text.isascii()
    assert manifest.parse(text) == made
    assert manifest.identity(text) == (made.size, made.blake3)


@given(MANIFESTS, st.data())
def test_a_change_is_refused_or_another_manifest(made: Manifest, data: st.DataObject) -> None:
    text = bytearray(manifest.dump(made))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        found = manifest.parse(bytes(text))
    except (ParseError, UnsupportedFormat):
        return
    assert manifest.dump(found) == bytes(text)


def test_golden() -> None:
    assert manifest.dump(PLAIN) == (GOLDEN / "manifest-1.txt").read_bytes()
    chunks = [ChunkRef(bytes([at]) * 32, 1048576 - at) for at in range(3)]
    assert chunklist.dump(chunks) == (GOLDEN / "chunklist-1.bin").read_bytes()


def changed(old: str, new: str) -> bytes:
    text = manifest.dump(PLAIN).decode()
    assert old in text
    return text.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("size 2097162", "size 2097163"),
        ("size 2097162", "size 02097162"),
        ("size 2097162", "size 99999999999999999999"),
        ("header 10", "header 11"),
        ("header 10", "header -10"),
        ("header 10\n", "header 10 \n"),
        ("[1024,1024]", "[1024,01024]"),
        ("[1024,1024]", "[" + ",".join("1" * 65) + "]"),
        ("[1024,1024]", "[99999999999999999999]"),
        ("[0,4]", "[]x"),
        (" 10\nt", " 0\nt"),
        ("nan=0 inf=2", "nan=0"),
        ("nan=0 inf=2", "nan=00 inf=2"),
        ('"empty"', '"empt\\u0079"'),
        ('"empty"', '"empt\\y"'),
        ('"empty"', '"em"pty"'),
        ("\nformat safetensors", ""),
        ("format safetensors", "format safe tensors"),
        ("rules 1", "rules " + "1" * 40),
        ("0202", "020G"),
        ("0202", "0202F"),
        ("chunk 01", "Chunk 01"),
        ("tensor 0 ", "list " + "0" * 64 + " 9 1 1\ntensor 0 "),
        ("\n", "\r\n"),
        ("mvc-manifest 1", "mvc-manifest 0"),
        ("mvc-manifest 1", "mvc-manifest 1 "),
        ("empty", "\u0141"),
    ],
)
def test_texts_that_lie_are_refused(old: str, new: str) -> None:
    with pytest.raises(ParseError):
        manifest.parse(changed(old, new))


def test_a_newer_version_is_told() -> None:
    for read in (manifest.parse, manifest.identity):
        with pytest.raises(UnsupportedFormat):
            read(b"mvc-manifest 2\nwhatever")
        with pytest.raises(ParseError):
            read(b"mvc-manifest x\nwhatever")
        with pytest.raises(ParseError):
            read(b"text")
    assert manifest.is_manifest(b"mvc-manifest 77\n") and not manifest.is_manifest(b"mvc-manifest")


def test_cut_texts_are_refused() -> None:
    text = manifest.dump(PLAIN)
    # Without its last line it is another file's manifest, for that tensor is empty.
    for end in range(text.rindex(b"tensor")):
        with pytest.raises(ParseError):
            manifest.parse(text[:end])


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_canonical(data: bytes) -> None:
    for text in (data, manifest.MAGIC + data, manifest.dump(PLAIN) + data):
        try:
            found = manifest.parse(text)
        except (ParseError, UnsupportedFormat):
            continue
        assert manifest.dump(found) == text


def test_more_inline_chunks_than_allowed_are_refused() -> None:
    def of(count: int) -> bytes:
        chunks = tuple(ChunkRef(bytes([at]) * 32, 1) for at in range(count))
        return manifest.dump(
            Manifest(count, bytes(32), "opaque", "1", (ManifestSegment("opaque", count, None, chunks),))
        )

    assert len(manifest.parse(of(64)).segments[0].chunks) == 64
    with pytest.raises(ParseError):
        manifest.parse(of(65))


def test_lists_but_the_last_are_full() -> None:
    def of(*counts: int) -> bytes:
        lists = tuple(ListRef(b"x" * 32, 100, count, count) for count in counts)
        segment = ManifestSegment("opaque", sum(counts), None, (), lists)
        return manifest.dump(Manifest(sum(counts), bytes(32), "opaque", "1", (segment,)))

    manifest.parse(of(16384, 16384, 5))
    for counts in ((5, 16384), (16385,), (16384, 5, 5)):
        with pytest.raises(ParseError):
            manifest.parse(of(*counts))


@pytest.mark.parametrize("token", ["", "a b", "-x", "x" * 33, "é", "a\n"])
def test_values_that_do_not_fit_are_not_written(token: str) -> None:
    with pytest.raises(UsageError):
        manifest.dump(Manifest(0, bytes(32), token, "1", ()))


# ---- chunk lists


@given(st.lists(st.builds(ChunkRef, HASH, st.integers(1, manifest.MAX_CHUNK)), min_size=1, max_size=40))
def test_chunk_lists_round_trip(chunks: list[ChunkRef]) -> None:
    data = chunklist.dump(chunks)
    assert len(data) == 12 + 36 * len(chunks)
    assert chunklist.parse(data) == chunks


@given(st.binary(max_size=120))
def test_hostile_chunk_lists_are_refused(data: bytes) -> None:
    for attempt in (data, chunklist.MAGIC + data, chunklist.MAGIC + b"\1\0\0\0" + data):
        try:
            found = chunklist.parse(attempt)
        except ParseError:
            continue
        assert chunklist.dump(found) == attempt


def test_a_long_segment() -> None:
    chunks = [ChunkRef(at.to_bytes(32), 1 + at % 7) for at in range(40_000)]
    rows = list(chunklist.split(chunks))
    assert [len(row) for row in rows] == [16384, 16384, 7232]
    lists = [chunklist.dump(row) for row in rows]
    assert max(map(len, lists)) < 1024 * 1024
    names = [bytes([at]) * 32 for at in range(3)]
    refs = tuple(
        ListRef(name, len(data), len(row), sum(chunk.size for chunk in row))
        for name, data, row in zip(names, lists, rows, strict=True)
    )
    stored = dict(zip(names, lists, strict=True))
    segment = ManifestSegment("opaque", sum(chunk.size for chunk in chunks), None, (), refs)
    assert list(chunklist.chunks_of(segment, stored.__getitem__)) == chunks
    made = manifest.parse(manifest.dump(Manifest(segment.length, bytes(32), "opaque", "1", (segment,))))
    assert set(chunklist.names(made, stored.__getitem__)) == set(names) | {chunk.name for chunk in chunks}
    stored[names[2]] = chunklist.dump(rows[2][:-1])
    with pytest.raises(ParseError):
        list(chunklist.chunks_of(segment, stored.__getitem__))


@pytest.mark.parametrize(
    "chunks", [[], [ChunkRef(b"x" * 32, 0)], [ChunkRef(b"x" * 31, 1)], [ChunkRef(b"x" * 32, 2**32)]]
)
def test_lists_that_cannot_be_are_not_written(chunks: list[ChunkRef]) -> None:
    with pytest.raises(UsageError):
        chunklist.dump(chunks)
