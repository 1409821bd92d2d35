"""What came and was not decoded: it can be read, and is stored for no other purpose, whatever a remote has sent."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mvc import fsio
from mvc.backends.base import Backend
from mvc.backends.faulty import Fault, FaultyBackend, at
from mvc.backends.memory import MemoryBackend
from mvc.codecs.base import Encoded
from mvc.errors import IntegrityError, MissingObject, MvcError
from mvc.hashing import digest
from mvc.objects.reachable import walk_objects
from mvc.ops.bundle import create_bundle
from mvc.ops.count_objects import count_objects
from mvc.ops.fsck import fsck
from mvc.ops.gc import gc
from mvc.ops.model_file import open_file
from mvc.ops.show_model import list_model
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import chunk_names, chunked_files
from mvc.settings import ChunkNaming
from mvc.store.chunkstore import ChunkStore
from mvc.store.received import Received
from mvc.sync.chunks import Brought, bring, bring_files
from mvc.sync.remotelog import RemoteLog
from mvc.sync.verdicts import RefUpdate
from tests.forked import KILLED, in_child, killer
from tests.sync.making import MAIN, TRACKED, Peer, model, noise, tuned
from tests.sync.test_faults import FolderScene, Scene, steps_of
from tests.sync.test_hostile import plant, raw

AS_IT_IS = "[core]\n\tdecodeBelow = 0\n"
BASE = {"m.safetensors": model(), "x.bin": noise(300_000)}
NEXT = {"m.safetensors": tuned()}


class Story:
    """Alice has pushed a base and its fine-tune. What Bob gets from the remote he takes as it is."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.backend = MemoryBackend()
        self.alice, self.bob = self.peer("alice", ""), self.peer("bob")
        self.alice.commit(BASE)
        self.tip = self.alice.commit(NEXT)
        self.alice.push()

    def peer(self, name: str, config: str = AS_IT_IS) -> Peer:
        (self.top / name).mkdir(exist_ok=True)
        return Peer(self.top / name, self.backend, config=config)

    def all_data(self, backend: Backend | None = None) -> Brought:
        self.bob.fetch(backend=backend)
        with self.bob.remote(backend) as remote:
            return bring_files(remote, [self.tip])

    def names(self, path: str) -> set[bytes]:
        """The chunks of all versions of a file."""
        objects, chunks = self.alice.repo.objects, open_chunks(self.alice.repo)
        files = chunked_files(objects, walk_objects(objects, [self.tip]))
        return {name for file in files if file.path == path for name in chunk_names(chunks, file.manifest)}

    def poison(self, names: Collection[bytes]) -> None:
        """Bytes of the right size that are others, under these names, in a remote in which all else is as it was."""
        chunks = open_chunks(self.alice.repo)
        records = []
        for name in sorted(chunks.names(), key=lambda name: chunks.header(name).depth):
            header, record = chunks.header(name), chunks.read_stored(name)
            if name in names:
                size = header.raw_size
                records.append((name, raw(noise(size, 7)), size, (), 0))
            else:
                payload = record[header.lead_size :]
                encoded = Encoded(header.codec, header.params, (payload,))
                records.append((name, encoded, header.raw_size, header.bases, header.depth))
        before = RemoteLog(self.backend, None, ChunkNaming()).latest()
        plant(self.backend, self.top, records)
        log = RemoteLog(self.backend, None, ChunkNaming())
        state = log.latest()
        fresh = tuple(pack for pack in state.chunk_packs if pack not in before.chunk_packs)
        assert log.append(replace(state, chunk_packs=fresh), by="x")


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def store(peer: Peer) -> ChunkStore:
    return open_chunks(peer.repo)


def lying(peer: Peer) -> set[bytes]:
    """What lies apart."""
    received = store(peer).received
    return {name for idx in received.idx.all for name in idx.names()} if received is not None else set()


# ---- what is right


def test_all_data_lies_apart_until_it_was_read(story: Story) -> None:
    bob, every = story.bob, story.alice.chunk_names()
    assert story.all_data().chunks == len(every)
    assert lying(bob) == every
    assert not bob.chunk_names()
    assert not story.all_data().moved  # nothing comes twice
    bob.checkout(TRACKED)
    assert bob.read("m.safetensors") == NEXT["m.safetensors"]
    bob.check()  # settles what the checkout has not read
    assert bob.chunk_names() == every
    assert not lying(bob)


