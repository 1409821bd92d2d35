"""fsck of a remote finds each kind of damage and names what it touches; repair brings back what is here."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mvc.backends.memory import MemoryBackend
from mvc.sync import keys
from mvc.sync.logrepair import restore_log, settle_hint, trim_lost
from mvc.sync.remotefsck import RemoteFsck, fsck_remote
from mvc.sync.remotegit import RemoteGit
from mvc.sync.remotelog import TRIMMED
from mvc.sync.remoterepair import Repaired, repair
from mvc.sync.state import ChunkPack, parse
from mvc.sync.verdicts import RefUpdate
from tests.sync.making import MAIN, WHO, Peer, model, noise, tuned
from tests.sync.test_faults import is_whole

SIDE = "refs/heads/side"


class Scene:
    def __init__(self, top: Path) -> None:
        self.top = top
        self.backend = MemoryBackend()
        (top / "alice").mkdir()
        alice = Peer(top / "alice", self.backend)
        alice.commit({"m.safetensors": model(width=128), "a": b"1"})
        alice.push()
        self.tip = alice.commit({"m.safetensors": tuned(0, 1, width=128), "sub/x.bin": noise(200_000)})
        alice.push()
        self.objects = dict(self.backend._objects)
        self.count = 0

    def copy(self) -> tuple[MemoryBackend, Peer]:
        self.count += 1
        backend = MemoryBackend()
        backend._objects = dict(self.objects)
        place = self.top / f"alice{self.count}"
        shutil.copytree(self.top / "alice", place, symlinks=True)
        return backend, Peer(place, backend)

    def bare(self) -> tuple[MemoryBackend, Peer]:
        """Somebody without any history or chunk."""
        self.count += 1
        backend = MemoryBackend()
        backend._objects = dict(self.objects)
        (self.top / f"bob{self.count}").mkdir()
        return backend, Peer(self.top / f"bob{self.count}", backend)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


def check(peer: Peer, **options: object) -> RemoteFsck:
    with peer.remote() as remote, RemoteGit(remote) as git:
        return fsck_remote(remote, git, **options)  # type: ignore[arg-type]


def mend(peer: Peer, **options: object) -> tuple[RemoteFsck, Repaired]:
    with peer.remote() as remote, RemoteGit(remote) as git:
        found = fsck_remote(remote, git)
        return found, repair(remote, git, found, who=WHO, **options)  # type: ignore[arg-type]


def flip(backend: MemoryBackend, key: str, at: int | None = None) -> None:
    data, when = backend._objects[key]
    at = len(data) // 2 if at is None else at
    backend._objects[key] = (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], when)


def test_a_sound_remote_has_no_findings(scene: Scene) -> None:
    backend, alice = scene.copy()
    backend.put(keys.chunk_pack("ab" * 32), b"left over")
    found = check(alice)
    assert not found.findings
    assert (found.entries, found.unlisted, found.unlisted_bytes) == (2, 1, 9)
    assert found.chunks and found.objects and found.raw_bytes > 200_000
    assert not check(alice, connectivity_only=True).findings


def every_key(scene: Scene) -> list[str]:
    return sorted(key for key in scene.objects if key not in {keys.LATEST, keys.FORMAT})


@pytest.mark.parametrize("how", ["flipped", "missing", "short"])
def test_whatever_is_damaged_is_found_and_mended(scene: Scene, how: str, tmp_path: Path) -> None:
    for number, key in enumerate(every_key(scene)):
        backend, alice = scene.copy()
        if how == "flipped":
            flip(backend, key)
        elif how == "missing":
            backend.delete([key])
        else:
            data, when = backend._objects[key]
            backend._objects[key] = (data[:-7], when)
        if key.startswith(keys.LOG):
            if key == keys.entry(1):  # the newest rests on it: nothing can be read
                continue
            if how == "missing":
                continue  # the entry before is the newest then
            with pytest.raises(Exception, match="log"):
                check(alice)
            continue
        found, done = mend(alice)
        assert found.findings, key
        assert not done.lost
        left = check(alice)
        assert not left.findings, (key, left.findings)
        assert left.state.refs == {MAIN: scene.tip}
        is_whole(backend, tmp_path / f"{how}{number}")


def test_findings_name_files_and_commits(scene: Scene) -> None:
    backend, alice = scene.copy()
    state = alice.remote().state()
    for pack in state.chunk_packs:
        flip(backend, keys.chunk_pack(pack.id))
    touched = {touch for one in check(alice).findings for touch in one.touches}
    assert any(touch.startswith(f"{scene.tip[:10]}:sub/x.bin") or "(tensor" in touch for touch in touched)


def test_what_nobody_has_is_told_and_its_refs_are_dropped_on_demand(scene: Scene, tmp_path: Path) -> None:
    backend, bob = scene.bare()
    first = alice_first(scene)
    state = bob.remote().state()
    remote = bob.remote()
    assert remote.state() == state
    assert remote.log.append(replace(state, refs={**state.refs, SIDE: first}), by="x")
    # The pack of the second push: the first commit does not need it.
    seq_one = {pack.id for pack in state_at(scene, 1)}
    (second,) = [pack for pack in state.chunk_packs if pack.id not in seq_one]
    backend.delete([keys.chunk_pack(second.id)])
    found, done = mend(bob)
    assert found.lacking and done.lost
    assert bob.remote().state().refs == {MAIN: scene.tip, SIDE: first}
    _, done = mend(bob, drop_refs=True)
    assert done.dropped_refs == (MAIN,)
    assert bob.remote().state().refs == {SIDE: first}
    assert not check(bob).findings
    is_whole(backend, tmp_path / "fresh")
    # Who has it brings it back.
    (tmp_path / "again").mkdir()
    alice_top = tmp_path / "a"
    shutil.copytree(scene.top / "alice", alice_top, symlinks=True)
    alice = Peer(alice_top, backend)
    alice.push(RefUpdate(scene.tip, MAIN))
    is_whole(backend, tmp_path / "whole")


def alice_first(scene: Scene) -> str:
    _, alice = scene.copy()
    return alice.repo.objects.commit(scene.tip).parents[0]


def state_at(scene: Scene, seq: int) -> tuple[ChunkPack, ...]:
    return parse(scene.objects[keys.entry(seq)][0]).state.chunk_packs


def test_repair_takes_deltas_whose_base_is_gone_from_here(scene: Scene, tmp_path: Path) -> None:
    backend, alice = scene.copy()
    first = {pack.id for pack in state_at(scene, 1)}
    for pack in alice.remote().state().chunk_packs:
        if pack.id in first:
            backend.delete([keys.chunk_pack(pack.id)])
    _, done = mend(alice)
    assert done.chunks and not done.lost
    is_whole(backend, tmp_path / "fresh")


@pytest.mark.parametrize("how", ["flipped", "missing", "short", "empty"])
def test_what_is_remembered_of_the_log_is_put_back(scene: Scene, how: str) -> None:
    """The remote's format, its newest entry, and the snapshot that it rests on; by who has seen them, and only then."""
    for key in (keys.FORMAT, keys.entry(1), keys.entry(2)):
        backend, alice = scene.copy()
        data, when = backend._objects[key]
        if how == "flipped":
            flip(backend, key)
        elif how == "missing":
            backend.delete([key])
        else:
            backend._objects[key] = (data[:-7] if how == "short" else b"", when)
        spoilt = dict(backend._objects)
        _, bob = scene.bare()
        with Peer(bob.top, backend).remote() as remote:
            assert not restore_log(remote) and backend._objects == spoilt
        with alice.remote() as remote:
            assert restore_log(remote) == [key] and not restore_log(remote)
        assert backend.get(key) == data
        assert not check(alice).findings
        is_whole(backend, scene.top / f"fresh-{how}-{key.replace('/', '-')}")


