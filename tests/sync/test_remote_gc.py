"""gc of a remote: what it frees and merges, and that nothing is lost beside pushes, faults, kills and other gcs."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.backends.base import Backend
from mvc.backends.faulty import Fault, FaultyBackend, Request, at, randomly
from mvc.backends.folder import FolderBackend
from mvc.backends.memory import MemoryBackend
from mvc.errors import MvcError
from mvc.sync import absorbed, condemned, keys
from mvc.sync.lease import LAPSE_SECONDS, Lease, find
from mvc.sync.remotegc import RemoteGcResult, gc_remote
from mvc.sync.remotelog import TRIMMED
from mvc.sync.verdicts import RefUpdate
from tests import points
from tests.forked import KILLED, in_child, killer
from tests.sync.making import MAIN, WHO, Peer, model, noise, tuned
from tests.sync.test_faults import EVERY, count_requests, is_whole, push_until_through, steps_of

SIDE = "refs/heads/side"
WEEKS = 14 * 86400.0


def gc(peer: Peer, *, backend: Backend | None = None, grace: float = 0, **options: object) -> RemoteGcResult:
    with peer.remote(backend) as remote:
        return gc_remote(remote, grace=grace, who=WHO, **options)  # type: ignore[arg-type]


def listed(peer: Peer) -> set[str]:
    state = peer.remote().state()
    found = {keys.chunk_pack(pack.id) for pack in state.chunk_packs} | {
        keys.chunk_idx(pack.idx_id) for pack in state.chunk_packs
    }
    return found | {key(pack.id) for pack in state.git_packs for key in (keys.git_pack, keys.git_idx)}


def stored(backend: Backend) -> set[str]:
    return {entry.key for prefix in ("git/", "idx/", "packs/") for entry in backend.list(prefix)}


def age(backend: MemoryBackend, days: int = 3) -> None:
    """All that is in the store is so much older."""
    backend._objects = {key: (data, when - days * 86400) for key, (data, when) in backend._objects.items()}


class Scene:
    """A remote with a branch that was deleted again, some pushes, and what a killed push left."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.backend = MemoryBackend()
        alice = self.peer("alice")
        self.first = alice.commit({"m.safetensors": model(width=128), "a": b"1"})
        alice.push()
        self.side = alice.commit({"m.safetensors": tuned(3, 1, width=128), "side.bin": noise(200_000, 7)})
        alice.push(RefUpdate(self.side, SIDE))
        alice.repo.refs.update([change(MAIN, self.side, self.first)], message="back", author=WHO)
        alice.checkout(MAIN)
        for number in range(3):
            self.tip = alice.commit({"m.safetensors": tuned(0, number + 1, width=128), "x": bytes([number])})
            alice.push()
        alice.push(RefUpdate(None, SIDE))
        self.backend.put(keys.chunk_pack("ab" * 32), b"left by a push that was killed")
        self.objects = dict(self.backend._objects)
        self.count = 0

    def peer(self, name: str) -> Peer:
        (self.top / name).mkdir(exist_ok=True)
        return Peer(self.top / name, self.backend)

    def copy(self) -> tuple[MemoryBackend, Peer]:
        self.count += 1
        backend = MemoryBackend()
        backend._objects = dict(self.objects)
        place = self.top / f"alice{self.count}"
        shutil.copytree(self.top / "alice", place, symlinks=True)
        return backend, Peer(place, backend)


def change(ref: str, old: str | None, new: str | None) -> object:
    from mvc.objects.refs import RefChange

    return RefChange(ref, old, new)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


def test_what_no_ref_reaches_goes_and_all_else_stays(scene: Scene, tmp_path: Path) -> None:
    backend, alice = scene.copy()
    before = stored(backend)
    dry = gc(alice, dry_run=True)
    assert stored(backend) == before
    done = gc(alice)
    assert [file.path for file in dry.files] == [file.path for file in done.files]
    assert {"side.bin", "m.safetensors"} >= {file.path for file in done.files} >= {"side.bin"}
    assert dry.chunk_bytes == done.chunk_bytes > 200_000
    assert stored(backend) == listed(alice)
    assert keys.chunk_pack("ab" * 32) in {key for key, _ in done.swept.deleted}
    is_whole(backend, tmp_path / "fresh")
    again = gc(alice)
    assert not again.files and not again.swept.deleted and again.seq == done.seq