def test_a_checkout_settles_what_it_has_read(story: Story) -> None:
    bob = story.bob
    bob.fetch()
    bob.checkout(TRACKED)
    assert bob.read("m.safetensors") == NEXT["m.safetensors"]
    assert bob.read("x.bin") == BASE["x.bin"]
    assert not lying(bob)
    assert bob.chunk_names() == story.alice.chunk_names()  # bases too: they were read, and held against their names
    bob.check()


def test_what_lies_apart_is_read_without_a_remote(story: Story) -> None:
    story.all_data()
    chunks = store(story.bob)
    alices = store(story.alice)
    for name in alices.names():
        assert chunks.read(name) == alices.read(name)
    assert len(chunks.settle(read=True)) == 0
    assert story.bob.chunk_names() == story.alice.chunk_names()


def test_little_is_decoded_on_its_way(story: Story) -> None:
    carol = story.peer("carol", "")
    carol.fetch()
    with carol.remote() as remote:
        bring_files(remote, [story.tip])
    assert carol.chunk_names() == story.alice.chunk_names()
    assert not lying(carol)


def test_gc_keeps_and_settles(story: Story) -> None:
    bob, every = story.bob, story.alice.chunk_names()
    story.all_data()
    gc(bob.repo, prune_after_days=0, caller=bob.caller)
    assert bob.chunk_names() == every
    assert not lying(bob)
    bob.check()


def test_a_base_that_is_the_repositorys_own_stays_while_a_difference_lies_on_it(story: Story) -> None:
    """Nothing else needs the base: gc must know of what lies apart."""
    bob = story.bob
    bob.fetch()
    deltas = {name for name in store(story.alice).names() if store(story.alice).header(name).depth}
    bases = {base for name in deltas for base in store(story.alice).header(name).bases}
    carol = story.peer("carol", "")
    assert deltas
    carol.fetch()
    with carol.remote() as remote:
        bring(remote, bases)
    # From here on as it is.
    with open(carol.top / ".mvc" / "config", "a", encoding="utf-8") as file:
        file.write(AS_IT_IS)
    carol = story.peer("carol")
    with carol.remote() as remote:
        bring(remote, deltas)
    assert lying(carol) == deltas
    gc(carol.repo, prune_after_days=0, caller=carol.caller)
    chunks = store(carol)
    for name in deltas:
        assert chunks.read(name) == store(story.alice).read(name)
    carol.check()


# ---- what is not: each door


def test_a_true_name_is_not_stored_by_what_lies_apart(story: Story) -> None:
    story.poison(story.alice.chunk_names())
    story.all_data()
    chunks = store(story.bob)
    assert lying(story.bob) == story.alice.chunk_names()
    with chunks.intend("add") as intent:
        writer = chunks.writer(intent)
        for name in lying(story.bob):
            assert name not in chunks
            assert chunks.find(name) is None
            assert chunks.find_own(name) is None
            assert writer.find(name) is None
            with pytest.raises(MissingObject):
                chunks.read_stored(name)
            with pytest.raises(MissingObject):
                writer.read(name)  # no base for what is stored now
            assert writer.begin(name)
        writer.abort()
    assert not list(chunks.names())
    assert not list(chunks.records())


def test_the_users_own_bytes_are_stored(story: Story) -> None:
    story.poison(story.alice.chunk_names())
    story.all_data()
    bob = story.bob
    bob.repo.refs.set_symbolic("HEAD", MAIN)
    bob.commit({**BASE, **NEXT})
    alices = store(story.alice)
    chunks = store(bob)
    for name in bob.chunk_names():
        if name in alices:
            assert chunks.read(name) == alices.read(name)
    assert story.names("x.bin") <= bob.chunk_names()
    bob.check()


def test_nothing_wrong_is_pushed_on(story: Story, tmp_path: Path) -> None:
    story.poison(story.names("x.bin"))
    story.all_data()
    bob, other = story.bob, MemoryBackend("other")
    for repo in (bob.repo, bob.lazy()):
        peer = Peer(bob.top, other)
        peer.repo = repo
        with pytest.raises(MvcError):
            peer.push(RefUpdate(story.tip, MAIN))
        assert not list(other.list("packs/"))
        assert not [one for one in other.list("txn/")][1:]


