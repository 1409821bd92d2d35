"""Whatever fails, on the line, in the server's store, in either process: a repeat completes, and all is whole."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mvc import fsio
from mvc.backends.base import Backend
from mvc.backends.faulty import Fault, FaultyBackend, Plan, Request, at, randomly
from mvc.backends.memory import MemoryBackend
from mvc.errors import MvcError
from mvc.hub.messages import Right
from mvc.hub.service import Service
from mvc.hub.storage import single_folder
from mvc.sync.chunks import bring_files
from mvc.sync.verdicts import RefUpdate
from tests import points
from tests.forked import KILLED, in_child, killer
from tests.hub.making import client, over
from tests.sync.making import MAIN, TRACKED, Peer, model, noise, tuned
from tests.sync.test_faults import steps_of

FILES = {"m.safetensors": model(width=128), "a": b"1"}
NEXT = {"m.safetensors": tuned(width=128), "b": b"2", "x.bin": noise(150_000)}
QUICK = (Fault.AFTER, Fault.CUT)
EVERY = [pytest.param(fault, marks=[] if fault in QUICK else [pytest.mark.slow]) for fault in Fault]


class Scene:
    """One commit on a server; Alice has made another. Copies are cheap."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.store = MemoryBackend()
        self.count = 0
        alice = self.peer(top / "alice", self.service(self.store, "first"))
        self.first = alice.commit(FILES)
        alice.push()
        self.second = alice.commit(NEXT)
        self.objects = dict(self.store._objects)

    def service(self, store: Backend, name: str) -> Service:
        return Service(over(store, self.top / f"memory-{name}"))

    def peer(self, top: Path, service: Service, right: Right = Right.APPEND) -> Peer:
        top.mkdir(exist_ok=True)
        return Peer(top, client(service, right, "/m"))

    def copy(
        self, wrap: Callable[[MemoryBackend], Backend] = lambda store: store
    ) -> tuple[MemoryBackend, Service, Peer]:
        """A store, a server over it (in `wrap`), and Alice's repository as it was."""
        self.count += 1
        store = MemoryBackend()
        store._objects = dict(self.objects)
        place = self.top / f"alice{self.count}"
        shutil.copytree(self.top / "alice", place, symlinks=True)
        service = self.service(wrap(store), str(self.count))
        return store, service, self.peer(place, service)

    def is_whole(self, service: Service) -> None:
        """Who clones gets all of it."""
        self.count += 1
        fresh = self.peer(self.top / f"fresh{self.count}", service, Right.READ)
        result = fresh.fetch()
        with fresh.remote() as remote:
            assert not bring_files(remote, [ref.new for ref in result.refs if ref.new]).lacking
        fresh.check()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


def repeat(alice: Peer, scene: Scene) -> None:
    """After an error: nothing half is there, and the same again completes."""
    state = alice.remote().state()
    assert state.refs in ({MAIN: scene.first}, {MAIN: scene.second})
    if state.refs == {MAIN: scene.first}:
        alice.push()
    assert alice.push().refs[0].status == "up-to-date"


@pytest.mark.parametrize("fault", EVERY)
def test_every_request_goes_wrong_once(scene: Scene, fault: Fault) -> None:
    _, _, alice = scene.copy()
    faulty = FaultyBackend(alice.backend)
    alice.push(backend=faulty)
    total = len(faulty.requests)
    assert total > 8
    for number in points.spread(total, list(Fault).index(fault)):
        _, service, alice = scene.copy()
        with contextlib.suppress(MvcError):
            alice.push(backend=FaultyBackend(alice.backend, at({number: fault})))
        repeat(alice, scene)
        scene.is_whole(service)


@pytest.mark.parametrize("fault", EVERY)
def test_every_request_of_the_server_to_its_store_goes_wrong_once(scene: Scene, fault: Fault) -> None:
    counted: list[FaultyBackend] = []

    def watched(store: Backend) -> Backend:
        counted.append(FaultyBackend(store))
        return counted[-1]

    _, _, alice = scene.copy(watched)
    alice.push()
    total = len(counted[0].requests)
    assert total > 30
    for number in points.spread(total, list(Fault).index(fault)):
        planned, over = at({number: fault}), threading.Event()

        def plan(count: int, request: Request, planned: Plan = planned, over: threading.Event = over) -> Fault | None:
            return None if over.is_set() else planned(count, request)

        store, service, alice = scene.copy(lambda store, plan=plan: FaultyBackend(store, plan))  # type: ignore[misc]
        with contextlib.suppress(MvcError):
            alice.push()
        over.set()  # a push in threads makes now one request more, now one less: the repeat must not meet it
        repeat(alice, scene)
        scene.is_whole(service)
        # As it looks to a server that knows nothing yet.
        scene.is_whole(scene.service(store, f"{number}-{fault.name}-new"))


