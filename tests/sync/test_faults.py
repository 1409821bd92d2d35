"""Every request of a push and a fetch goes wrong, one at a time; every step is killed; several push at once."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mvc import fsio
from mvc.backends.base import Backend
from mvc.backends.faulty import Fault, FaultyBackend, at, randomly
from mvc.backends.folder import FolderBackend
from mvc.backends.memory import MemoryBackend
from mvc.errors import MvcError
from mvc.objects import trees
from mvc.objects.reachable import walk_objects
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import chunk_names, chunked_files
from mvc.store.intents import list_intents
from mvc.sync import keys
from mvc.sync.chunks import bring_files
from mvc.sync.lease import Lease
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.verdicts import RefUpdate
from tests.forked import KILLED, begin, in_child, killer
from tests.sync.making import MAIN, TRACKED, WHO, Peer, model, noise, tuned

FILES = {"m.safetensors": model(width=128), "a": b"1"}
QUICK = (Fault.AFTER, Fault.WRONG)
NEXT = {"m.safetensors": tuned(width=128), "b": b"2", "x.bin": noise(150_000)}

EVERY = [pytest.param(fault, marks=[] if fault in QUICK else [pytest.mark.slow]) for fault in Fault]


class Scene:
    """Alice has pushed one commit, Bob has fetched it; Alice has made another. Copies are cheap."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.backend = MemoryBackend()
        alice, bob = self.peer("alice"), self.peer("bob")
        self.first = alice.commit(FILES)
        alice.push()
        bob.fetch()
        self.second = alice.commit(NEXT)
        self.objects = dict(self.backend._objects)
        self.count = 0

    def peer(self, name: str) -> Peer:
        (self.top / name).mkdir(exist_ok=True)
        return Peer(self.top / name, self.backend)

    def copy(self) -> tuple[MemoryBackend, Peer, Peer]:
        """A store and two repositories as they were."""
        self.count += 1
        backend = MemoryBackend()
        backend._objects = dict(self.objects)
        made = []
        for name in ("alice", "bob"):
            place = self.top / f"{name}{self.count}"
            shutil.copytree(self.top / name, place, symlinks=True)
            made.append(Peer(place, backend))
        return backend, made[0], made[1]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


def is_whole(backend: Backend, top: Path) -> None:
    """All that the remote's refs reach is there and decodes: whoever clones it gets it all."""
    top.mkdir()
    fresh = Peer(top, backend)
    result = fresh.fetch()
    with fresh.remote() as remote:
        assert not bring_files(remote, [ref.new for ref in result.refs if ref.new]).lacking
    fresh.check()


def count_requests(backend: Backend, act: Callable[[Backend], object]) -> int:
    faulty = FaultyBackend(backend)
    act(faulty)
    return len(faulty.requests)


@pytest.mark.parametrize("fault", EVERY)
def test_every_request_of_a_push_goes_wrong_once(scene: Scene, fault: Fault, tmp_path: Path) -> None:
    backend, alice, _ = scene.copy()
    total = count_requests(backend, lambda faulty: alice.push(backend=faulty))
    assert total > 8
    for number in range(total):
        backend, alice, _ = scene.copy()
        try:
            alice.push(backend=FaultyBackend(backend, at({number: fault})))
        except MvcError:
            state = alice.remote().state()
            assert state.refs in ({MAIN: scene.first}, {MAIN: scene.second})
            if state.refs == {MAIN: scene.first}:
                alice.push()
        assert alice.push().refs[0].status == "up-to-date"
        assert alice.repo.refs.read(TRACKED) == scene.second
        is_whole(backend, tmp_path / str(number))


@pytest.mark.parametrize("fault", EVERY)
def test_every_request_of_a_fetch_and_checkout_goes_wrong_once(scene: Scene, fault: Fault) -> None:
    backend, alice, bob = scene.copy()
    alice.push()
    scene_objects = dict(backend._objects)

    def act(faulty: Backend, who: Peer) -> None:
        who.fetch(backend=faulty)
        who.checkout(TRACKED, backend=faulty)

    total = count_requests(backend, lambda faulty: act(faulty, bob))
    assert total > 5
    for number in range(total):
        backend, _, bob = scene.copy()
        backend._objects = dict(scene_objects)
        try:
            act(FaultyBackend(backend, at({number: fault})), bob)
        except MvcError:
            found = bob.repo.refs.read(TRACKED)
            assert found in (scene.first, scene.second)
            act(backend, bob)
        assert bob.read("m.safetensors") == NEXT["m.safetensors"]
        assert bob.read("x.bin") == NEXT["x.bin"]
        bob.check()