def test_what_is_right_is_pushed_on(story: Story, tmp_path: Path) -> None:
    story.all_data()
    other = MemoryBackend("other")
    assert Peer(story.bob.top, other).push(RefUpdate(story.tip, MAIN)).refs[0].status == "new"
    assert not lying(story.bob)
    (tmp_path / "dora").mkdir()
    dora = Peer(tmp_path / "dora", other)
    dora.fetch()
    dora.checkout(TRACKED)
    assert dora.read("x.bin") == BASE["x.bin"]
    dora.check()


def test_nothing_wrong_goes_into_a_bundle(story: Story, tmp_path: Path) -> None:
    story.poison(story.names("x.bin"))
    story.all_data()
    bob = story.bob
    with pytest.raises(MvcError):
        create_bundle(bob.repo, tmp_path / "b.mvcb", [TRACKED], caller=bob.caller)
    assert not lying(bob)
    assert story.names("x.bin").isdisjoint(bob.chunk_names())


def test_gc_and_fsck_take_what_is_right_and_tell_the_rest(story: Story) -> None:
    bob, wrong = story.bob, story.names("x.bin")
    story.poison(wrong)
    story.all_data()
    findings = fsck(bob.repo).findings
    assert {one.what.rpartition(" ")[2] for one in findings} == {name.hex() for name in wrong}
    assert bob.chunk_names() == story.alice.chunk_names() - wrong
    assert not lying(bob)
    bob.check()  # they are promised: the remote has them, as it says


def test_who_sweeps_settles_first(story: Story) -> None:
    """gc, drop and purge."""
    wrong = story.names("x.bin")
    story.poison(wrong)
    story.all_data()
    store(story.bob).begin_sweep(grace_seconds=0.0)
    assert story.bob.chunk_names() == story.alice.chunk_names() - wrong
    assert not lying(story.bob)


def test_a_checkout_tells_which_pack_lies_and_a_repeat_brings_it_anew(story: Story) -> None:
    bob = story.bob
    sound = RemoteLog(story.backend, None, ChunkNaming()).latest().chunk_packs
    story.poison(story.names("x.bin"))
    bob.fetch()
    with pytest.raises(IntegrityError, match=r"from memory://memory 'packs/[0-9a-f/]+\.pack' at \d+: ") as told:
        bob.checkout(TRACKED)
    assert any(name.hex() in told.value.message for name in story.names("x.bin"))
    assert not (bob.top / "x.bin").exists()
    log = RemoteLog(story.backend, None, ChunkNaming())
    assert log.append(replace(log.latest(), chunk_packs=sound), by="x")  # somebody has repaired it
    bob.fetch()
    bob.checkout(TRACKED)
    assert bob.read("x.bin") == BASE["x.bin"]
    bob.check()
    assert bob.chunk_names() == story.alice.chunk_names()
    assert not lying(bob)


def test_a_base_is_not_proved_by_what_rests_on_it(story: Story, tmp_path: Path) -> None:
    """A record may name a base that its codec does not look at: then it decodes rightly, whatever the base is."""
    base, delta = noise(50_000, 1), noise(50_000, 2)
    names = [digest(base), digest(delta)]
    plant(
        story.backend,
        tmp_path,
        [
            (names[0], raw(noise(50_000, 3)), 50_000, (), 0),
            (names[1], raw(delta), 50_000, (names[0],), 1),
        ],
    )
    bob = story.bob
    bob.fetch()
    with bob.remote() as remote:
        bring(remote, names)
    chunks = store(bob)
    with pytest.raises(IntegrityError):
        chunks.read(names[1])
    chunks.settle(read=True)
    assert not bob.chunk_names()
    assert {one.name for one in chunks.settle()} == set(names)
    assert not bob.chunk_names()


def test_damage_on_the_disk_is_passed_over(story: Story) -> None:
    story.all_data()
    bob = story.bob
    for pack in (bob.top / ".mvc" / "received").rglob("*.pack"):
        data = bytearray(pack.read_bytes())
        for at_ in range(200, len(data), 5000):
            data[at_] ^= 1
        pack.chmod(0o644)
        pack.write_bytes(data)
    bob.checkout(TRACKED)
    assert bob.read("m.safetensors") == NEXT["m.safetensors"]
    fsck(bob.repo)
    bob.check()


