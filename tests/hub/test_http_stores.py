"""Three servers over one S3 store, as behind a load balancer, under concurrent pushes."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mvc.backends.base import Backend
from mvc.backends.open import open_backend
from mvc.hub.messages import Right
from mvc.objects import trees
from mvc.objects.reachable import walk_objects
from mvc.sync.chunks import bring_files
from mvc.sync.verdicts import RefUpdate
from tests.backends import servers
from tests.backends.servers import Server
from tests.hub.serving import Running, serving
from tests.models import fine_tuned, layers, safetensors_bytes
from tests.sync.making import MAIN, TRACKED, Peer

pytestmark = pytest.mark.skipif(
    not servers.has_ceph(), reason="radosgw is not installed (ceph-mon ceph-osd radosgw ceph-common)"
)

PUSHERS = 5
EACH = 2
BASE = layers(1, width=128)


class Balanced:
    """Gives each request to the next of several servers: what a load balancer does."""

    def __init__(self, backends: list[Backend]) -> None:
        self._backends = backends
        self._next = itertools.cycle(backends)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backends[0] if name in ("url", "capabilities") else next(self._next), name)

    def close(self) -> None:
        for backend in self._backends:
            backend.close()


@pytest.fixture
def place(radosgw: Server) -> str:
    head, _, query = radosgw.url.partition("?")
    return f"{head}/{uuid.uuid4().hex}?{query}"


@pytest.fixture
def three(radosgw: Server, place: str, tmp_path: Path) -> Iterator[list[Running]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                serving(place, "--cache", str(tmp_path / f"cache{number}"), environment=radosgw.environment)
            )
            for number in range(3)
        ]


def through(three: list[Running], token: str) -> Any:
    """The repository, by way of all of them."""
    environment = {"MVC_TOKEN": token}
    return Balanced([open_backend(f"{one.url}/team/model", environment=environment) for one in three])


def work(peer: Peer, number: int) -> None:
    """Fine-tunes, each on top of whatever the branch is at by then."""
    for turn in range(EACH):
        model = safetensors_bytes(fine_tuned(BASE, seed=10 * number + turn))
        for _ in range(50):
            peer.fetch()
            peer.checkout(TRACKED)
            new = peer.commit({f"{number}-{turn}.safetensors": model})
            if peer.push(RefUpdate(new, MAIN)).refs[0].status == "ok":
                break
        else:
            raise AssertionError("others always came first")


def test_three_servers_one_store(three: list[Running], radosgw: Server, place: str, tmp_path: Path) -> None:
    token = three[0].token(Right.APPEND, "team/*")
    peers = []
    for number in range(PUSHERS):
        (tmp_path / f"peer{number}").mkdir()
        peers.append(Peer(tmp_path / f"peer{number}", through(three, token)))
    peers[0].commit({"base.safetensors": safetensors_bytes(BASE)})
    peers[0].push()
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(peers[number], number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(PUSHERS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for peer in peers:
        peer.backend.close()
    assert not failures, f"after {time.monotonic() - began:.0f} s"
    for one in three:
        assert not [line for line in one.lines() if line["status"] >= 500], one.log.read_text()
        assert [line for line in one.lines(endpoint="txn")], "each of them had its part"

    # What stands in the store is whole without any server.
    head, _, query = place.partition("?")
    (tmp_path / "fresh").mkdir()
    fresh = Peer(tmp_path / "fresh", open_backend(f"{head}/team/model?{query}", environment=radosgw.environment))
    tip = fresh.fetch().refs[0].new
    assert tip is not None
    commits = [one.id for one in walk_objects(fresh.repo.objects, [tip]) if one.kind == "commit"]
    assert len(commits) == 1 + PUSHERS * EACH
    assert all(len(fresh.repo.objects.commit(one).parents) < 2 for one in commits), "the history is one line"
    with fresh.remote() as remote:
        assert not bring_files(remote, [tip]).lacking
    fresh.checkout(TRACKED)
    for number, turn in itertools.product(range(PUSHERS), range(EACH)):
        model = safetensors_bytes(fine_tuned(BASE, seed=10 * number + turn))
        assert fresh.read(f"{number}-{turn}.safetensors") == model
    assert len(trees.flatten(fresh.repo.objects, fresh.repo.objects.commit(tip).tree)) == 1 + PUSHERS * EACH
    fresh.check()


def test_tokens_are_the_stores(three: list[Running]) -> None:
    token = three[0].token(Right.READ, "team/*")
    for one in three:
        assert one.ask("GET", "/team/model/-/mvc/1/", token=token)[0] == 404, "known, but there is nothing yet"
        assert one.ask("GET", "/other/-/mvc/1/")[0] == 401
