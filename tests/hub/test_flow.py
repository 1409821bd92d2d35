"""Push, fetch and checkout through the server: the same engine, everything verified on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mvc.backends.base import Backend
from mvc.backends.http import HttpBackend
from mvc.backends.memory import MemoryBackend
from mvc.errors import Refused, UnsupportedFormat
from mvc.hub.chunkcheck import Decoding
from mvc.hub.messages import Right
from mvc.hub.service import Service
from mvc.hub.storage import repositories_in
from mvc.repo.chunks import open_chunks
from mvc.settings import ChunkNaming
from mvc.store.idx import Idx
from mvc.store.packfile import PackBuilder
from mvc.store.records import Location
from mvc.sync import keys, outgoing
from mvc.sync.verdicts import RefUpdate
from tests.hub.making import InProcess, ask, client, over
from tests.models import layers, safetensors_bytes
from tests.sync.making import MAIN, TRACKED, Peer, model, noise, tuned


@pytest.fixture(params=["folder", "store"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    if request.param == "folder":
        (tmp_path / "served").mkdir()
        made = Service(repositories_in(str(tmp_path / "served"), environment={}))
    else:
        made = Service(over(MemoryBackend(), tmp_path / "memory"))
    yield made
    made.close()


def peer(tmp_path: Path, name: str, backend: Backend) -> Peer:
    (tmp_path / name).mkdir(exist_ok=True)
    return Peer(tmp_path / name, backend)


def exchange(backend: Backend) -> InProcess:
    assert isinstance(backend, HttpBackend)
    found = backend._exchange
    assert isinstance(found, InProcess)
    return found


def test_a_push_is_fetched(service: Service, tmp_path: Path) -> None:
    alice, bob = (peer(tmp_path, name, client(service)) for name in ("alice", "bob"))
    first = alice.commit({"m.safetensors": model(), "a.txt": b"1", "x.bin": noise(300_000)})
    assert alice.push().refs[0].status == "new"
    assert not exchange(alice.backend).failures
    bob.fetch()
    bob.checkout(TRACKED)
    assert bob.read("m.safetensors") == model() and bob.repo.refs.read(TRACKED) == first
    bob.check()
    bob.commit({"m.safetensors": tuned(), "b.txt": b"2"})
    bob.push()
    alice.fetch()
    alice.checkout(TRACKED)
    assert alice.read("m.safetensors") == tuned()
    alice.check()


def test_a_push_with_nothing_to_move_asks_twice(service: Service, tmp_path: Path) -> None:
    alice = peer(tmp_path, "alice", client(service))
    alice.commit({"m.safetensors": model()})
    alice.push()
    exchange(alice.backend).requests.clear()
    assert alice.push().refs[0].status == "up-to-date"
    assert len(exchange(alice.backend).requests) <= 3, exchange(alice.backend).requests


def test_an_entry_of_many_packs_looks_in_few_idx(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a chunk of a push costs does not grow with the packs that came with it."""
    monkeypatch.setattr(outgoing, "_LEAST_PACK", 1)
    alice, bob = (peer(tmp_path, name, client(service)) for name in ("alice", "bob"))
    alice.commit({f"{number}.bin": noise(70_000, number) for number in range(24)})
    asked = looked = 0
    find, find_idx = Decoding.find, Idx.find

    def found(decoding: Decoding, name: bytes) -> Location | None:
        nonlocal asked, looked
        asked += 1
        with monkeypatch.context() as patch:
            patch.setattr(Idx, "find", in_idx)
            return find(decoding, name)

    def in_idx(idx: Idx, name: bytes) -> int:
        nonlocal looked
        looked += 1
        return find_idx(idx, name)

    monkeypatch.setattr(Decoding, "find", found)
    alice.push()
    state = alice.remote().state()
    assert len(state.chunk_packs) > 8 and len({pack.idx_id for pack in state.chunk_packs}) == 1
    assert asked >= 24 and looked <= asked
    bob.fetch()
    bob.checkout(TRACKED)
    bob.check()