def test_a_remote_stays_for_the_grace(scene: Scene, tmp_path: Path) -> None:
    backend, alice = scene.copy()
    before = stored(backend)
    done = gc(alice, grace=WEEKS)
    assert not done.swept.deleted and done.swept.waiting
    assert before <= stored(backend)
    assert done.files
    is_whole(backend, tmp_path / "fresh")
    # Three weeks later, by the store's clock.
    age(backend, 21)
    for key, (data, when) in list(backend._objects.items()):
        if key.startswith(keys.GC):
            rows = [
                condemned.Condemned(row.key, row.size, row.since - 21 * 86400, row.gone)
                for row in condemned.parse(data)
            ]
            backend._objects[key] = (condemned.dump(rows), when)
    assert gc(alice, grace=WEEKS).swept.deleted
    assert stored(backend) == listed(alice)
    is_whole(backend, tmp_path / "later")


def test_many_small_pushes_become_few_packs(tmp_path: Path, backend: MemoryBackend) -> None:
    (tmp_path / "a").mkdir()
    alice = Peer(tmp_path / "a", backend)
    for number in range(40):
        alice.commit({"x.bin": noise(80_000, number), "n": bytes([number])})
        alice.push()
    state = alice.remote().state()
    assert len(state.chunk_packs) == len(state.git_packs) == 40
    done = gc(alice)
    assert (done.packs_after, done.git_packs_after, done.idx_after) == (1, 1, 1)
    assert stored(backend) == listed(alice)
    assert done.swept.trimmed
    (tmp_path / "b").mkdir()
    is_whole(backend, tmp_path / "fresh")
    # One who was there before goes on, and brings nothing that is here.
    alice.commit({"y": b"1"})
    assert alice.push().refs[0].status == "ok"
    assert alice.fetch().bytes < 5000


def test_a_push_goes_on_a_remote_whose_branch_comes_back(scene: Scene, tmp_path: Path) -> None:
    """The same Git objects are pushed again as gc removes them: the pack gets another name."""
    backend, alice = scene.copy()
    gone: list[str] = []

    def meanwhile(_number: int, request: Request) -> Fault | None:
        if request.operation == "delete" and request.key.startswith(("git/", "packs/", "idx/")) and not gone:
            gone.append(request.key)
            other = Peer(alice.top, backend)
            assert other.push(RefUpdate(scene.side, SIDE)).refs[0].status == "new"
        return None

    gc(alice, backend=FaultyBackend(backend, meanwhile))
    assert gone
    assert alice.remote().state().refs[SIDE] == scene.side
    is_whole(backend, tmp_path / "fresh")


@pytest.mark.parametrize("where", range(0, 60, 3))
def test_a_push_at_each_request_of_gc(scene: Scene, where: int, tmp_path: Path) -> None:
    backend, alice = scene.copy()
    bob_top = tmp_path / "bob"
    shutil.copytree(alice.top, bob_top, symlinks=True)
    bob = Peer(bob_top, backend)
    bob.commit({"new.bin": noise(90_000, where), "side.bin": noise(200_000, 7)})

    def meanwhile(number: int, _request: Request) -> Fault | None:
        if number == where:
            bob.push()
            bob.push(RefUpdate(scene.side, SIDE))
        return None

    gc(alice, backend=FaultyBackend(backend, meanwhile))
    refs = alice.remote().state().refs
    assert refs.get(SIDE) in (scene.side, None)
    is_whole(backend, tmp_path / "fresh")


@pytest.mark.parametrize("where", range(0, 24, 2))
def test_gc_at_each_request_of_a_push(scene: Scene, where: int, tmp_path: Path) -> None:
    """Also of a push that takes up what a killed one left, right when gc (without any grace) is about to remove it."""
    backend, alice = scene.copy()
    bob_top = tmp_path / "bob"
    shutil.copytree(alice.top, bob_top, symlinks=True)
    bob = Peer(bob_top, backend)
    bob.commit({"new.bin": noise(90_000, where), "side.bin": noise(200_000, 7)})
    cut = FaultyBackend(backend, lambda _, request: Fault.BEFORE if request.key.startswith("git/") else None)
    with pytest.raises(MvcError):
        bob.push(backend=cut)

    def meanwhile(number: int, _request: Request) -> Fault | None:
        if number == where:
            age(backend)
            gc(alice)
        return None

    assert bob.push(backend=FaultyBackend(backend, meanwhile)).refs[0].status == "ok"
    bob.push(RefUpdate(scene.side, SIDE))
    is_whole(backend, tmp_path / "fresh")