@pytest.mark.parametrize("seed", range(6))
def test_faults_at_random_delay_and_do_no_more(scene: Scene, seed: int, tmp_path: Path) -> None:
    backend, alice, bob = scene.copy()
    faulty = FaultyBackend(backend, randomly(seed, 0.15, tuple(Fault)))
    for _ in range(60):
        try:
            if alice.push(backend=faulty).refs[0].status == "up-to-date":
                break
        except MvcError:
            continue
    for _ in range(60):
        try:
            bob.fetch(backend=faulty)
            bob.checkout(TRACKED, backend=faulty)
            break
        except MvcError:
            continue
    assert bob.read("m.safetensors") == NEXT["m.safetensors"]
    is_whole(backend, tmp_path / "fresh")


def test_a_push_that_was_cut_goes_on_where_it_stopped(scene: Scene) -> None:
    backend, alice, _ = scene.copy()
    large = alice.commit({"large.bin": noise(3_000_000)})
    faulty = FaultyBackend(backend, lambda _, request: Fault.BEFORE if request.key.startswith("idx/") else None)
    with pytest.raises(MvcError):
        alice.push(backend=faulty)
    packs = {entry.key for entry in backend.list("packs/")}
    again = FaultyBackend(backend)
    result = alice.push(backend=again)
    assert not [request for request in again.requests if request.operation == "put" and "packs/" in request.key]
    assert {entry.key for entry in backend.list("packs/")} == packs
    assert result.bytes_sent < 100_000
    assert result.refs[0].new == large
    assert not list((alice.remote().memory / "pending").iterdir())


def test_what_was_uploaded_and_is_gone_goes_again(scene: Scene, tmp_path: Path) -> None:
    backend, alice, _ = scene.copy()
    faulty = FaultyBackend(backend, lambda _, request: Fault.BEFORE if request.key.startswith("idx/") else None)
    before = {entry.key for entry in backend.list("packs/")}
    with pytest.raises(MvcError):
        alice.push(backend=faulty)
    backend.delete([entry.key for entry in backend.list("packs/") if entry.key not in before])
    alice.push()
    is_whole(backend, tmp_path / "fresh")


def steps_of(act: Callable[[], object]) -> int:
    lock, count = threading.Lock(), 0

    def hook(_operation: str, _path: str) -> None:
        nonlocal count
        with lock:
            count += 1

    with fsio.hooked(hook):
        act()
    return count


class FolderScene(Scene):
    """The same over a folder, whose steps count too."""

    def copy_folder(self) -> tuple[FolderBackend, Peer, Peer]:
        _, alice, bob = self.copy()
        place = self.top / f"remote{self.count}"
        backend = FolderBackend(place)
        for key, (data, _) in self.objects.items():
            backend.put(key, data)
        # The memory of what was pushed is for another URL: it is read anew.
        return backend, Peer(alice.top, backend), Peer(bob.top, backend)


@pytest.fixture(scope="module")
def folder_scene(tmp_path_factory: pytest.TempPathFactory) -> FolderScene:
    return FolderScene(tmp_path_factory.mktemp("folders"))


@pytest.mark.slow
def test_a_push_is_killed_at_every_step(folder_scene: FolderScene, tmp_path: Path) -> None:
    _, alice, _ = folder_scene.copy_folder()
    total = steps_of(alice.push)
    assert total > 40
    for step in range(1, total + 1, 5):
        backend, alice, _ = folder_scene.copy_folder()
        assert in_child(alice.push, killer(step)) in (KILLED, 0)
        assert alice.remote().state().refs in ({MAIN: folder_scene.first}, {MAIN: folder_scene.second})
        alice = Peer(alice.top, backend)
        assert alice.push().refs[0].status in {"ok", "up-to-date"}
        alice.check()
        is_whole(backend, tmp_path / str(step))


@pytest.mark.slow
def test_a_fetch_and_checkout_is_killed_at_every_step(folder_scene: FolderScene) -> None:
    def act(who: Peer) -> None:
        who.fetch()
        who.checkout(TRACKED)

    _, alice, bob = folder_scene.copy_folder()
    alice.push()
    total = steps_of(lambda: act(bob))
    assert total > 40
    for step in range(1, total + 1, 5):
        backend, alice, bob = folder_scene.copy_folder()
        alice.push()
        assert in_child(lambda: act(bob), killer(step)) in (KILLED, 0)  # noqa: B023
        bob = Peer(bob.top, backend)
        assert bob.repo.refs.read(TRACKED) in (folder_scene.first, folder_scene.second)
        act(bob)
        assert bob.read("m.safetensors") == NEXT["m.safetensors"]
        bob.check()
        assert not [intent for intent in list_intents(bob.repo.intents_dir) if intent.alive]


