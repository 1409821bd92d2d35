"""One store for several repositories: what goes where, and that nothing is left to it that no remote holds."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mvc.backends.memory import MemoryBackend
from mvc.errors import MissingObject, Refused
from mvc.fsio import hooked
from mvc.hashing import digest
from mvc.objects.reachable import Reached, walk_objects
from mvc.ops.fsck import fsck
from mvc.ops.gc import GcResult, gc, keep_own
from mvc.ops.reset import Mode, reset
from mvc.progress import NullProgress
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import chunk_names, chunked_files
from mvc.repo.repository import Repository
from mvc.repo.roots import roots
from mvc.store.idx import Idx
from mvc.store.idxwrite import write_pack_idx
from mvc.store.leaning import registered
from mvc.store.records import Location
from mvc.store.room import Room, disk_usage, make_room, pack_uses
from mvc.store.shared import pack_folders, space_paths
from mvc.sync.chunks import FromRemotes, bring
from mvc.sync.held import held_by
from mvc.sync.promised import Promises, promised
from mvc.sync.push import push
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotes import Remote, RemoteConfig
from mvc.sync.verdicts import RefUpdate
from tests.models import safetensors_bytes
from tests.sync.making import MAIN, TRACKED, WHO, Counted, Peer, model, noise, tuned

FILES = {"m.safetensors": model(), "x.bin": noise(400_000)}


class World:
    """Repositories over one remote and one shared store."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.backend = MemoryBackend()
        self.store = top / "store"

    def peer(self, name: str, extra: str = "", *, backend: MemoryBackend | None = None) -> Peer:
        (self.top / name).mkdir(exist_ok=True)
        config = f"[core]\n\tsharedStore = {self.store}\n{extra}"
        return _Peer(self.top / name, backend or self.backend, config=config)

    def packs(self, space: str = "plain") -> list[Path]:
        return sorted((self.store / space).glob("chunks/packs/*/*.pack"))

    def age(self, seconds: float = 7200.0) -> None:
        """All packs were used that long ago."""
        for path in self.packs():
            os.utime(path, (time.time() - seconds,) * 2)

    def room(self, need: int, peer: Peer, **options: bool) -> Room:
        with peer.remote() as remote:
            return make_room(self.store, "plain", need, held_by(remote), **options)  # type: ignore[arg-type]


class _Peer(Peer):
    """As the command line opens a repository: with what its remotes were seen to hold."""

    def __init__(self, top: Path, backend: MemoryBackend, *, config: str = "") -> None:
        super().__init__(top, backend, config=config)
        self.repo = replace(self.repo, promised=self._promised)

    def _promised(self, name: bytes) -> bool:
        return promised(self.repo)(name)  # anew each time: the tests go on with one repository