def test_what_makes_sense_is_not_put_back(scene: Scene) -> None:
    """A newer format, and the log of somebody who began anew."""
    backend, alice = scene.copy()
    backend.put(keys.FORMAT, b"mvc-remote 7\nwhatever\n")
    backend.put(keys.entry(1), TRIMMED)
    with alice.remote() as remote:
        assert not restore_log(remote)


def test_a_newest_entry_that_is_gone_is_found(scene: Scene) -> None:
    backend, alice = scene.copy()
    backend.delete([keys.entry(2)])
    (finding,) = check(alice).findings
    assert finding.what == keys.entry(2) and "is lost" in finding.message
    with alice.remote() as remote:
        settle_hint(remote, 1)
    assert not check(alice).findings


@pytest.mark.parametrize("how", ["flipped", "missing"])
def test_an_old_entry_that_is_lost_keeps_its_number(scene: Scene, how: str) -> None:
    backend, alice = scene.copy()
    alice.commit({"a": b"3"})
    alice.push()
    if how == "missing":
        backend.delete([keys.entry(2)])
    else:
        flip(backend, keys.entry(2))
    found = check(alice)
    assert len(found.findings) == 1
    with alice.remote() as remote:
        assert trim_lost(remote, found) == [keys.entry(2)] and backend.get(keys.entry(2)) == TRIMMED
    assert not check(alice).findings
