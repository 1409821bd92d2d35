"""Packs that lie nowhere whole: what is sent is what stands here, or what is right of it elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvc.backends.memory import MemoryBackend
from mvc.codecs.base import Encoded
from mvc.errors import MvcError
from mvc.repo.chunks import open_chunks
from mvc.settings import ChunkNaming
from mvc.store.packfile import PackFile, walk
from mvc.sync.passingout import PassingOut, Unsound
from tests.store.making import chunk, open_store, put, put_delta
from tests.sync.making import TRACKED, Peer, Peers, model, noise

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
    path = tmp_path / "whole"
    path.write_bytes(data)
    found = {record.name: (offset, record) for offset, record in walk(PackFile(path), pack_id)}
    assert list(found) == names
    for name, (offset, record) in found.items():
        assert record.located(b"", offset) == passing.records[name]
        assert data[offset:][: record.record_size] == store.read_stored(name)


def damage(peer: Peer, name: bytes) -> None:
    """Change a byte of the chunk's payload in its pack."""
    chunks = open_chunks(peer.repo)
    place = chunks.find_own(name)
    assert place is not None
    path = chunks.paths.pack(place.pack)
    data = bytearray(path.read_bytes())
    data[place.offset + place.record_size - 1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


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


def test_another_copy_goes_where_one_is_damaged(peers: Peers) -> None:
    """The chunk is stored twice; the first copy that is met is damaged."""
    alice = peers("alice")
    alice.commit(FILES)
    chunks = open_chunks(alice.repo)
    hurt = sorted(chunks.names())[0]
    record = chunks.read_stored(hurt)
    # The second copy, in a pack of its own.
    with chunks.intend("test") as intent, chunks.writer(intent) as writer:
        header = chunks.header(hurt)
        payload = record[header.lead_size :]
        writer.add(hurt, Encoded(header.codec, header.params, (payload,)), raw_size=header.raw_size, again=True)
    damage(alice, hurt)
    assert open_chunks(alice.repo).read_stored(hurt) == record
    alice.push()
    bob = peers("bob")
    bob.fetch()
    bob.checkout(TRACKED)
    assert bob.read("x.bin") == FILES["x.bin"]
    bob.check()
