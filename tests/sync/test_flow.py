"""Push, fetch, and chunks on demand between repositories over one remote."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from mvc.backends.base import Report
from mvc.backends.faulty import Fault, FaultyBackend
from mvc.backends.memory import MemoryBackend
from mvc.errors import MissingObject, NotFound, RemoteRefused, Unsupported, UnsupportedFormat
from mvc.fsio import Buffer
from mvc.objects import trees
from mvc.objects.manifest import parse
from mvc.objects.refspec import parse_fetch
from mvc.ops.fsck import fsck
from mvc.ops.gc import gc
from mvc.ops.reset import Mode, reset
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.tensors import read_tensor
from mvc.sync.chunks import bring_files
from mvc.sync.push import PushResult, push
from mvc.sync.remotegc import gc_remote
from mvc.sync.remotes import Remote, RemoteConfig, forget
from mvc.sync.verdicts import RefUpdate
from tests.models import layers, safetensors_bytes
from tests.sync.making import MAIN, TRACKED, WHO, Counted, Overwriting, Peer, Peers, model, noise, tuned


def test_what_one_pushes_another_checks_out(peers: Peers) -> None:
    alice, bob = peers("alice"), peers("bob")
    files = {"m.safetensors": model(), "notes.txt": b"hello", "blob.bin": noise(3_000_000)}
    first = alice.commit(files)
    result = alice.push()
    assert [ref.status for ref in result.refs] == ["new"]
    assert alice.repo.refs.read(TRACKED) == first
    fetched = bob.fetch()
    assert [(ref.target, ref.new, ref.status) for ref in fetched.refs] == [(TRACKED, first, "new")]
    assert fetched.state.head == MAIN
    assert not bob.chunk_names()
    bob.checkout(first)
    for path, data in files.items():
        assert bob.read(path) == data
    alice.check()
    bob.check()


def test_a_fine_tune_moves_as_a_delta(peers: Peers) -> None:
    alice, bob = peers("alice"), peers("bob")
    alice.commit({"m.safetensors": model(width=1024)})
    alice.push()
    second = alice.commit({"m.safetensors": tuned(width=1024)})
    result = alice.push()
    assert sum(file.sent for file in result.files) < 0.6 * len(model(width=1024))
    assert result.bytes_sent < 1.03 * sum(file.sent for file in result.files)
    assert result.bytes_of_model == len(tuned(width=1024))
    bob.fetch()
    bob.checkout(second)
    assert bob.read("m.safetensors") == tuned(width=1024)
    bob.check()
    assert not alice.push().bytes_sent


def statuses(result: PushResult) -> list[tuple[str, str]]:
    return [(ref.status, ref.reason) for ref in result.refs]


def test_what_is_behind_is_rejected_as_git_does(peers: Peers) -> None:
    alice, bob = peers("alice"), peers("bob")
    first = alice.commit({"a": b"1"})
    alice.push()
    bob.fetch()
    reset(bob.repo, first, Mode.HARD, caller=bob.caller)
    second = alice.commit({"a": b"2"})
    alice.push()
    mine = bob.commit({"b": b"1"})
    assert statuses(bob.push()) == [("rejected", "fetch first")]
    bob.fetch()
    assert statuses(bob.push()) == [("rejected", "non-fast-forward")]
    assert bob.repo.refs.read(TRACKED) == second
    stale = RefUpdate(mine, MAIN, expected=first)
    assert statuses(bob.push(stale)) == [("rejected", "stale info")]
    leased = RefUpdate(mine, MAIN, expected=second)
    assert statuses(bob.push(leased)) == [("forced", "")]
    assert bob.repo.refs.read(TRACKED) == mine
    assert statuses(alice.push(RefUpdate(second, MAIN, force=True))) == [("forced", "")]
    fetched = bob.fetch()
    assert [(ref.status, ref.old, ref.new) for ref in fetched.refs] == [("forced", mine, second)]


def test_tags_deletions_and_atomic_pushes(peers: Peers) -> None:
    alice, bob = peers("alice"), peers("bob")
    first = alice.commit({"a": b"1"})
    second = alice.commit({"a": b"2"})
    topic, tag = "refs/heads/topic", "refs/tags/v1"
    result = alice.push(RefUpdate(second, MAIN), RefUpdate(first, topic), RefUpdate(first, tag))
    assert [ref.status for ref in result.refs] == ["new"] * 3
    assert statuses(alice.push(RefUpdate(second, tag))) == [("rejected", "already exists")]
    both = alice.push(RefUpdate(second, tag), RefUpdate(second, topic), atomic=True)
    assert statuses(both) == [("rejected", "already exists"), ("rejected", "atomic push failed")]
    one = alice.push(RefUpdate(second, tag), RefUpdate(second, topic))
    assert statuses(one) == [("rejected", "already exists"), ("ok", "")]
    assert statuses(alice.push(RefUpdate(None, MAIN))) == [("rejected", "deletion of the current branch prohibited")]
    assert statuses(alice.push(RefUpdate(None, "refs/heads/no"))) == [("rejected", "remote ref does not exist")]
    inside = RefUpdate(first, topic + "/x")
    assert statuses(alice.push(inside)) == [("rejected", "a ref of the remote is in the way")]
    fetched = bob.fetch()
    assert {ref.target for ref in fetched.refs} == {TRACKED, "refs/remotes/origin/topic", tag}
    assert statuses(alice.push(RefUpdate(None, topic), RefUpdate(None, tag))) == [("deleted", "")] * 2
    assert alice.repo.refs.read("refs/remotes/origin/topic") is None
    assert [ref.status for ref in bob.fetch().refs] == ["up-to-date"]
    pruned = bob.fetch(prune=True).refs
    assert [(ref.target, ref.status) for ref in pruned][1:] == [("refs/remotes/origin/topic", "pruned")]
    assert bob.repo.refs.list() == {TRACKED: second, tag: first}
    assert statuses(alice.push(inside)) == [("new", "")]


def test_a_tag_follows_only_a_branch_that_came(peers: Peers) -> None:
    alice, bob = peers("alice"), peers("bob")
    first = alice.commit({"a": b"1"})
    with alice.repo.objects.batch() as batch:
        aside = batch.commit(alice.repo.objects.commit(first).tree, [], WHO, WHO, "aside")
        told = batch.tag(first, "commit", "told", WHO, "m")
        batch.seal()
    alice.push(
        RefUpdate(first, MAIN),
        RefUpdate(aside, "refs/heads/aside"),
        RefUpdate(aside, "refs/tags/other"),
        RefUpdate(told, "refs/tags/told"),
    )
    bob.fetch(refspecs=[parse_fetch("refs/heads/main:refs/remotes/origin/main")])
    assert bob.repo.refs.list() == {TRACKED: first, "refs/tags/told": told}
    bob.fetch(tags="all")
    assert bob.repo.refs.read("refs/tags/other") == aside


def test_a_dry_run_tells_and_changes_nothing(peers: Peers, backend: MemoryBackend) -> None:
    alice, bob = peers("alice"), peers("bob")
    alice.commit({"m.safetensors": model(), "a": b"1"})
    told = alice.push(dry_run=True)
    assert not list(backend.list(""))
    assert [ref.status for ref in told.refs] == ["new"]
    assert [(file.path, file.size) for file in told.files] == [("m.safetensors", len(model()))]
    done = alice.push()
    assert (done.files, done.chunks, done.objects) == (told.files, told.chunks, told.objects)
    assert told.bytes_sent < done.bytes_sent < told.bytes_sent + 5000
    fetched = bob.fetch(dry_run=True)
    assert [ref.status for ref in fetched.refs] == ["new"]
    assert not bob.repo.refs.list()
    assert not list(bob.repo.objects.ids())


def test_with_nothing_to_move_two_requests_are_enough(peers: Peers, backend: MemoryBackend) -> None:
    alice = peers("alice")
    alice.commit({"m.safetensors": model()})
    alice.push()
    counted = Counted(backend)
    assert statuses(alice.push(backend=counted)) == [("up-to-date", "")]
    assert len(counted.calls) == 2
    counted.calls.clear()
    alice.fetch(backend=counted)
    assert len(counted.calls) <= 3


def test_what_the_remote_lost_track_of_is_found_out(peers: Peers, backend: MemoryBackend) -> None:
    alice = peers("alice")
    first = alice.commit({"m.safetensors": model()})
    alice.push()
    backend.delete([entry.key for entry in backend.list("")])
    with pytest.raises(NotFound, match="it held 1 refs when it was last seen"):
        alice.fetch()
    # A disk that is not mounted is no place to begin anew, and what is there no reason to tell that all would go.
    for dry_run in (False, True):
        with pytest.raises(NotFound, match="empty, or not there"):
            alice.push(dry_run=dry_run)
    assert not list(backend.list(""))
    forget(alice.repo, "origin")
    assert statuses(alice.push()) == [("new", "")]
    bob = peers("bob")
    bob.fetch()
    bob.checkout(first)
    assert bob.read("m.safetensors") == model()


def test_a_partial_clone_pushes_what_it_never_had(peers: Peers) -> None:
    """New history over chunks that were never here; and a long tensor, whose list must be read."""
    alice, bob, carol = peers("alice"), peers("bob"), peers("carol")
    large = safetensors_bytes({"w": np.arange(70 << 18, dtype=np.float32).reshape(70, -1)})
    first = alice.commit({"m.safetensors": model(), "large.safetensors": large})
    alice.push()
    bob.fetch()
    second = bob.rename(first, "large.safetensors", "moved.safetensors")
    result = bob.push(RefUpdate(second, MAIN))
    assert statuses(result) == [("ok", "")]
    assert result.chunks == 0
    carol.fetch()
    carol.checkout(second)
    assert carol.read("moved.safetensors") == large
    carol.check()


def test_pushing_elsewhere_from_a_partial_clone_takes_the_chunks_along(peers: Peers) -> None:
    alice, bob = peers("alice"), peers("bob")
    first = alice.commit({"m.safetensors": model()})
    alice.push()
    bob.fetch()
    other = MemoryBackend("other")
    with pytest.raises(MissingObject, match=r"m\.safetensors"):
        bob.push(RefUpdate(first, MAIN), backend=other)
    remote = Remote(bob.lazy(), RemoteConfig("", "y:z", "y:z"), other)
    assert push(remote, [RefUpdate(first, MAIN)], who=WHO).chunks == len(alice.chunk_names())


def test_a_base_that_stays_at_home_is_not_leant_on(peers: Peers) -> None:
    """A fine-tune whose base lies on a branch that is not pushed: its chunks go without it."""
    alice, bob = peers("alice"), peers("bob")
    alice.commit({"base.safetensors": model(width=512)})
    with_base = alice.commit({"tuned.safetensors": tuned(width=512)})
    assert any(place.depth for _, place in open_chunks(alice.repo).records())
    flat = trees.flatten(alice.repo.objects, alice.repo.objects.commit(with_base).tree)
    with alice.repo.objects.batch() as batch:
        alone = trees.build(batch, {"tuned.safetensors": flat["tuned.safetensors"]})
        orphan = batch.commit(alone, [], WHO, WHO, "alone")
        batch.seal()
    alice.push(RefUpdate(orphan, MAIN))
    bob.fetch()
    bob.checkout(orphan)
    assert bob.read("tuned.safetensors") == tuned(width=512)
    bob.check()
    # The base goes afterwards; both sides decode all.
    alice.push(RefUpdate(with_base, "refs/heads/all"))
    bob.fetch()
    bob.checkout(with_base)
    assert bob.read("base.safetensors") == model(width=512)
    bob.check()


def test_one_tensor_brings_its_own_chunks_alone(peers: Peers, backend: MemoryBackend) -> None:
    alice, bob = peers("alice"), peers("bob")
    first = alice.commit({"m.safetensors": model(count=6, width=512)})
    alice.push()
    bob.fetch()
    blob = trees.flatten(bob.repo.objects, bob.repo.objects.commit(first).tree)["m.safetensors"]
    counted = Counted(backend)
    chunks = open_chunks(bob.lazy(counted))
    found = read_tensor(chunks, parse(bob.repo.objects.blob(blob.id)), "encoder.layer.2.weight")
    assert found.data == layers(0, 6, 512)["encoder.layer.2.weight"].tobytes()
    assert len(counted.calls) == 1
    assert len(bob.chunk_names()) == 1


def test_many_pushes_keep_few_idx(peers: Peers, backend: MemoryBackend) -> None:
    alice, bob = peers("alice"), peers("bob")
    names = []
    for number in range(24):
        names.append(alice.commit({f"{number}.bin": noise(70_000, number)}))
        alice.push()
    state = alice.remote().remembered()
    assert state is not None
    assert len(state.chunk_packs) == 24
    assert len({pack.idx_id for pack in state.chunk_packs}) <= 17
    assert state.seq == 24
    bob.fetch()
    bob.checkout(names[-1])
    assert all(bob.read(f"{number}.bin") == noise(70_000, number) for number in range(24))
    bob.check()


def test_all_data(peers: Peers) -> None:
    alice, bob = peers("alice"), peers("bob")
    alice.commit({"m.safetensors": model()})
    second = alice.commit({"m.safetensors": tuned()})
    alice.push()
    bob.fetch()
    with bob.remote() as remote:
        brought = bring_files(remote, [second])
    assert not brought.lacking
    assert bob.chunk_names() == alice.chunk_names()
    bob.check()


def test_a_repository_with_another_key_is_refused(peers: Peers, tmp_path: Path, backend: MemoryBackend) -> None:
    peers("alice").commit({"a": b"1"})
    peers("alice").push()
    (tmp_path / "keyed").mkdir()
    keyed = Peer(tmp_path / "keyed", backend, config=f"[mvc]\n\trequires = chunk-key\n\tchunkKey = {'ab' * 32}\n")
    keyed.commit({"a": b"2"})
    with pytest.raises(UnsupportedFormat, match="another key"):
        keyed.fetch()
    with pytest.raises(UnsupportedFormat, match="another key"):
        keyed.push()


def test_a_store_that_lies_is_not_written_to(peers: Peers) -> None:
    alice = peers("alice")
    alice.commit({"a": b"1"})
    with pytest.raises(Unsupported):
        alice.push(backend=Overwriting())


def test_a_branch_that_is_checked_out_is_not_moved_by_fetch(peers: Peers) -> None:
    alice = peers("alice")
    first = alice.commit({"a": b"1"})
    alice.push()
    alice.commit({"a": b"2"})
    alice.push(RefUpdate(alice.repo.refs.read(MAIN), MAIN))
    result = alice.fetch(refspecs=[parse_fetch("+main:refs/heads/main"), parse_fetch("+main:refs/heads/other")])
    assert [ref.status for ref in result.refs] == ["up-to-date", "new"]
    reset(alice.repo, first, Mode.HARD, caller=alice.caller)
    result = alice.fetch(refspecs=[parse_fetch("+main:refs/heads/main")])
    assert [(ref.status, ref.reason) for ref in result.refs] == [("rejected", "checked out")]


def test_gc_of_a_partial_clone_keeps_it_whole(peers: Peers) -> None:
    alice, bob = peers("alice"), peers("bob")
    first = alice.commit({"m.safetensors": model(), "x.bin": noise(200_000)})
    alice.push()
    bob.fetch()
    gc(bob.repo, prune_after_days=0, caller=bob.caller)
    bob.checkout(first)
    gc(bob.repo, prune_after_days=0, caller=bob.caller)
    bob.check()
    assert bob.chunk_names() == alice.chunk_names()


def test_what_gc_took_comes_again(peers: Peers) -> None:
    """Objects of a branch that was not wanted came along, and were thrown away; later the branch is wanted."""
    alice, bob = peers("alice"), peers("bob")
    first = alice.commit({"a": b"1"})
    with alice.repo.objects.batch() as batch:
        aside = batch.commit(alice.repo.objects.commit(first).tree, [first], WHO, WHO, "aside")
        batch.seal()
    alice.push(RefUpdate(first, MAIN), RefUpdate(aside, "refs/heads/aside"))
    bob.fetch(refspecs=[parse_fetch("refs/heads/main:refs/remotes/origin/main")])
    assert bob.repo.objects.contains(aside)
    gc(bob.repo, prune_after_days=0, caller=bob.caller)
    assert not Repository.open(bob.top).objects.contains(aside)
    bob = peers("bob")
    bob.fetch()
    assert bob.repo.refs.read("refs/remotes/origin/aside") == aside
    bob.check()


def test_fsck_tells_promised_from_lost(peers: Peers) -> None:
    alice, bob = peers("alice"), peers("bob")
    large = safetensors_bytes({"w": np.arange(70 << 18, dtype=np.float32).reshape(70, -1)})
    alice.commit({"m.safetensors": model(), "large.safetensors": large})
    alice.push()
    bob.fetch()
    found = fsck(bob.repo)
    assert not found.findings
    # The chunks that the list names are not known here: the list is promised, too.
    assert found.promised == {"origin": len(alice.chunk_names()) - 70}
    forget(bob.repo, "origin")
    lost = fsck(bob.repo)
    assert not lost.promised
    assert any("is missing" in one.message for one in lost.findings)


def test_a_fetch_that_ends_at_the_idx_leaves_no_ref_whose_chunks_look_lost(
    peers: Peers, backend: MemoryBackend
) -> None:
    alice, bob = peers("alice"), peers("bob")
    alice.commit({"m.safetensors": model()})
    alice.push()
    broken = FaultyBackend(backend, lambda _, request: Fault.REFUSED if request.key.startswith("idx/") else None)
    with pytest.raises(RemoteRefused):
        bob.fetch(backend=broken)
    bob.check()
    bob.fetch()
    assert fsck(bob.repo).promised


def test_what_was_promised_stays_so_while_others_move_it(peers: Peers) -> None:
    """Pushes merge idx, gc makes other packs: who has looked at that state, and has its idx not yet, lost nothing."""
    alice, bob = peers("alice"), peers("bob")
    for number in range(24):
        alice.commit({f"{number}.bin": noise(70_000, number)})
        alice.push()
        if number == 9:
            bob.fetch()
    bob.remote().state()
    promised = fsck(bob.repo).promised["origin"]
    bob.check()
    gc_remote(alice.remote(), who=WHO, grace=0)
    bob.remote().state()
    bob.check()
    assert fsck(bob.repo).promised["origin"] == promised > 0


def test_gc_needs_no_list_that_is_promised(peers: Peers) -> None:
    alice, bob = peers("alice"), peers("bob")
    large = safetensors_bytes({"w": np.arange(70 << 18, dtype=np.float32).reshape(70, -1)})
    first = alice.commit({"large.safetensors": large, "x.bin": noise(100_000)})
    alice.push()
    bob.fetch()
    gc(bob.lazy(), prune_after_days=0, caller=bob.caller)
    assert not bob.chunk_names()
    bob.checkout(first)
    gc(bob.repo, prune_after_days=0, caller=bob.caller)
    assert bob.chunk_names() == alice.chunk_names()


def test_what_is_half_here_of_the_remote_does_not_stop_a_push(peers: Peers) -> None:
    alice, bob = peers("alice"), peers("bob")
    first = alice.commit({"a": b"1"})
    second = alice.commit({"a": b"2"})
    alice.push(RefUpdate(second, "refs/heads/other"))
    kind, data = alice.repo.objects.raw(second)
    mine = bob.commit({"b": b"1"})
    with bob.repo.objects.batch() as batch:
        batch.add(kind, data)  # without its tree and its parent, as gc may leave it
        batch.seal()
    assert not bob.repo.objects.contains(first)
    assert statuses(bob.push(RefUpdate(mine, MAIN))) == [("new", "")]


def test_git_objects_go_beside_chunks(tmp_path: Path) -> None:
    """The pack, its idx, and the first pack of chunks: each put waits until all three are under way."""
    together = threading.Barrier(3, timeout=300)

    class Meeting(MemoryBackend):
        def put(self, key: str, source: Buffer | Path, *, progress: Report | None = None) -> None:
            if key.startswith(("git/", "packs/")):
                together.wait()
            super().put(key, source, progress=progress)

    (tmp_path / "alice").mkdir()
    alice = Peer(tmp_path / "alice", Meeting())
    alice.commit({"blob.bin": noise(300_000)})
    assert statuses(alice.push()) == [("new", "")]


class Together(Counted):
    """Gives no idx before two are asked for."""

    def __init__(self, inner: MemoryBackend) -> None:
        super().__init__(inner)
        self.both = threading.Barrier(2)

    def get(self, key: str, *arguments: int) -> bytes:
        if key.startswith("idx/"):
            self.both.wait(timeout=300)
        return self.inner.get(key, *arguments)


def test_several_idx_come_at_once(peers: Peers, backend: MemoryBackend) -> None:
    alice, bob = peers("alice"), peers("bob")
    for seed in range(2):
        alice.commit({"m.bin": noise(70_000, seed)})
        alice.push()
    bob.fetch(backend=Together(backend))
    bob.checkout(TRACKED)
    assert bob.read("m.bin") == noise(70_000, 1)