def test_what_a_long_push_has_put_stays(scene: Scene, tmp_path: Path) -> None:
    backend, alice = scene.copy()
    with Lease(backend, "somebody"):
        backend.put(keys.chunk_pack("cd" * 32), b"just put")
        done = gc(alice)
        assert done.swept.writers == 1
        assert keys.chunk_pack("cd" * 32) in stored(backend)
    assert keys.chunk_pack("cd" * 32) not in {key for key, _ in done.swept.deleted}
    gc(alice)
    assert keys.chunk_pack("cd" * 32) not in stored(backend)


def test_leases_of_the_dead_do_not_count(scene: Scene) -> None:
    backend, alice = scene.copy()
    lease = Lease(backend, "somebody", keep=["git/x.pack"])
    lease._put(keys.lease(lease.nonce), ["mvc-lease 1", "keep git/x.pack", ""])
    data, when = backend._objects[keys.lease(lease.nonce)]
    assert find(backend, when).kept == {"git/x.pack"}
    backend._objects[keys.lease(lease.nonce)] = (data, when - 25 * 3600)
    gc(alice)
    assert not list(backend.list(keys.LEASES))


def test_a_writer_that_slept_no_longer_counts_on_its_lease(backend: MemoryBackend) -> None:
    clock = [0.0]
    with Lease(backend, "me", clock=lambda: clock[0]) as lease:
        assert lease.holds
        clock[0] += LAPSE_SECONDS + 1
        lease.beat()
        assert not lease.holds


def test_clocks_an_hour_off(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, alice = scene.copy()
    for offset in (3600, -3600):
        real = backend._clock
        backend._clock = lambda real=real, offset=offset: real() + offset  # type: ignore[misc]
        with Lease(backend, "somebody"):
            backend._clock = real
            backend.put(keys.chunk_pack("cd" * 32), b"just put")
            gc(alice)
            assert keys.chunk_pack("cd" * 32) in stored(backend)
    is_whole(backend, tmp_path / "fresh")


@pytest.mark.parametrize("fault", EVERY)
def test_every_request_of_gc_goes_wrong_once(scene: Scene, fault: Fault, tmp_path: Path) -> None:
    backend, alice = scene.copy()
    total = count_requests(backend, lambda faulty: gc(alice, backend=faulty))
    assert total > 25
    for number in points.spread(total, list(Fault).index(fault)):
        backend, alice = scene.copy()
        try:
            gc(alice, backend=FaultyBackend(backend, at({number: fault})))
        except MvcError:
            assert alice.remote().state().refs == {MAIN: scene.tip}
            is_whole(backend, tmp_path / f"{number}-torn")
            alice = Peer(alice.top, backend)
            gc(alice)
        if fault is not Fault.WRONG:
            age(backend)  # a lease whose deletion failed counts for a day
            gc(alice)
            assert stored(backend) == listed(alice)
        is_whole(backend, tmp_path / str(number))


@pytest.mark.parametrize("seed", range(3))
def test_faults_at_random(scene: Scene, seed: int, tmp_path: Path) -> None:
    backend, alice = scene.copy()
    faulty = FaultyBackend(backend, randomly(seed, 0.1, tuple(Fault)))
    for _ in range(40):
        try:
            gc(alice, backend=faulty)
            break
        except MvcError:
            continue
    is_whole(backend, tmp_path / "fresh")


@pytest.mark.slow
def test_gc_is_killed_at_every_step(scene: Scene, tmp_path: Path) -> None:
    def folder(number: str) -> tuple[FolderBackend, Peer]:
        _, alice = scene.copy()
        backend = FolderBackend(tmp_path / f"remote{number}")
        for key, (data, _) in scene.objects.items():
            backend.put(key, data)
        return backend, Peer(alice.top, backend)

    _, alice = folder("x")
    total = steps_of(lambda: gc(alice))
    for step in range(1, total + 1, 7):
        backend, alice = folder(str(step))
        assert in_child(lambda: gc(alice), killer(step)) in (KILLED, 0)  # noqa: B023
        is_whole(backend, tmp_path / f"{step}-torn")
        # What the killed gc put is held for a day by its lease.
        for path in [path for path in (tmp_path / f"remote{step}").rglob("*") if path.is_file()]:
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 3 * 86400))
        gc(Peer(alice.top, backend))
        assert stored(backend) == listed(alice)
        is_whole(backend, tmp_path / str(step))


