"""One store for several repositories: what goes where, and that nothing which only this repository has is left to it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mvc.backends.memory import MemoryBackend
from mvc.ops.fsck import fsck
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import chunk_names, chunked_files
from mvc.objects.reachable import walk_objects
from mvc.store.room import disk_usage, make_room, pack_uses
from mvc.store.shared import space_paths
from mvc.sync.chunks import FromRemotes
from mvc.sync.promised import promised
from tests.sync.making import MAIN, TRACKED, Counted, Peer, model, noise, tuned

FILES = {"m.safetensors": model(), "x.bin": noise(2_500_000)}


class World:
    """Repositories over one remote and one shared store."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.backend = MemoryBackend()
        self.store = top / "store"
        self.config = f"[core]\n\tsharedStore = {self.store}\n"

    def peer(self, name: str, extra: str = "", *, shared: bool = True) -> Peer:
        (self.top / name).mkdir(exist_ok=True)
        peer = Peer(self.top / name, self.backend, config=(self.config if shared else "") + extra)
        if peer.repo.promised is None:
            peer.repo = peer.lazy()
        return peer


class SharedPeer(Peer):
    pass


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def own_chunks(peer: Peer) -> set[bytes]:
    return set(open_chunks(peer.repo).names())


def packs(world: World, space: str = "plain") -> list[Path]:
    return sorted((world.store / space).glob("chunks/packs/*/*.pack"))


def test_what_one_has_fetched_nobody_fetches_again(world: World) -> None:
    alice, bob, carol = (world.peer(name) for name in ("alice", "bob", "carol"))
    first = alice.commit(FILES)
    assert not world.store.exists()
    alice.push()
    assert not world.store.exists()
    for peer in (bob, carol):
        peer.fetch()
        counted = Counted(world.backend)
        peer.checkout(first, backend=counted)  # type: ignore[arg-type]
        assert {path: peer.read(path) for path in FILES} == FILES
        assert not own_chunks(peer)
        asked = [key for call, key in counted.calls if call == "get" and key.startswith("packs/")]
        assert bool(asked) == (peer is bob)
        peer.check()
