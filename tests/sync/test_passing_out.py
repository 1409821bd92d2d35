"""Packs that lie nowhere whole: what is sent is what stands here, or what is right of it elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mvc.backends.memory import MemoryBackend
from mvc.errors import MvcError
from mvc.repo.chunks import open_chunks
from mvc.settings import ChunkNaming
from mvc.store.packfile import PackFile, walk
from mvc.sync.passingout import PassingOut, Unsound
from tests.backends.making import content
from tests.store.making import chunk, open_store, put, put_delta
from tests.sync.making import TRACKED, Peers, damage, damage_of_two, model, noise

FILES = {"m.safetensors": model(), "x.bin": noise(300_000)}


def test_a_pack_that_passes_is_a_pack(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    names = put(store, *(chunk(n, 5000 + n) for n in range(5)))
    names.append(put_delta(store, chunk(9), [names[1]], 1))
    passing = PassingOut(store, ChunkNaming())
    for name in names:
        place = store.find_own(name)
        assert place is not None
        passing.add(name, place)
    pack_id = passing.finish()
    for _ in range(2):
        data = b"".join(bytes(block) for block in passing.blocks())
        assert len(data) == passing.size
    assert b"".join(content(piece) for piece in passing.pieces()) == data and passing.is_sound()
    path = tmp_path / "whole"
    path.write_bytes(data)
    found = {record.name: (offset, record) for offset, record in walk(PackFile(path), pack_id)}
    assert list(found) == names
    for name, (offset, record) in found.items():
        assert record.located(b"", offset) == passing.records[name]
        assert data[offset:][: record.record_size] == store.read_stored(name)


def test_damage_is_told_and_nothing_is_published(peers: Peers, backend: MemoryBackend) -> None:
    alice = peers("alice")
    alice.commit(FILES)
    hurt = sorted(alice.chunk_names())[3]
    damage(alice, hurt)
    with pytest.raises(MvcError, match=hurt.hex()):
        alice.push()
    assert not alice.remote().state().refs
    assert not list(backend.list("packs/"))


def test_a_record_that_changes_on_its_way_ends_the_put(peers: Peers) -> None:
    alice = peers("alice")
    alice.commit(FILES)
    chunks = open_chunks(alice.repo)
    passing = PassingOut(chunks, ChunkNaming())
    names = sorted(alice.chunk_names())
    for name in names:
        place = chunks.find_own(name)
        assert place is not None
        passing.add(name, place)
    passing.finish()
    damage(alice, names[-1])
    with pytest.raises(Unsound):
        for _ in passing.blocks():
            pass
    assert not passing.is_sound()


def test_pieces_of_a_pack_that_is_cut_or_gone(peers: Peers) -> None:
    alice = peers("alice")
    alice.commit(FILES)
    chunks = open_chunks(alice.repo)
    passing = PassingOut(chunks, ChunkNaming())
    name = sorted(alice.chunk_names())[0]
    place = chunks.find_own(name)
    assert place is not None
    passing.add(name, place)
    passing.finish()
    path = chunks.paths.pack(place.pack)
    path.chmod(0o644)
    os.truncate(path, place.offset + place.record_size - 1)
    with pytest.raises(Unsound, match="cut short"):
        list(passing.pieces())
    path.unlink()
    chunks.close()
    with pytest.raises(Unsound, match="missing"):
        list(passing.pieces())


def test_another_copy_goes_where_one_is_damaged(peers: Peers) -> None:
    """The chunk is stored twice; the first copy that is met is damaged."""
    alice = peers("alice")
    alice.commit(FILES)
    damage_of_two(alice)
    alice.push()
    bob = peers("bob")
    bob.fetch()
    bob.checkout(TRACKED)
    assert bob.read("x.bin") == FILES["x.bin"]
    bob.check()