def test_several_gcs_and_pushes_at_once(tmp_path: Path, backend: MemoryBackend) -> None:
    peers = []
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        peers.append(Peer(tmp_path / str(number), backend))
    peers[0].commit({"a": b"1"})
    peers[0].push()
    for number in range(20):
        peers[0].commit({"x.bin": noise(70_000, number)})
        peers[0].push()
    failures: list[BaseException] = []

    def guarded(act: Callable[[], object]) -> Callable[[], None]:
        def work() -> None:
            try:
                act()
            except BaseException as error:
                failures.append(error)

        return work

    threads = [threading.Thread(target=guarded(lambda n=n: push_until_through(peers[n], f"p{n}", 4))) for n in (0, 1)]
    threads += [threading.Thread(target=guarded(lambda n=n: [gc(peers[n]) for _ in range(3)])) for n in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    is_whole(backend, tmp_path / "fresh")
    gc(peers[2])
    assert stored(backend) == listed(peers[2])
    is_whole(backend, tmp_path / "fresh2")


def test_a_trimmed_log_is_read_by_who_knows_an_old_entry(tmp_path: Path, backend: MemoryBackend) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    alice, bob = Peer(tmp_path / "a", backend), Peer(tmp_path / "b", backend)
    alice.commit({"a": b"0"})
    alice.push()
    bob.fetch()
    old = bob.remote()
    assert old.state().seq == 1
    for number in range(300):
        updates = [RefUpdate(alice.repo.refs.read(MAIN), f"refs/tags/{'t' * 60}{number}")]
        alice.push(*updates)
    done = gc(alice)
    assert done.swept.trimmed
    assert backend.get(keys.entry(1)) == TRIMMED
    newest = alice.remote().state()
    assert Peer(tmp_path / "b", backend).remote().state() == newest
    assert old.state() == newest
    # The number stays taken: who has slept since then cannot write there.
    assert not backend.put_if_absent(keys.entry(2), b"x")
    backend.delete([keys.LATEST])
    (tmp_path / "c").mkdir()
    assert Peer(tmp_path / "c", backend).remote().state() == newest


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(["push", "side", "drop", "gc", "gc now", "big"]), min_size=3, max_size=9))
def test_any_order(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    top = tmp_path_factory.mktemp("any")
    backend = MemoryBackend()
    (top / "a").mkdir()
    alice = Peer(top / "a", backend)
    alice.commit({"m.safetensors": model(width=64)})
    alice.push()
    for number, step in enumerate(steps):
        if step == "push":
            alice.commit({"m.safetensors": tuned(0, number + 1, width=64)})
            alice.push()
        elif step == "side":
            alice.push(RefUpdate(alice.repo.refs.read(MAIN), SIDE, force=True))
        elif step == "drop" and SIDE in alice.remote().state().refs:
            alice.push(RefUpdate(None, SIDE))
        elif step == "big":
            alice.commit({"b.bin": noise(100_000, number)})
            alice.push()
        elif step.startswith("gc"):
            gc(alice, grace=0 if step == "gc now" else WEEKS)
    is_whole(backend, top / "fresh")


def test_a_merged_git_pack_is_not_brought_again(
    tmp_path: Path, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absorbed, "LARGE", 100)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    alice, bob = (Peer(tmp_path / name, backend) for name in ("a", "b"))
    for number in range(12):
        alice.commit({"a": os.urandom(20_000), "n": bytes([number])})
        alice.push()
    bob.fetch()
    gc(alice)
    (merged,) = alice.remote().state().git_packs
    alice.commit({"b": b"1"})
    alice.push()
    faulty = FaultyBackend(backend)
    assert bob.fetch(backend=faulty).refs[0].status == "fast-forward"
    assert Request("get", keys.git_idx(merged.id)) in faulty.requests
    assert Request("get", keys.git_pack(merged.id)) not in faulty.requests
    bob.check()
    # An idx that lies costs a repeat, and no more.
    known = alice.repo.refs.read(MAIN)
    before = set(alice.remote().state().git_packs)
    alice.commit({"c": os.urandom(20_000)})
    alice.push()
    (lies,) = set(alice.remote().state().git_packs) - before
    data, when = backend._objects[keys.git_idx(lies.id)]
    lie = data[:1028] + (1).to_bytes(4) + bytes.fromhex(known or "") + data[1052:]
    backend._objects[keys.git_idx(lies.id)] = (lie, when)
    assert bob.fetch().refs[0].status == "fast-forward"
    bob.check()
