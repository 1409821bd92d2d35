"""The shared store under kills at every step, several processes at once, and random operations."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mvc.backends.folder import FolderBackend
from mvc.errors import Locked
from mvc.ops.add import add
from mvc.ops.gc import gc
from mvc.ops.shared_store import verify_store
from mvc.settings import StoreSettings
from mvc.store.room import make_room
from mvc.sync.held import held_by
from mvc.sync.verdicts import RefUpdate
from tests.forked import KILLED, in_child
from tests.sync.making import MAIN, TRACKED, Peer, model, noise, tuned
from tests.sync.test_shared import World, own, stands_alone, tidy

THOROUGH = int(os.environ.get("MVC_TEST_EXAMPLES", "12"))
SMALL = {"width": 160, "count": 1}


class Stopper:
    """Kills the process before its step number `at` in the store; folders that are made do not count."""

    def __init__(self, world: World, at: int) -> None:
        self.prefix, self.at, self.count = os.fspath(world.store), at, 0

    def __call__(self, operation: str, path: str) -> None:
        if path.startswith(self.prefix) and operation not in {"mkdir", "fsync-dir"}:
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGKILL)


def each_step(act: Callable[[int], int], stride: int) -> int:
    """Run `act` once for each step at which it can be killed, or every `stride`th; returns how often it was."""
    number = 1
    while act(number) == KILLED:
        number += stride
    return number


STRIDES = [pytest.param(11, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)]


class Scene:
    """Alice has pushed two versions; Bob has fetched the history, and the first version, if there is a store."""

    def __init__(self, top: Path, *, store: bool) -> None:
        self.world = World(top)
        alice, bob = self.world.peer("alice"), self.world.peer("bob")
        self.first = alice.commit({"m": model(**SMALL), "x": noise(200_000)})
        alice.push()
        bob.fetch()
        if store:
            bob.checkout(self.first)
            self.world.age()
        self.second = alice.commit({"m": tuned(**SMALL), "y": noise(100_000, 1)})
        alice.push()
        bob.fetch()
        self.count = 0

    def copy(self, *names: str) -> tuple[World, Peer]:
        """These repositories and the store again, in folders of their own; returns the first."""
        self.count += 1
        top = self.world.top / f"copy{self.count}"
        for name in (*names, "store"):
            if (self.world.top / name).exists():
                shutil.copytree(self.world.top / name, top / name, symlinks=True)
        world = World(top)
        world.backend._objects = dict(self.world.backend._objects)
        peers = []
        for name in names:
            config = top / name / ".mvc" / "config"
            config.write_text(config.read_text().replace(str(self.world.store), str(world.store)))
            peers.append(world.peer(name))
        return world, peers[0]


def is_sound(world: World) -> None:
    if world.store.exists():
        assert not verify_store(world.store, StoreSettings()).damage


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("store", [False, True])
def test_killed_at_each_step_of_bringing(tmp_path: Path, store: bool, stride: int) -> None:
    scene = Scene(tmp_path, store=store)

    def once(number: int) -> int:
        world, bob = scene.copy("bob")
        code = in_child(lambda: bob.checkout(scene.second), Stopper(world, number))
        bob.checkout(scene.second)
        assert bob.read("m") == tuned(**SMALL) and bob.read("y") == noise(100_000, 1)
        bob.check()
        stands_alone(bob)
        is_sound(world)
        shutil.rmtree(world.top)
        return code

    assert each_step(once, stride) > 5


@pytest.mark.parametrize("stride", STRIDES)
def test_killed_at_each_step_of_making_room(tmp_path: Path, stride: int) -> None:
    scene = Scene(tmp_path, store=True)

    def once(number: int) -> int:
        world, bob = scene.copy("bob")
        code = in_child(lambda: world.room(1, bob), Stopper(world, number))
        bob.checkout(scene.second)
        assert bob.read("x") == noise(200_000)
        world.age()
        world.room(10**9, bob)
        assert not world.packs()
        is_sound(world)
        bob.check()
        shutil.rmtree(world.top)
        return code

    assert each_step(once, stride) > 5


@pytest.mark.parametrize("stride", STRIDES)
def test_killed_at_each_step_of_moving_out(tmp_path: Path, stride: int) -> None:
    scene = Scene(tmp_path, store=True)

    def once(number: int) -> int:
        world, alice = scene.copy("alice")
        alice.commit({"only": noise(90_000, 9)})
        code = in_child(lambda: tidy(alice), Stopper(world, number))
        stands_alone(alice)
        alice.check()
        tidy(alice)
        assert len(own(alice)) == 1
        stands_alone(alice)
        alice.check()
        is_sound(world)
        shutil.rmtree(world.top)
        return code

    assert each_step(once, stride) > 3


def test_many_at_once(tmp_path: Path) -> None:
    """Four repositories bring and read in turns while two others make room all the time."""
    world = World(tmp_path)
    backend = FolderBackend(tmp_path / "hub")
    (tmp_path / "alice").mkdir()
    alice = Peer(tmp_path / "alice", backend)
    versions = [{"m": model(**SMALL) if not n else tuned(step=n, **SMALL), "x": noise(200_000, n)} for n in range(4)]
    commits = [alice.commit(files) for files in versions]
    alice.push()
    peers = [world.peer(f"peer{number}", backend=backend) for number in range(5)]  # type: ignore[arg-type]
    for peer in peers:
        peer.fetch()
    end = time.monotonic() + 2.0

    def reading(peer: Peer, turn: int) -> None:
        while time.monotonic() < end:
            turn += 1
            peer.checkout(commits[turn % 4])
            for path, data in versions[turn % 4].items():
                assert peer.read(path) == data

    def pruning(peer: Peer) -> None:
        while time.monotonic() < end:
            try:
                with peer.remote() as remote:
                    make_room(world.store, "plain", 1, held_by(remote), in_use_seconds=0.0)
            except (Locked, FileNotFoundError):
                pass
            time.sleep(0.02)

    children = []
    for number, peer in enumerate(peers):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                reading(peer, number) if number < 4 else pruning(peer)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 5
    for peer in peers[:4]:
        peer.checkout(commits[0])
        peer.check()
        stands_alone(peer)


class Machine(RuleBasedStateMachine):
    """Two repositories, a remote each and one in common, a store; whatever happens, nothing hangs on the store."""

    contents = st.one_of(
        st.integers(0, 3).map(lambda seed: noise(70_000, seed)),
        st.integers(0, 3).map(lambda step: tuned(step=step, **SMALL) if step else model(**SMALL)),
    )

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="mvc-shared-"))
        self.world = World(self.top)
        self.peers = [self.world.peer("one"), self.world.peer("two")]
        self.count = 0
        self.expected: list[dict[str, bytes]] = [{}, {}]

    who = st.integers(0, 1)

    @initialize()
    def begin(self) -> None:
        self._commit(0, "f", noise(70_000, 9))
        self.push(0)

    def _commit(self, who: int, path: str, data: bytes) -> None:
        self.count += 1
        self.expected[who][path] = data
        self.peers[who].commit({path: data, "n": b"%d" % self.count})
        self.expected[who]["n"] = b"%d" % self.count

    @rule(who=who, path=st.sampled_from(["f", "g"]), data=contents)
    def commit(self, who: int, path: str, data: bytes) -> None:
        self._commit(who, path, data)

    @rule(who=who, data=contents)
    def stage(self, who: int, data: bytes) -> None:
        peer = self.peers[who]
        peer.write({"staged": data})
        self.expected[who]["staged"] = data
        add(peer.repo, ["staged"])

    @rule(who=who)
    def push(self, who: int) -> None:
        peer = self.peers[who]
        tip = peer.repo.refs.read(MAIN)
        if tip:
            peer.push(RefUpdate(tip, MAIN, force=True))

    @rule(who=who)
    def fetch_and_check_out(self, who: int) -> None:
        peer = self.peers[who]
        peer.fetch()
        tip = peer.repo.refs.read(TRACKED)
        if tip:
            peer.checkout(tip)
            self.expected[who] = {
                path.name: path.read_bytes() for path in peer.top.iterdir() if path.is_file() and path.name != ".mvc"
            }

    @rule(who=who, ask=st.booleans())
    def collect(self, who: int, ask: bool) -> None:
        peer = self.peers[who]
        if ask:
            tidy(peer)
        else:
            gc(peer.repo, prune_after_days=0, caller=peer.caller)

    @rule(who=who, all_of_it=st.booleans())
    def prune(self, who: int, all_of_it: bool) -> None:
        if (self.world.store / "plain").exists():
            self.world.age()
            self.world.room(10**9 if all_of_it else 1, self.peers[who])

    @rule(how=st.sampled_from(["gone", "spoilt", "cut", "idx"]))
    def harm(self, how: str) -> None:
        if how == "gone":
            shutil.rmtree(self.world.store, ignore_errors=True)
        for path in self.world.packs():
            if how == "spoilt":
                path.write_bytes(bytes(path.stat().st_size))
            elif how == "cut":
                os.truncate(path, path.stat().st_size // 2)
        if how == "idx":
            for path in self.world.store.rglob("*.idx"):
                path.write_bytes(path.read_bytes()[:-1] + b"?")

    @invariant()
    def nothing_hangs_on_the_store(self) -> None:
        for peer, expected in zip(self.peers, self.expected, strict=True):
            stands_alone(peer)
            peer.check()
            if peer.repo.refs.read(MAIN):
                for path, data in expected.items():
                    assert peer.read(path) == data

    def teardown(self) -> None:
        shutil.rmtree(self.top)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=max(THOROUGH // 4, 1), stateful_step_count=15, deadline=None)
