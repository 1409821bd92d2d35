"""Chains of deltas are undone in the memory that the chunk goes to; what others hold stays as it was."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mvc.codecs import engine, portable
from mvc.codecs.base import Base, Codec
from mvc.codecs.encode import encode
from mvc.errors import IntegrityError
from mvc.hashing import digest
from mvc.store.chunkstore import ChunkStore
from tests.store.making import open_store, pack_files, put, records_in

SIZE = 256 * 1024


def steps(count: int, size: int = SIZE) -> list[bytes]:
    """BF16 weights, and each a small step from the one before."""
    rng = np.random.default_rng(5)
    bits = rng.normal(0, 0.03, size // 2).astype(np.float32).view(np.uint32) >> 16
    versions = []
    for _ in range(count):
        versions.append(bits.astype(np.uint16).tobytes())
        bits = bits + (rng.random(bits.size) < 0.1)
    return versions


def put_chain(store: ChunkStore, raws: list[bytes]) -> list[bytes]:
    """Each but the first is stored as a delta of the one before. Returns their names."""
    with store.intend("test") as intent, store.writer(intent) as writer:
        for depth, raw in enumerate(raws):
            bases = (Base("same", raws[depth - 1]),) if depth else ()
            encoded = encode(raw, "BF16", bases)
            assert encoded.codec == (Codec.DELTA if depth else Codec.PLANES)
            assert writer.begin(digest(raw))
            names = tuple(digest(base.raw) for base in bases)
            writer.add(digest(raw), encoded, raw_size=len(raw), bases=names, depth=depth)
    return [digest(raw) for raw in raws]


@pytest.fixture
def raws() -> list[bytes]:
    return steps(5)


@pytest.fixture
def store(tmp_path: Path, raws: list[bytes]) -> ChunkStore:
    put_chain(open_store(tmp_path), raws)
    return open_store(tmp_path)


def test_read_at_every_depth(store: ChunkStore, raws: list[bytes]) -> None:
    out = bytearray(SIZE)
    for raw in reversed(raws):
        assert store.read(digest(raw), out=out) is out
        assert out == raw
    for raw in reversed(raws):
        assert store.read(digest(raw)) == raw


def test_a_base_that_was_read_before_stays_as_it_was(store: ChunkStore, raws: list[bytes]) -> None:
    for at in range(len(raws) - 1):
        held = store.read(digest(raws[at]))
        for later in raws[at + 1 :]:
            out = bytearray(SIZE)
            assert store.read(digest(later), out=out) == later
            assert store.read(digest(later)) == later
        assert held == raws[at] == store.read(digest(raws[at]))


def test_a_base_found_nearby_stays_as_it_was(store: ChunkStore, raws: list[bytes]) -> None:
    beside = {digest(raw): bytearray(raw) for raw in raws[:3]}
    for raw in raws[1:]:
        wanted = digest(raw)
        nearby = {name: data for name, data in beside.items() if name != wanted}
        assert store.read(wanted, out=bytearray(SIZE), nearby=nearby.get) == raw
    assert [bytes(data) for data in beside.values()] == raws[:3]


def test_what_is_nearby_but_wrong_is_not_used(store: ChunkStore, raws: list[bytes]) -> None:
    wrong = bytearray(SIZE)
    for raw in raws:
        assert store.read(digest(raw), out=bytearray(SIZE), nearby=lambda name: wrong) == raw
    assert not any(wrong)


@pytest.mark.parametrize("grown", [64, -64, 1])
def test_a_base_of_another_size(tmp_path: Path, grown: int) -> None:
    store, (old, new) = open_store(tmp_path), steps(2)
    new = new + bytes(range(grown)) if grown > 0 else new[:grown]
    put_chain(store, [old, new, new[:-2] + b"ab"])
    for raw in (new[:-2] + b"ab", new, old):
        assert open_store(tmp_path).read(digest(raw), out=bytearray(len(raw))) == raw
        assert open_store(tmp_path).read(digest(raw)) == raw


def test_a_base_stored_raw(tmp_path: Path) -> None:
    store, (old, new) = open_store(tmp_path), steps(2)
    put(store, old)
    with store.intend("test") as intent, store.writer(intent) as writer:
        encoded = encode(new, "BF16", (Base("same", old),))
        assert writer.begin(digest(new))
        writer.add(digest(new), encoded, raw_size=SIZE, bases=(digest(old),), depth=1)
    assert open_store(tmp_path).read(digest(new), out=bytearray(SIZE)) == new
    assert open_store(tmp_path).read(digest(new)) == new


@pytest.mark.skipif(engine.engine is portable, reason="numpy takes memory of its own")
def test_a_chain_takes_no_memory_for_its_bases(store: ChunkStore, raws: list[bytes]) -> None:
    out = bytearray(SIZE)
    store.read(digest(raws[-1]), out=out)  # what a thread keeps is there from now on
    tracemalloc.start()
    try:
        store.read(digest(raws[-1]), out=out)
        into_out = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        store.read(digest(raws[-1]))
        anew = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert into_out < SIZE
    assert anew < 2 * SIZE


def test_a_damaged_base_in_a_chain_is_named(tmp_path: Path, raws: list[bytes]) -> None:
    names = put_chain(open_store(tmp_path), raws)
    (pack,) = pack_files(open_store(tmp_path))
    at = records_in(pack)[names[2]]
    data = bytearray(pack.read_bytes())
    data[at + 200] ^= 4
    pack.chmod(0o600)
    pack.write_bytes(data)
    out = bytearray(SIZE)
    for name, raw in zip(names[:2], raws, strict=False):
        assert open_store(tmp_path).read(name, out=out) == raw
    for name in names[2:]:
        with pytest.raises(IntegrityError, match=names[2].hex()):
            open_store(tmp_path).read(name, out=out)