def push_until_through(peer: Peer, name: str, count: int) -> None:
    """`count` commits, each on top of whatever the branch is at by then: what people do with pull --rebase."""
    for number in range(count):
        for _ in range(100):
            peer.fetch()
            tip = peer.repo.refs.read(TRACKED)
            assert tip is not None
            objects = peer.repo.objects
            with objects.batch() as batch:
                path = f"{name}/{number}"
                item = trees.TreeItem(0o100644, batch.blob(path.encode()))
                tree = trees.update(batch, objects.commit(tip).tree, {path: item})
                new = batch.commit(tree, [tip], WHO, WHO, path)
                batch.seal()
            if peer.push(RefUpdate(new, MAIN)).refs[0].status == "ok":
                break
        else:
            raise AssertionError("others always came first")


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_several_push_to_one_branch(tmp_path: Path, kind: str) -> None:
    backend: Backend = MemoryBackend() if kind == "memory" else FolderBackend(tmp_path / "remote")
    peers = []
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        peers.append(Peer(tmp_path / str(number), backend))
    peers[0].commit({"a": b"1"})
    peers[0].push()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            push_until_through(peers[number], f"p{number}", 4)
        except BaseException as error:
            failures.append(error)

    if kind == "memory":
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        children = [begin(lambda n=number: push_until_through(peers[n], f"p{n}", 4)) for number in range(4)]
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert not failures
    (tmp_path / "fresh").mkdir()
    fresh = Peer(tmp_path / "fresh", backend)
    tip = fresh.fetch().refs[0].new
    assert tip is not None
    commits = [one for one in walk_objects(fresh.repo.objects, [tip]) if one.kind == "commit"]
    assert len(commits) == 17
    assert all(len(fresh.repo.objects.commit(one.id).parents) < 2 for one in commits)
    flat = trees.flatten(fresh.repo.objects, fresh.repo.objects.commit(tip).tree)
    assert len(flat) == 17


def test_gc_of_the_remote_between_makes_push_look_again(scene: Scene, tmp_path: Path) -> None:
    """Right before Alice's entry, gc takes away the packs that her deltas rest on (and the branch they were for)."""
    from dataclasses import replace

    backend, alice, bob = scene.copy()
    state = bob.remote().state()

    class Between(FaultyBackend):
        done = False

        def put_if_absent(self, key: str, data: bytes | bytearray | memoryview) -> bool:
            if key.startswith(keys.LOG) and not self.done:
                self.done = True
                remote = bob.remote()
                now = remote.state()
                kept = [pack for pack in now.chunk_packs if pack not in state.chunk_packs]
                after = replace(now, generation=now.generation + 1, chunk_packs=tuple(kept), git_packs=(), refs={})
                assert remote.log.append(after, by="gc")
                self.inner.delete([keys.chunk_pack(pack.id) for pack in state.chunk_packs])
                self.inner.delete([keys.git_pack(pack.id) for pack in state.git_packs])
            return super().put_if_absent(key, data)

    assert alice.push(backend=Between(backend)).refs[0].status == "new"
    is_whole(backend, tmp_path / "fresh")


def test_a_lease_stands_while_a_push_runs(backend: MemoryBackend) -> None:
    clock = [0]

    class Watched(MemoryBackend):
        def put(self, key: str, source: object, **named: object) -> None:
            clock[0] += 1
            super().put(key, source, **named)  # type: ignore[arg-type]

    watched = Watched()
    with Lease(watched, "me", beat=0.001):
        while clock[0] < 4:
            signal.sigtimedwait([], 0.001)
        lease, beat = watched.list("leases/")
        assert beat.key == lease.key + ".beat"
        assert watched.get(lease.key).startswith(b"mvc-lease 1\n")
    assert not list(watched.list("leases/"))


def test_chunks_that_the_index_names_are_those_that_are_pushed(scene: Scene) -> None:
    _, alice, _ = scene.copy()
    alice.push()
    with alice.remote() as remote:
        index, _ = RemoteIndex.of(remote, remote.state())
        objects = alice.repo.objects
        for file in chunked_files(objects, walk_objects(objects, [scene.second])):
            assert all(name in index for name in chunk_names(open_chunks(alice.repo), file.manifest))
