"""What a client does not look at, since the server does: damage here is found there, and told or passed over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mvc.errors import MvcError
from mvc.hub.service import Service
from mvc.hub.storage import repositories_in
from tests.hub.making import client
from tests.sync.making import TRACKED, Peer, damage, damage_of_two, noise


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "served").mkdir()
    made = Service(repositories_in(str(tmp_path / "served"), environment={}))
    yield made
    made.close()


def peer(tmp_path: Path, name: str, service: Service) -> Peer:
    (tmp_path / name).mkdir()
    return Peer(tmp_path / name, client(service))


def test_what_is_damaged_here_is_found_there(service: Service, tmp_path: Path) -> None:
    """What is refused is looked at here, and the chunk is named."""
    alice = peer(tmp_path, "alice", service)
    alice.commit({"x.bin": noise(300_000)})
    hurt = sorted(alice.chunk_names())[1]
    damage(alice, hurt)
    with pytest.raises(MvcError, match=f"{hurt.hex()} in pack .* is damaged"):
        alice.push()
    assert not alice.remote().state().refs


def test_another_copy_goes_where_one_is_damaged(service: Service, tmp_path: Path) -> None:
    alice, bob = (peer(tmp_path, name, service) for name in ("alice", "bob"))
    alice.commit({"x.bin": noise(300_000)})
    damage_of_two(alice)
    alice.push()
    bob.fetch()
    bob.checkout(TRACKED)
    assert bob.read("x.bin") == noise(300_000)
    bob.check()