def test_several_settle_at_once(story: Story) -> None:
    """While others read: nobody misses a chunk."""
    bob, alices = story.bob, store(story.alice)
    names = sorted(alices.names())
    for _ in range(4):
        story.all_data()
        stores = [store(bob) for _ in range(6)]
        gate = threading.Barrier(len(stores))

        def work(number: int) -> None:
            gate.wait()  # noqa: B023
            if number % 2:
                assert not stores[number].settle()  # noqa: B023
            else:
                for name in names:
                    assert stores[number].read(name) == alices.read(name)  # noqa: B023

        with ThreadPoolExecutor(len(stores)) as pool:
            list(pool.map(work, range(len(stores))))
        assert not lying(bob)
        assert bob.chunk_names() == set(names)
        bob.check()
        shutil.rmtree(bob.top / ".mvc" / "chunks")
        shutil.rmtree(bob.top / ".mvc" / "received")


def test_another_takes_a_pack_over_at_the_same_moment(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the answer that its name is taken, and the look at what has it."""
    bob, names = story.bob, store(story.alice).names()
    story.all_data()
    one, other = store(bob), store(bob)
    real = fsio.link

    def link(source: Path, target: Path) -> None:
        if target.suffix != ".pack":
            return real(source, target)
        monkeypatch.setattr(fsio, "link", real)
        assert not other.settle() and target.exists() and not source.exists()
        raise FileExistsError(target)

    monkeypatch.setattr(fsio, "link", link)
    assert not one.settle()
    assert fsio.link is real and not lying(bob)
    assert bob.chunk_names() == set(names)
    bob.check()


def test_another_takes_a_pack_over_between_the_two_looks(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it does not lie yet, there it lies no more: as it is seen by a thread while a second one looks again."""
    bob, alices = story.bob, store(story.alice)
    story.all_data()
    one, other = store(bob), store(bob)
    real = Received.read

    def read(self: Received, *arguments: Any) -> Any:
        if self is one.received:
            other.settle()
            self.idx.reload()
        return real(self, *arguments)

    monkeypatch.setattr(Received, "read", read)
    for name in sorted(alices.names()):
        assert one.read(name) == alices.read(name)


def test_a_model_is_listed_by_what_lies_apart(story: Story) -> None:
    story.all_data()
    bob = story.bob
    counted = count_objects(bob.repo)
    assert counted.received > 100_000
    assert not counted.chunks.chunks
    assert not list_model(bob.repo, open_file(bob.repo, f"{TRACKED}:m.safetensors")).missing


# ---- faults


class AsItIsScene(Scene):
    """The scene of the faults, with a Bob who takes what comes as it is."""

    def peer(self, name: str) -> Peer:
        (self.top / name).mkdir(exist_ok=True)
        return Peer(self.top / name, self.backend, config=AS_IT_IS)


class AsItIsFolders(AsItIsScene, FolderScene):
    """The same over a folder."""


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.SHORT, Fault.WRONG, Fault.AFTER])
def test_every_request_goes_wrong_once(tmp_path: Path, fault: Fault) -> None:
    scene = AsItIsScene(tmp_path)
    backend, alice, bob = scene.copy()
    alice.push()
    counting = FaultyBackend(backend)

    def act(peer: Peer, through: Backend) -> None:
        peer.fetch(backend=through)
        with peer.remote(through) as remote:
            bring_files(remote, [scene.second])
        peer.checkout(TRACKED, backend=through)

    act(bob, counting)
    for number in range(len(counting.requests)):
        backend, alice, bob = scene.copy()
        alice.push()
        try:
            act(bob, FaultyBackend(backend, at({number: fault})))
        except MvcError:
            act(bob, backend)
        assert bob.read("m.safetensors") == alice.read("m.safetensors")
        bob.check()


@pytest.mark.slow
def test_it_is_killed_at_every_step(tmp_path: Path) -> None:
    scene = AsItIsFolders(tmp_path)

    def act(who: Peer) -> None:
        who.fetch()
        with who.remote() as remote:
            bring_files(remote, [scene.second])
        who.checkout(TRACKED)

    _, alice, bob = scene.copy_folder()
    alice.push()
    total = steps_of(lambda: act(bob))
    for step in range(1, total + 1, 7):
        backend, alice, bob = scene.copy_folder()
        alice.push()
        assert in_child(lambda: act(bob), killer(step)) in (KILLED, 0)  # noqa: B023
        bob = Peer(bob.top, backend)
        act(bob)
        assert bob.read("m.safetensors") == alice.read("m.safetensors")
        bob.check()
        assert not lying(bob)
        gc(bob.repo, prune_after_days=0, caller=bob.caller)
        assert not list((bob.top / ".mvc" / "received" / "packs").rglob("*.pack"))
        bob.check()