def test_many_pushes_merge_their_idx(service: Service, tmp_path: Path) -> None:
    alice = peer(tmp_path, "alice", client(service))
    for number in range(20):
        alice.commit({f"{number}.bin": noise(70_000, number)})
        alice.push()
    bob = peer(tmp_path, "bob", client(service, Right.READ))
    state = bob.remote().state()
    assert len({pack.idx_id for pack in state.chunk_packs}) < 20 == len(state.chunk_packs)
    bob.fetch()
    bob.checkout(TRACKED)
    assert all(bob.read(f"{n}.bin") == noise(70_000, n) for n in range(20))
    bob.check()


def test_refs_move_by_force_and_go(service: Service, tmp_path: Path) -> None:
    alice = peer(tmp_path, "alice", client(service))
    first = alice.commit({"a": b"1"})
    alice.push()
    second = alice.commit({"a": b"2"})
    alice.push(RefUpdate(second, MAIN), RefUpdate(first, "refs/heads/old"), RefUpdate(first, "refs/tags/v1"))
    alice.push(RefUpdate(first, MAIN, force=True), RefUpdate(None, "refs/heads/old"))
    assert alice.remote().state().refs == {MAIN: first, "refs/tags/v1": first}


KEY = f"[mvc]\n\tchunkKey = {'5a' * 32}\n"


def test_chunks_named_by_a_key(tmp_path: Path) -> None:
    """Over a pipe, where who writes could write to the folder as well; a server for many takes none."""
    for keyed in (False, True):
        service = Service(over(MemoryBackend(), tmp_path / f"memory{keyed}"), keyed=keyed)
        top = tmp_path / f"alice{keyed}"
        top.mkdir()
        alice = Peer(top, client(service), config=KEY)
        alice.commit({"m.safetensors": model()})
        if not keyed:
            with pytest.raises(Refused, match="named by a key"):
                alice.push()
            continue
        alice.push()
        alice.commit({"m.safetensors": tuned()})
        alice.push()
        top = tmp_path / "bob"
        top.mkdir()
        bob = Peer(top, client(service), config=KEY)
        bob.fetch()
        bob.checkout(TRACKED)
        assert bob.read("m.safetensors") == tuned()
        bob.check()
        plain = tmp_path / "plain"
        plain.mkdir()
        with pytest.raises(UnsupportedFormat):
            Peer(plain, client(service)).fetch()


def test_what_rests_on_chunks_that_come_later_waits_for_them(service: Service, tmp_path: Path) -> None:
    """Packs of a push travel side by side: a chain of differences may be there before what it begins with."""
    alice = peer(tmp_path, "alice", client(service))
    weights = layers(0, 3, 256)
    alice.commit({"m.safetensors": safetensors_bytes(weights)})
    for step in range(3):
        change = np.random.default_rng(step)
        weights = {
            name: (one * (1 + change.standard_normal(one.shape) * 1e-4)).astype(one.dtype)
            for name, one in weights.items()
        }
        alice.commit({"m.safetensors": safetensors_bytes(weights)})
    chunks = open_chunks(alice.repo)
    places, paths = dict(chunks.records()), {one.id: one.path for one in chunks.packs()}
    assert max(place.depth for place in places.values()) >= 2

    def pack(deltas: bool) -> tuple[str, bytes]:
        builder = PackBuilder(tmp_path, ChunkNaming())
        for place in places.values():
            if (place.depth > 0) == deltas:
                record = paths[place.pack].read_bytes()[place.offset :][: place.record_size]
                builder.append_whole([record], [record[: place.record_size - place.stored_size]])
        pack_id = builder.finish()
        data = builder.path.read_bytes()
        builder.discard()
        return keys.chunk_pack(pack_id.hex()), data

    assert ask(service, "PUT", "objects/mvc-remote", b"mvc-remote 1\nnaming plain\n", if_none_match="*").status == 201
    for deltas in (True, False):
        key, data = pack(deltas)
        assert ask(service, "PUT", f"objects/{key}", data).status == 201
    alice.push()
    bob = peer(tmp_path, "bob", client(service))
    bob.fetch()
    bob.checkout(TRACKED)
    assert bob.read("m.safetensors") == safetensors_bytes(weights)