class Warnings(NullProgress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def own(peer: Peer) -> set[bytes]:
    return set(open_chunks(peer.repo).names())


def needed(peer: Peer) -> set[bytes]:
    """The chunks of all that the peer's refs, reflogs and stage reach, read with what is there."""
    found = roots(peer.repo)
    chunks, promises = open_chunks(peer.repo), Promises(peer.repo)
    staged = [Reached("blob", blob, path, 0, "") for blob, path in found.staged.items()]
    names: set[bytes] = set()
    for file in chunked_files(peer.repo.objects, [*walk_objects(peer.repo.objects, found.objects), *staged]):
        names.update(chunk_names(chunks, file.manifest, promises.holds))
    return names


def stands_alone(peer: Peer) -> None:
    """What the remote has not is in the repository itself, and can be read there without the shared store."""
    alone = Repository.open(peer.top).with_shared_store(os.fspath(peer.top / "no store"))
    chunks = open_chunks(alone)
    with peer.remote() as remote:
        index = RemoteIndex.of(remote, remote.state())[0]
    for name in needed(peer):
        if name not in index:
            chunks.read(name)
    for name in chunks.names():
        chunks.read(name)


def tidy(peer: Peer, *, dry_run: bool = False) -> GcResult:
    with peer.remote() as remote:
        return gc(peer.repo, prune_after_days=0, dry_run=dry_run, held=held_by(remote), caller=peer.caller)


def chunk_requests(counted: Counted) -> int:
    return len([key for call, key in counted.calls if call == "get" and key.startswith("packs/")])


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
        assert not own(peer)
        assert bool(chunk_requests(counted)) == (peer is bob)
        peer.check()
    assert {one.path for one in registered(world.store)} == {bob.top / ".mvc"}


def cloned(world: World, name: str = "bob", extra: str = "") -> Peer:
    """A peer that has checked out what alice has pushed."""
    if not world.backend._objects:
        alice = world.peer("alice")
        alice.commit(FILES)
        alice.push()
    peer = world.peer(name, extra)
    peer.fetch()
    peer.checkout(TRACKED)
    return peer


def test_a_fine_tune_takes_its_base_home_and_stands_alone(world: World) -> None:
    bob = cloned(world)
    bob.commit({"m.safetensors": tuned()})
    chunks = open_chunks(bob.repo)
    deltas = [place for _, place in chunks.records() if place.depth]
    assert deltas, "it is stored as a difference"
    stands_alone(bob)
    bob.check()
    shutil.rmtree(world.store)
    bob.checkout("HEAD", backend=MemoryBackend())
    assert bob.read("m.safetensors") == tuned()
    bob.check()


def test_what_a_remote_holds_is_not_stored_again_and_what_none_holds_is(world: World) -> None:
    bob = cloned(world)
    bob.write({"copy.bin": FILES["x.bin"]})
    bob.commit({})
    assert not own(bob)
    stands_alone(bob)
    # For who has no remote that was seen to hold it, the shared store is not enough.
    carol = world.peer("carol", backend=MemoryBackend())
    carol.commit(FILES)
    assert needed(carol) <= own(carol)
    carol.push()
    stands_alone(carol)
    carol.check()


def test_the_cap_holds(world: World) -> None:
    limit = 750_000
    alice, bob = world.peer("alice"), world.peer("bob", f"\tsharedStoreLimit = {limit}\n")
    for seed in range(5):
        commit = alice.commit({"x.bin": noise(250_000, seed)})
        alice.push()
        bob.fetch()
        bob.checkout(commit)
        assert bob.read("x.bin") == noise(250_000, seed)
        assert disk_usage(world.store) <= limit
        assert not own(bob)
        world.age()
    # What is in use is not taken: what has no room goes home.
    for seed in range(5, 9):
        commit = alice.commit({"x.bin": noise(250_000, seed)})
        alice.push()
        bob.fetch()
        bob.checkout(commit)
        assert disk_usage(world.store) <= limit
    assert own(bob)
    for back in range(9):
        bob.checkout(f"{commit}~{back}")
        assert bob.read("x.bin") == noise(250_000, 8 - back)
    bob.check()


def test_the_least_recently_used_goes_first_and_bases_last(world: World) -> None:
    alice, bob = world.peer("alice"), world.peer("bob")
    made: list[Path] = []
    for number, files in enumerate(({"m.safetensors": model()}, {"y.bin": noise(300_000)}, {"m.safetensors": tuned()})):
        commit = alice.commit(files)
        alice.push()
        bob.fetch()
        bob.checkout(commit)
        made += [path for path in world.packs() if path not in made]
        assert len(made) == number + 1
    base, other, delta = made
    for seconds, path in ((9000, base), (8000, other), (7000, delta)):
        os.utime(path, (time.time() - seconds,) * 2)
    assert world.room(1, bob, dry_run=True).removed[0].id.hex() == other.stem  # the base is as young as its delta
    assert len(world.room(1, bob).removed) == 1
    assert world.packs() == sorted([base, delta])
    gone = world.room(10**9, bob)
    assert len(gone.removed) == 2 and not world.packs()
    bob.checkout(commit)
    assert bob.read("m.safetensors") == tuned()


def test_only_what_the_remote_holds_goes(world: World) -> None:
    bob = cloned(world)
    world.age()
    before = dict(world.backend._objects)
    for key in [key for key in before if key.startswith("packs/")]:
        del world.backend._objects[key]
    room = world.room(1, bob)
    assert not room.removed and room.unproven == sum(path.stat().st_size for path in world.packs())
    world.backend._objects.update(before)
    assert world.room(1, bob, dry_run=True).removed
    assert world.packs()
    assert world.room(1, bob).freed
    assert not world.packs()
    bob.checkout(TRACKED)
    bob.check()


def test_gc_moves_what_is_published_and_keeps_what_is_not(world: World) -> None:
    alice = world.peer("alice")
    alice.commit(FILES)
    alice.push()
    alice.commit({"new.bin": noise(400_000, 7)})
    before = own(alice)
    told = tidy(alice, dry_run=True)
    assert told.moved and not world.store.exists() and own(alice) == before
    done = tidy(alice)
    assert (done.moved, done.moved_bytes, done.chunks) == (told.moved, told.moved_bytes, 0)
    assert len(own(alice)) == len(before) - done.moved
    stands_alone(alice)
    alice.check()
    shutil.rmtree(alice.top / "x.bin", ignore_errors=True)
    alice.checkout("HEAD", backend=MemoryBackend())
    assert alice.read("x.bin") == FILES["x.bin"]
    # Another finds it there.
    bob = world.peer("bob")
    bob.fetch()
    counted = Counted(world.backend)
    bob.checkout(TRACKED, backend=counted)  # type: ignore[arg-type]
    assert not chunk_requests(counted)


def test_gc_does_not_move_what_is_young_nor_beyond_the_cap(world: World) -> None:
    alice = world.peer("alice", "\tsharedStoreLimit = 1m\n")
    alice.commit(FILES)
    alice.push()
    with alice.remote() as remote:
        assert not gc(alice.repo, held=held_by(remote), caller=alice.caller).moved
    assert tidy(alice).moved
    assert disk_usage(world.store) <= 2**20
    alice.check()


def test_an_unpublished_base_is_not_shown_to_others(world: World) -> None:
    alice = world.peer("alice")
    alice.commit({"m.safetensors": model()})
    secret = own(alice)
    commit = alice.commit({"m.safetensors": tuned()})
    tree = alice.repo.objects.commit(commit).tree
    with alice.repo.objects.batch() as batch:
        orphan = batch.commit(tree, [], WHO, WHO, "alone")
        batch.seal()
    alice.push(RefUpdate(orphan, "refs/heads/other"))
    tidy(alice)
    shared = open_chunks(alice.repo).shared
    assert shared is not None
    with alice.remote() as remote:
        index = RemoteIndex.of(remote, remote.state())[0]
    assert not [name for name in secret if name in shared and name not in index]
    stands_alone(alice)


def test_what_no_remote_holds_any_more_comes_home(world: World) -> None:
    bob = cloned(world)
    assert not own(bob)
    shutil.rmtree(bob.top / ".mvc" / "remote-cache")
    assert [one for one in fsck(bob.repo).findings if "shared store alone" in one.message]
    assert gc(bob.repo, dry_run=True, caller=bob.caller).kept == len(needed(bob))
    assert gc(bob.repo, caller=bob.caller).kept
    assert needed(bob) <= own(bob)
    bob.check()
    carol = cloned(world, "carol")
    shutil.rmtree(carol.top / ".mvc" / "remote-cache")
    assert keep_own(carol.repo, carol.caller) == len(needed(carol))


def test_what_goes_again_before_it_was_read_is_brought_again(world: World) -> None:
    """Somebody makes room, the first times, between the chunks' arrival and their being read."""
    alice, bob = world.peer("alice"), world.peer("bob")
    commit = alice.commit(FILES)
    alice.push()
    bob.fetch()
    bring = FromRemotes(bob.repo, lambda _config: bob.remote())
    gone: list[int] = []
    one_at_a_time = threading.Lock()

    def bring_for_nothing(names: Collection[bytes]) -> None:
        with one_at_a_time:
            bring(names)
            if len(gone) < 5:
                world.age()
                gone.append(world.room(10**9, bob).freed)

    lazy = replace(bob.repo, missing_chunks=bring_for_nothing)
    reset(lazy, commit, Mode.HARD, caller=bob.caller)
    assert all(bob.read(path) == data for path, data in FILES.items())
    assert len(gone) == 5
    assert gone[0]
    stands_alone(bob)


def test_keys_keep_apart(world: World) -> None:
    backend = MemoryBackend()
    keyed = "[mvc]\n\tchunkKey = " + "1f" * 32 + "\n"
    alice = world.peer("alice", keyed, backend=backend)
    alice.commit(FILES)
    alice.push()
    bob = world.peer("bob", keyed, backend=backend)
    bob.fetch()
    bob.checkout(TRACKED)
    assert not own(bob) and not world.packs()
    (space,) = (path.name for path in world.store.iterdir() if path.name.startswith("keyed-"))
    assert world.packs(space)
    carol = cloned(world_with(world, MemoryBackend()), "carol")
    assert world.packs() and not own(carol)
    names = {name for name, _ in open_chunks(carol.repo).shared.writable(verify_writes=False, pack_size=1).records()}  # type: ignore[union-attr]
    assert not names & needed(bob)


def world_with(world: World, backend: MemoryBackend) -> World:
    other = World(world.top / "other")
    other.top.mkdir()
    other.store, other.backend = world.store, backend
    return other


# ---- a store that is corrupt, or made to do harm


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(200, len(data) - 48, 997):
        data[at] ^= 0xFF
    path.write_bytes(data)


def test_what_is_corrupt_there_is_fetched_anew(world: World) -> None:
    bob = cloned(world)
    for path in world.packs():
        spoil(path)
    for name in FILES:
        (bob.top / name).unlink()
    bob.checkout("HEAD")
    assert {path: bob.read(path) for path in FILES} == FILES
    assert own(bob), "what was spoilt there is at home now"
    bob.check()
    # Without a remote it is an error, and no wrong bytes.
    carol = world.peer("carol")
    carol.fetch()
    with pytest.raises(MissingObject):
        for name in needed(carol):
            open_chunks(carol.repo).read(name)


def test_what_is_corrupt_there_goes_to_another_remote_all_the_same(world: World) -> None:
    bob = cloned(world)
    for path in world.packs():
        path.write_bytes(bytes(path.stat().st_size))
    lazy, other = bob.lazy(), MemoryBackend()
    remote = Remote(lazy, RemoteConfig("", "x:z", "x:z"), other)
    tip = bob.repo.refs.read(TRACKED)
    assert push(remote, [RefUpdate(tip, MAIN)], who=WHO, head=MAIN).chunks == len(needed(bob))
    (world.top / "carol").mkdir()
    carol = Peer(world.top / "carol", other)
    carol.fetch()
    carol.checkout(TRACKED)
    assert carol.read("x.bin") == FILES["x.bin"]
    carol.check()


def test_a_list_of_chunks_that_is_corrupt_there_is_promised(world: World) -> None:
    alice, bob = world.peer("alice"), world.peer("bob")
    zeros = safetensors_bytes({"w": np.zeros((65, 2**18 + 1), np.float32)})
    commit = alice.commit({"m.safetensors": zeros})
    alice.push()
    bob.fetch()
    bob.checkout(commit)
    names = needed(bob)
    for path in world.packs():
        path.write_bytes(bytes(path.stat().st_size))
    bob.check()
    assert not gc(bob.repo, caller=bob.caller).kept
    (bob.top / "m.safetensors").unlink()
    bob.checkout("HEAD")
    assert bob.read("m.safetensors") == zeros
    assert own(bob) == names
    bob.check()


@pytest.mark.parametrize("harm", ["pipe", "nowhere", "secret", "garbage", "marker", "newer", "file", "link"])
def test_whatever_lies_there_does_no_harm(world: World, harm: str) -> None:
    bob = cloned(world)
    idx = world.store / "plain" / "chunks" / "idx"
    (listed,) = idx.glob("*.idx")
    pack = world.packs()[0]
    if harm == "pipe":
        listed.unlink()
        os.mkfifo(listed)
        pack.unlink()
        os.mkfifo(pack)
        os.mkfifo(world.store / "plain" / "chunks" / "condemned")
    elif harm == "nowhere":
        listed.unlink()
        listed.symlink_to("nowhere")
    elif harm == "secret":
        listed.chmod(0)
    elif harm == "garbage":
        listed.write_bytes(noise(5000))
        (world.store / "plain" / "chunks" / "condemned").write_bytes(noise(500))
    elif harm == "marker":
        (world.store / "mvc-store").write_bytes(b"something")
    elif harm == "newer":
        (world.store / "mvc-store").write_bytes(b"mvc-store 2\n")
    elif harm == "file":
        shutil.rmtree(world.store)
        world.store.write_bytes(b"")
    elif harm == "link":
        shutil.rmtree(idx)
        idx.symlink_to(bob.top / ".mvc" / "chunks" / "idx")
    for name in FILES:
        (bob.top / name).unlink()
    bob.checkout("HEAD")
    assert {path: bob.read(path) for path in FILES} == FILES
    bob.commit({"m.safetensors": tuned()})
    stands_alone(bob)
    bob.check()
    tidy(bob)
    bob.check()
    if harm not in {"marker", "newer", "file", "link"}:
        world.age()
        world.room(10**9, bob)
    assert not list((bob.top / ".mvc" / "chunks" / "idx").glob("*.idx")) or own(bob)
    bob.checkout("HEAD")
    bob.check()


@pytest.mark.parametrize("where", ["chunks/idx", "chunks/packs/{}", "chunks", "tmp", "."])
def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(world: World, where: str) -> None:
    bob = cloned(world)
    alice = world.peer("alice")
    second = alice.commit({"z.bin": noise(300_000, 5)})
    alice.push()
    bob.fetch()
    victim = alice.top / ".mvc" / "chunks"
    before = {path: path.read_bytes() for path in victim.rglob("*") if path.is_file()}
    space = world.store / "plain"

    def swap(operation: str, path: str) -> None:
        """Right before a pack or an idx of the store is written out: now the folder leads to Alice's."""
        if operation == "fsync" and path.startswith(os.fspath(space)) and not list(space.glob("**/*.was")):
            for folder in [space / where.format(aa) for aa in pack_folders()] if "{}" in where else [space / where]:
                if not folder.is_symlink():
                    os.rename(folder, f"{folder}.was")
                    folder.symlink_to(victim / folder.relative_to(space / "chunks") if "chunks/" in where else victim)

    warned = Warnings()
    with bob.remote() as remote, hooked(swap):
        bring(remote, [name for name in needed(alice) if name not in open_chunks(bob.repo)], progress=warned)
    world.age()
    with contextlib.suppress(Refused, OSError):
        world.room(10**9, bob)
    assert {path: path.read_bytes() for path in victim.rglob("*") if path.is_file()} == before
    bob.checkout(second)
    assert bob.read("z.bin") == noise(300_000, 5)
    alice.check()
    bob.check()


def test_an_idx_that_lies_is_left_out(world: World) -> None:
    bob = cloned(world)
    paths = space_paths(world.store, "plain")
    name = bytes(32)
    (other,) = paths.idx.glob("*.idx")
    bad = Location(bytes(32), 16, 100, 100, 0, 0, 0, ())
    good = write_pack_idx(bytes(32), 500, {name: bad}, paths.idx, paths.tmp)
    data = bytearray(good.read_bytes()[:-32])
    at = Idx(good).at
    data[at.entries + 16 : at.entries + 20] = b"\xff\xff\xff\x7f"  # a pack that it does not list
    good.unlink()
    (paths.idx / f"{digest(data).hex()}.idx").write_bytes(bytes(data) + digest(data))
    bob.checkout("HEAD")
    bob.check()
    assert [pack.chunks for pack in pack_uses(paths)] == [Idx(other).records]
    world.age()
    assert len(world.room(10**9, bob).removed) == 1
    assert not list(paths.idx.glob("*.idx"))


def test_a_store_that_may_not_be_written_to_is_read(world: World) -> None:
    bob = cloned(world)
    alice = world.peer("alice")
    second = alice.commit({"z.bin": noise(300_000, 5)})
    alice.push()
    bob.fetch()
    warned = Warnings()
    with bob.remote() as remote, hooked(_no_space(world.store)):
        names = [name for name in needed(alice) if name not in open_chunks(bob.repo)]
        assert bring(remote, names, progress=warned).chunks == len(names)
    assert own(bob) == set(names)
    assert len(warned.said) == 1 and "cannot be used" in warned.said[0]
    bob.checkout(second)
    bob.check()


def _no_space(store: Path) -> Callable[[str, str], None]:
    def hook(operation: str, path: str) -> None:
        if path.startswith(os.fspath(store)) and operation == "write":
            raise OSError(errno.ENOSPC, "no space", path)

    return hook