@pytest.mark.parametrize("seed", range(4))
def test_faults_on_both_sides_at_random(scene: Scene, seed: int) -> None:
    faults = (Fault.BEFORE, Fault.AFTER, Fault.CUT, Fault.TWICE, Fault.SHORT, Fault.HANG)
    _, _, alice = scene.copy(lambda store: FaultyBackend(store, randomly(seed, 0.03, faults)))
    faulty = FaultyBackend(alice.backend, randomly(seed + 100, 0.08, faults))
    for _ in range(100):
        with contextlib.suppress(MvcError):
            if alice.push(backend=faulty).refs[0].status == "up-to-date":
                break
    assert alice.remote().backend is alice.backend
    for _ in range(50):
        with contextlib.suppress(MvcError):
            assert alice.remote().state().refs == {MAIN: scene.second}
            break
    else:
        pytest.fail("it never came through")


@pytest.mark.slow
def test_both_are_killed_at_every_step(scene: Scene, tmp_path: Path) -> None:
    """Client and server in one process: so whichever of the two has just written something is killed with the other."""

    def fresh(number: int) -> tuple[Path, Peer]:
        _, _, alice = scene.copy()
        remote = tmp_path / f"remote{number}"
        with contextlib.closing(Service(single_folder(remote))) as service:
            for key, (data, _) in scene.objects.items():
                path = remote / key
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            return remote, Peer(alice.top, client(service, path=""))

    def push(remote: Path, alice: Peer) -> None:
        with contextlib.closing(Service(single_folder(remote))) as service:
            Peer(alice.top, client(service, path="")).push()

    remote, alice = fresh(0)
    total = steps_of(lambda: push(remote, alice))
    assert total > 60
    for step in range(1, total + 1, 4):
        remote, alice = fresh(step)
        assert in_child(lambda remote=remote, alice=alice: push(remote, alice), killer(step)) in (KILLED, 0)  # type: ignore[misc]
        with contextlib.closing(Service(single_folder(remote))) as service:
            repeat(Peer(alice.top, client(service, path="")), scene)
            found = Peer(_folder(tmp_path / f"fresh{step}"), client(service, path=""))
            found.fetch()
            found.checkout(TRACKED)
            found.check()
    assert fsio.fault_hook is None


def test_many_push_to_one_branch(tmp_path: Path) -> None:
    """Two servers over one store, four pushers: a linear history, each commit whole."""
    store = MemoryBackend()
    services = [Service(over(store, tmp_path / f"memory{number}")) for number in range(2)]
    first = Peer(_folder(tmp_path / "first"), client(services[0]))
    first.commit({"a": b"1"})
    first.push()
    start = threading.Barrier(4)

    def work(number: int) -> None:
        peer = Peer(_folder(tmp_path / f"p{number}"), client(services[number % 2], Right.APPEND))
        start.wait()
        done = 0
        while done < 3:
            peer.fetch()
            peer.checkout(TRACKED)
            peer.commit({f"{number}-{done}.bin": noise(70_000, 10 * number + done)})
            head = peer.repo.refs.read("HEAD")
            done += peer.push(RefUpdate(head, MAIN)).refs[0].status == "ok"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    last = Peer(_folder(tmp_path / "last"), client(services[1], Right.READ))
    last.fetch()
    last.checkout(TRACKED)
    for number in range(4):
        for done in range(3):
            assert last.read(f"{number}-{done}.bin") == noise(70_000, 10 * number + done)
    history = last.repo.refs.read(TRACKED)
    count = 0
    while history is not None:
        parents = last.repo.objects.commit(history).parents
        assert len(parents) < 2
        history, count = (parents[0] if parents else None), count + 1
    assert count == 13
    last.check()


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_stores_whose_deltas_lean_on_each_other(tmp_path: Path, order: tuple[int, int]) -> None:
    """What is a base here is a difference there. They meet on one server, piece by piece, and every chunk decodes."""
    service = Service(over(MemoryBackend(), tmp_path / "memory"))
    versions = [model(), tuned()]
    one, two = (Peer(_folder(tmp_path / name), client(service)) for name in ("one", "two"))
    heads = {}
    for peer, name, files in ((one, "one", versions), (two, "two", versions[::-1])):
        heads[name] = [peer.commit({"m.safetensors": data}) for data in files]
    pushes = [(one, "one"), (two, "two")]
    for step in range(2):
        for which in order:
            peer, name = pushes[which]
            peer.push(RefUpdate(heads[name][step], f"refs/heads/{name}"))
    reader = Peer(_folder(tmp_path / "reader"), client(service, Right.READ))
    reader.fetch()
    for name, files in (("one", versions), ("two", versions[::-1])):
        reader.checkout(f"refs/remotes/origin/{name}")
        assert reader.read("m.safetensors") == files[1]
        reader.checkout(f"refs/remotes/origin/{name}~1")
        assert reader.read("m.safetensors") == files[0]
    reader.check()
    for peer in (one, two):
        peer.fetch()
        peer.check()
