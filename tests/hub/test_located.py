"""Asking a server where chunks are comes to the same as reading all idx."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.backends.memory import MemoryBackend
from mvc.errors import NetworkError, ParseError
from mvc.hub.messages import Right
from mvc.hub.service import Service
from mvc.store.records import Location
from mvc.sync import located, places
from mvc.sync.located import LocatedIndex, index_for
from mvc.sync.remoteindex import RemoteIndex
from tests.hub.making import InProcess, client, over
from tests.sync.making import TRACKED, Peer, model, noise, tuned


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(over(MemoryBackend(), tmp_path / "memory"))
    yield made
    made.close()


@pytest.fixture
def alice(service: Service, tmp_path: Path) -> Peer:
    (tmp_path / "alice").mkdir()
    peer = Peer(tmp_path / "alice", client(service))
    for number in range(3):
        peer.commit({"m.safetensors": tuned(step=number) if number else model(), f"{number}": noise(200_000, number)})
        peer.push()
    return peer


def asked(peer: Peer) -> InProcess:
    found = peer.backend._exchange  # type: ignore[attr-defined]
    assert isinstance(found, InProcess)
    return found


def test_the_same_is_told(alice: Peer) -> None:
    remote = alice.remote()
    state = remote.state()
    whole, _ = RemoteIndex.of(remote, state)
    names = sorted(alice.chunk_names() | {bytes([n]) * 32 for n in range(40)})
    ask = remote.backend.capabilities.ask
    assert ask is not None
    index = LocatedIndex(remote, state, ask, 1 << 30, progress=located.SILENT)
    asked(alice).requests.clear()
    index.prepare(names)
    index.locate(names)
    assert len(asked(alice).requests) == 2
    for name in names:
        assert index.copies(name) == whole.copies(name)[:1]
        assert (name in index, index.depth(name)) == (name in whole, whole.depth(name))
        for place in index.copies(name):
            assert all(base in index for base in place.bases)
    assert len(asked(alice).requests) == 2, "bases came along"


def test_who_asks_too_much_is_given_all(alice: Peer) -> None:
    remote = alice.remote()
    state = remote.state()
    ask = remote.backend.capabilities.ask
    assert ask is not None
    for path in (remote.memory / "idx").iterdir():
        path.unlink()
    index = LocatedIndex(remote, state, ask, 3000, progress=located.SILENT)
    names = sorted(alice.chunk_names())
    asked(alice).requests.clear()
    for name in names * 3:
        assert name in index and index.copies(name)
    assert sum("objects/idx" in path for _, path, _ in asked(alice).requests) == len(
        {p.idx_id for p in state.chunk_packs}
    )


def test_push_and_checkout_without_any_idx(
    alice: Peer, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(located, "CHEAP", -1)
    (tmp_path / "bob").mkdir()
    bob = Peer(tmp_path / "bob", client(service))
    with bob.remote() as remote:
        assert isinstance(index_for(remote, remote.state())[0], LocatedIndex)
    bob.fetch()
    for path in (bob.remote().memory / "idx").iterdir():
        path.unlink()
    bob.checkout(TRACKED)
    assert bob.read("m.safetensors") == tuned(step=2)
    for number in range(18):
        bob.commit({"n": noise(80_000, 100 + number), "m.safetensors": tuned(step=3 + number)})
        bob.push()
    assert any("have" in path for _, path, _ in asked(bob).requests)
    bob.check()


def test_a_server_that_makes_no_sense(alice: Peer) -> None:
    remote = alice.remote()
    for answer in (b"", b"\7", b"\0\0", b"x" * 1000):
        index = LocatedIndex(remote, remote.state(), lambda *_, said=answer: said, 1 << 30, progress=located.SILENT)  # type: ignore[misc]
        with pytest.raises(NetworkError):
            index.prepare([b"a" * 32])
        with pytest.raises(NetworkError):
            index.locate([b"a" * 32])


def test_who_may_not_read_may_not_ask(service: Service, alice: Peer) -> None:
    exchange = client(service, Right.NONE)._exchange
    for question in ("have", "locate"):
        assert exchange.ask("POST", f"/team/model/-/mvc/1/{question}", {}, b"x" * 32, length=32).status == 404


# ---- the bytes


NAMES = st.binary(min_size=32, max_size=32)
SIZE = 1 << 40


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[bytes], dict[bytes, Location], dict[bytes, int]]:
    names = draw(st.lists(NAMES, min_size=1, max_size=20))
    packs = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    found: dict[bytes, Location] = {}
    for name in {*draw(st.lists(st.sampled_from(names))), *draw(st.lists(NAMES, max_size=5))}:
        bases = tuple(draw(st.lists(NAMES, max_size=3)))
        depth = draw(st.integers(1, 4)) if bases else 0
        offset, raw, stored = (
            draw(st.integers(16, 1 << 30)),
            draw(st.integers(0, 64 << 20)),
            draw(st.integers(0, 64 << 20)),
        )
        sizes = draw(st.integers(0, 255)), draw(st.integers(0, 255))
        found[name] = Location(draw(st.sampled_from(packs)), offset, raw, stored, sizes[0], depth, sizes[1], bases)
    return names, found, dict.fromkeys(packs, SIZE)


@given(tables())
def test_places_come_back(table: tuple[list[bytes], dict[bytes, Location], dict[bytes, int]]) -> None:
    names, found, sizes = table
    text = places.dump(names, found, sizes)
    back = places.parse(text, names)
    assert back.found == {name: found.get(name) for name in names}
    assert back.added == {name: place for name, place in found.items() if name not in names}
    for cut in (0, 1, len(text) // 2, len(text) - 1):
        with pytest.raises(ParseError):
            places.parse(text[:cut], names)
    with pytest.raises(ParseError):
        places.parse(text + b"\0", names)


@given(tables(), st.data())
def test_a_spoilt_answer_is_refused_or_read(
    table: tuple[list[bytes], dict[bytes, Location], dict[bytes, int]], data: st.DataObject
) -> None:
    names, found, sizes = table
    text = bytearray(places.dump(names, found, sizes))
    text[data.draw(st.integers(0, len(text) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ParseError):
        places.parse(bytes(text), names)


@given(st.binary(max_size=300), st.lists(NAMES, min_size=1, max_size=4))
def test_any_bytes(data: bytes, names: list[bytes]) -> None:
    for act in (
        lambda: places.parse(data, names),
        lambda: places.parse_depths(data, len(names)),
        lambda: places.split_names(data),
    ):
        with contextlib.suppress(ParseError):
            act()
    head = b"mvcplace" + (1).to_bytes(2, "little") + bytes(2)
    with pytest.raises(ParseError):
        places.parse(head + b"\xff" * 12 + data, names)
