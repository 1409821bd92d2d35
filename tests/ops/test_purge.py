"""purge: nothing names what was purged, nothing holds its bytes, and all else is as it was; beside git's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mvc.backends.folder import FolderBackend
from mvc.errors import NotFound, Refused, RemoteRefused, UsageError
from mvc.metadata.model import Base, CommitMetadata
from mvc.objects import trees
from mvc.objects.manifest import is_manifest, parse
from mvc.objects.reachable import walk_objects
from mvc.objects.refs import RefChange
from mvc.ops import purge as module
from mvc.ops.add import add
from mvc.ops.annotate import Said, annotate
from mvc.ops.commit_files import CommitFilesOptions, commit_files
from mvc.ops.connect import Outside
from mvc.ops.known import Known
from mvc.ops.purge import Purged, purge
from mvc.ops.remote import add_remote
from mvc.ops.reset import Mode, reset
from mvc.ops.stash import push as stash_push
from mvc.ops.tag import create_tag
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import chunk_names
from mvc.repo.repository import Repository
from mvc.sync.remotefsck import fsck_remote
from mvc.sync.remotegit import RemoteGit
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotes import Remote, remote_config
from mvc.sync.verdicts import RefUpdate
from tests.forked import KILLED, in_child, killer
from tests.sync.making import MAIN, WHO, Peer, model, noise, tuned
from tests.sync.test_faults import is_whole, steps_of

SIDE = "refs/heads/side"


class World:
    """A model with a leaked version in the middle of its history, which the version after it is a delta on."""

    def __init__(self, top: Path) -> None:
        self.top = top
        (top / "a").mkdir()
        self.backend = FolderBackend(top / "hub")
        self.peer = Peer(top / "a", self.backend)
        peer = self.peer
        peer.commit({"m.safetensors": model(width=128), "keep.bin": noise(100_000, 1)}, "first")
        self.leak = peer.commit({"leaked.safetensors": model(7, width=128), "dir/secret": b"token"}, "leak")
        # A fine-tune of the leaked one under another name: its chunks rest on the leaked ones.
        self.child = peer.commit({"child.safetensors": tuned(7, 1, width=128)}, "child")
        self.tip = peer.commit({"keep.bin": noise(100_000, 2)}, "last")
        peer.repo.refs.update([RefChange(SIDE, None, self.child)], message="side", author=WHO)
        create_tag(peer.repo, "v1", self.leak, message="a tag", caller=peer.caller)
        peer.push(RefUpdate(self.tip, MAIN), RefUpdate(self.child, SIDE))
        # What others have as well (a header, a tensor that is constant) stays.
        child = self.chunks_of(self.child, "child.safetensors") | self.chunks_of(self.child, "m.safetensors")
        self.names = self.chunks_of(self.leak, "leaked.safetensors") - child
        assert self.names and child
        bases = {base for _, place in open_chunks(peer.repo).records() for base in place.bases}
        assert not bases.isdisjoint(self.names), "nothing rests on what is to go"

    def chunks_of(self, commit: str, path: str) -> set[bytes]:
        objects = self.peer.repo.objects
        item = trees.flatten(objects, objects.commit(commit).tree)[path]
        return set(chunk_names(open_chunks(self.peer.repo), parse(objects.blob(item.id))))

    def purge(self, paths: list[str] | None = None, revisions: list[str] | None = None, **options: object) -> Purged:
        repo = Repository.open(self.top / "a")
        return purge(
            repo,
            paths or [],
            revisions or [],
            outside=Outside({}, self.top),
            caller=self.peer.caller,
            **options,  # type: ignore[arg-type]
        )

    def check(self) -> Repository:
        peer = Peer(self.top / "a", self.backend)
        peer.check()
        return peer.repo


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def all_paths(repo: Repository) -> set[str]:
    found = walk_objects(repo.objects, repo.refs.list().values())
    return {one.path for one in found if one.kind == "blob"}


def test_a_path_goes_from_all_history_and_all_else_stays(world: World) -> None:
    before = world.peer.repo
    old = {commit: before.objects.commit(commit) for commit in (world.leak, world.child, world.tip)}
    dry = world.purge(["leaked.safetensors"], dry_run=True)
    assert before.refs.read(MAIN) == world.tip
    done = world.purge(["leaked.safetensors"])
    assert (dry.files, dry.commits, dry.refs) == (done.files, done.commits, done.refs)
    assert [file.path for file in done.files] == ["leaked.safetensors"]
    repo = world.check()
    mapped = dict(done.commits)
    assert set(mapped) == set(old)
    assert "leaked.safetensors" not in all_paths(repo) and "dir/secret" in all_paths(repo)
    for commit, was in old.items():
        new = repo.objects.commit(mapped[commit] or "")
        assert (new.author, new.committer, new.message) == (was.author, was.committer, was.message)
        assert not repo.objects.contains(commit)
    assert repo.refs.read(MAIN) == mapped[world.tip] and repo.refs.read(SIDE) == mapped[world.child]
    tag = repo.objects.tag(repo.refs.read("refs/tags/v1") or "")
    assert (tag.target, tag.message.strip(), tag.tagger) == (mapped[world.leak], "a tag", WHO)
    # What rested on it is whole, and it is gone: also as a base, and in the packs' bytes.
    assert world.names.isdisjoint(open_chunks(repo).names())
    bytes_here = b"".join(path.read_bytes() for path in (world.top / "a/.mvc/chunks/packs").rglob("*.pack"))
    assert not any(name in bytes_here for name in world.names)
    assert "leaked.safetensors" in done.kept_files
    assert (world.top / "a" / "leaked.safetensors").exists()
    Peer(world.top / "a", world.backend).checkout(MAIN)
    assert (world.top / "a" / "child.safetensors").read_bytes() == tuned(7, 1, width=128)
    text = (world.top / "a/.mvc/purge/commit-map").read_text()
    assert f"{world.tip} {mapped[world.tip]}\n" in text
    assert not (world.top / "a/.mvc/purge/chunks").exists()
    subprocess.run(["git", "--git-dir", str(world.top / "a/.mvc"), "fsck", "--strict"], check=True)


def test_what_was_said_of_commits_and_their_lineage_go_along(world: World) -> None:
    repo, caller = world.peer.repo, world.peer.caller
    for spec, value in ((world.leak, 1), (world.child, 2), ("v1", 3)):
        annotate(repo, spec, Said(metrics={"acc": value}), caller=caller)
    # Its base is a commit of another branch, which is rewritten, too.
    base = world.tip
    metadata = CommitMetadata(
        bases=(Base(base, None, "keep.bin", "x"), Base("f" * 40, None), Base(base, "https://x/y"))
    )
    options = CommitFilesOptions(metadata=metadata, start=world.child)
    made = commit_files(repo, "refs/heads/made", {"x": b"1"}, "made", options, caller=caller)
    done = world.purge(["leaked.safetensors"])
    mapped = dict(done.commits)
    repo = world.check()
    known = Known(repo)
    assert known.annotations(mapped[world.leak] or "")[0].metrics == {"acc": 1}
    assert [one.metrics["acc"] for one in known.annotations(mapped[world.leak] or "")] == [1, 3]
    assert known.annotations(mapped[world.child] or "")[0].metrics == {"acc": 2}
    assert len(known.notes) == 3 and all(repo.objects.contains(one) for one in known.notes)
    bases = known.read(mapped[made.id] or "").bases
    assert [one.commit for one in bases] == [mapped[base], "f" * 40, mapped[base]]
    assert bases[0].path == "keep.bin"
    subprocess.run(["git", "--git-dir", str(world.top / "a/.mvc"), "fsck", "--strict"], check=True)


def test_a_commit_that_becomes_empty_is_left_out(world: World) -> None:
    done = world.purge(["leaked.safetensors", "dir"])
    mapped = dict(done.commits)
    repo = world.check()
    first = repo.objects.commit(mapped[world.child] or "").parents[0]
    assert mapped[world.leak] == first
    assert "dir/secret" not in all_paths(repo)
    assert {file.path for file in done.files} == {"leaked.safetensors", "dir/secret"}


def test_a_content_goes_under_whatever_name(world: World) -> None:
    peer = world.peer
    shutil.copy(world.top / "a" / "leaked.safetensors", world.top / "a" / "copy.safetensors")
    peer.commit({}, "copied")
    world.purge(revisions=[f"{world.leak}:leaked.safetensors"])
    repo = world.check()
    assert not {"leaked.safetensors", "copy.safetensors"} & all_paths(repo)
    assert world.names.isdisjoint(open_chunks(repo).names())


def test_a_content_that_stays_under_another_name_is_told(world: World) -> None:
    """Small ones (Git blobs) and weights: who takes out a leak must not believe that it is gone."""
    top = world.top / "a"
    shutil.copy(top / "leaked.safetensors", top / "copy.safetensors")
    shutil.copy(top / "dir/secret", top / "token")
    world.peer.commit({}, "copied")
    done = world.purge(["leaked.safetensors", "dir"])
    assert not done.files
    assert [(one.path, one.other) for one in done.elsewhere] == [
        ("dir/secret", "token"),
        ("leaked.safetensors", "copy.safetensors"),
    ]
    world.check()


def test_a_commit_stands_for_what_it_brought(world: World) -> None:
    world.purge(revisions=[world.leak])
    assert not {"leaked.safetensors", "dir/secret"} & all_paths(world.check())


def test_stash_reflogs_and_stage_go_along(world: World) -> None:
    peer = world.peer
    reset(peer.repo, world.child, Mode.HARD, caller=peer.caller)
    reset(peer.repo, world.tip, Mode.HARD, caller=peer.caller)
    peer.write({"keep.bin": noise(90_000, 5)})
    stash_push(peer.repo, caller=peer.caller)
    other = noise(150_000, 9)
    peer.write({"staged.bin": other})
    add(peer.repo, ["staged.bin"])
    world.purge(["leaked.safetensors", "staged.bin"])
    repo = world.check()
    for log in repo.refs.logged():
        text = repo.refs.reflog_path(log).read_text()
        assert world.tip not in text and world.leak not in text, log
    assert repo.refs.read("refs/stash") is not None
    assert world.names.isdisjoint(open_chunks(repo).names())
    assert len(list(open_chunks(repo).names())) < 20


def remote_of(world: World, peer: Peer | None = None) -> Remote:
    repo = Repository.open(world.top / "a")
    return Remote(repo, remote_config(repo.config, "hub"), FolderBackend(world.top / "hub"))


def test_remotes_are_purged(world: World) -> None:
    add_remote(world.peer.repo, "hub", str(world.top / "hub"))
    # A branch that is only there.
    (world.top / "b").mkdir()
    bob = Peer(world.top / "b", world.backend)
    bob.fetch()
    bob.checkout("refs/remotes/origin/side")
    bob.commit({"more.bin": noise(80_000, 3), "again.safetensors": model(7, width=128)}, "bob")
    bob.push(RefUpdate(bob.repo.refs.head().id, "refs/heads/bob"))
    done = world.purge(["leaked.safetensors", "again.safetensors"], remotes=["hub"])
    (there,) = done.remotes
    assert not there.left and not there.waiting and there.deleted > 0
    assert {ref.target for ref in there.refs} == {MAIN, SIDE, "refs/heads/bob"}
    with remote_of(world) as remote, RemoteGit(remote) as git:
        assert not fsck_remote(remote, git).findings
        index, _ = RemoteIndex.of(remote, remote.state())
        assert not any(name in index for name in world.names)
        paths = {one.path for one in walk_objects(git.objects, remote.state().refs.values())}
        assert not {"leaked.safetensors", "again.safetensors"} & paths and "more.bin" in paths
    hub = b"".join(path.read_bytes() for path in (world.top / "hub").rglob("*") if path.is_file())
    assert not any(name in hub for name in world.names)
    is_whole(world.backend, world.top / "fresh")
    repo = world.check()
    assert not repo.refs.list("refs/purge/")
    assert world.names.isdisjoint(open_chunks(repo).names())


@pytest.mark.parametrize("known", [True, False])
def test_the_shared_store_is_purged(world: World, tmp_path: Path, known: bool) -> None:
    """Bob has it all in the store that he shares; of another's chunks in the same pack a remote must tell."""
    add_remote(world.peer.repo, "hub", str(world.top / "hub"))
    (tmp_path / "b").mkdir()
    hub = "" if known else f'[remote "gone"]\n\turl = {tmp_path}/nowhere\n'
    bob = Peer(tmp_path / "b", world.backend, config=f"[core]\n\tsharedStore = {tmp_path}/shared\n{hub}")
    if known:
        add_remote(bob.repo, "hub", str(world.top / "hub"))
    bob = Peer(tmp_path / "b", world.backend)
    bob.fetch()
    for commit in (world.leak, world.child, world.tip):
        bob.checkout(commit)
    bob.checkout("refs/remotes/origin/main")
    shared = open_chunks(bob.repo).shared
    assert shared is not None and all(name in shared for name in world.names)
    world.purge(["leaked.safetensors"], remotes=["hub"])
    done = purge(
        Repository.open(bob.top),
        ["leaked.safetensors"],
        remotes=["hub"] if known else [],
        outside=Outside({}, tmp_path),
        caller=bob.caller,
    )
    shared.reload()
    found = sum(1 for name in world.names if name in shared)
    assert done.shared_left == found and bool(found) is not known and bool(done.shared_freed) is known
    if known:
        assert not done.left
        bob = Peer(tmp_path / "b", world.backend)
        bob.fetch()
        bob.checkout("refs/remotes/origin/main")
        assert bob.read("child.safetensors") == tuned(7, 1, width=128)


def test_a_purge_that_was_cut_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(module, "_purge_here", fail)
    with pytest.raises(OSError):
        world.purge(["leaked.safetensors"])
    monkeypatch.undo()
    assert not world.names.isdisjoint(open_chunks(world.check()).names())
    world.purge(["leaked.safetensors"])
    assert world.names.isdisjoint(open_chunks(world.check()).names())


def test_a_remote_that_lets_nobody_delete_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    add_remote(world.peer.repo, "hub", str(world.top / "hub"))

    def refuse(*_: object, **__: object) -> None:
        raise RemoteRefused("only leases are removed by clients")

    monkeypatch.setattr(FolderBackend, "delete", lambda self, keys: refuse() if "leases/" not in str(keys) else None)
    (there,) = world.purge(["leaked.safetensors"], remotes=["hub"]).remotes
    assert there.refused and there.left
    monkeypatch.undo()
    assert world.names.isdisjoint(open_chunks(world.check()).names())
    shutil.rmtree(world.top / "hub" / "leases")
    # The chunks are remembered until they are gone.
    world.purge(["leaked.safetensors"], remotes=["hub"])
    with remote_of(world) as remote:
        index, _ = RemoteIndex.of(remote, remote.state())
        assert not any(name in index for name in world.names)
    assert not (world.top / "a/.mvc/purge/chunks").exists()


@pytest.mark.slow
def test_purge_is_killed_at_every_step(world: World, tmp_path: Path) -> None:
    add_remote(world.peer.repo, "hub", str(world.top / "hub"))
    saved = tmp_path / "saved"
    for name in ("a", "hub"):
        shutil.copytree(world.top / name, saved / name, symlinks=True)

    def back() -> None:
        for name in ("a", "hub"):
            shutil.rmtree(world.top / name)
            shutil.copytree(saved / name, world.top / name, symlinks=True)

    def act() -> object:
        return world.purge(["leaked.safetensors"], remotes=["hub"])

    total = steps_of(act)
    for step in range(1, total + 1, max(1, total // 25)):
        back()
        assert in_child(act, killer(step)) in (KILLED, 0)
        world.check()
        for path in (world.top / "hub" / "leases").glob("*"):
            os.utime(path, (0, path.stat().st_mtime - 3 * 86400))  # the killed one's lease counts for a day
        with contextlib.suppress(NotFound):  # it was done
            act()
        repo = world.check()
        assert "leaked.safetensors" not in all_paths(repo)
        assert world.names.isdisjoint(open_chunks(repo).names()), step
        with remote_of(world) as remote:
            index, _ = RemoteIndex.of(remote, remote.state())
            assert not any(name in index for name in world.names), step
        is_whole(FolderBackend(world.top / "hub"), tmp_path / f"fresh{step}")


def test_what_is_refused(world: World) -> None:
    with pytest.raises(NotFound):
        world.purge(["nowhere.bin"])
    with pytest.raises(UsageError):
        world.purge([""])
    with pytest.raises(UsageError):
        world.purge([".mvcmeta"])
    (world.top / "a/.mvc/MERGE_HEAD").write_text(world.child + "\n")
    with pytest.raises(Refused, match="unfinished"):
        world.purge(["leaked.safetensors"])
    os.unlink(world.top / "a/.mvc/MERGE_HEAD")
    assert world.check().refs.read(MAIN) == world.tip


def test_beside_git(tmp_path: Path) -> None:
    """The same history as `git filter-branch --prune-empty --index-filter 'git rm --cached'` makes: the same ids."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    (tmp_path / "a").mkdir()
    peer = Peer(tmp_path / "a", FolderBackend(tmp_path / "hub"))
    peer.commit({"a": b"1", "x/y": b"2"}, "one\n\nbody")
    peer.commit({"secret": b"s", "a": b"2"}, "two")
    peer.commit({"secret": b"t"}, "three")
    peer.commit({"x/z": b"3"}, "four")
    copy = tmp_path / "git"
    environment = {**os.environ, "FILTER_BRANCH_SQUELCH_WARNING": "1", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "clone", "-q", str(tmp_path / "a/.mvc"), str(copy)], check=True, env=environment)
    command = [
        "git",
        "filter-branch",
        "-f",
        "--prune-empty",
        "--index-filter",
        "git rm -q --cached --ignore-unmatch secret",
        "HEAD",
    ]
    subprocess.run(command, cwd=copy, check=True, env=environment, capture_output=True)
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=copy, check=True, capture_output=True, text=True, env=environment
    )
    repo = Repository.open(tmp_path / "a")
    purge(repo, ["secret"], [], outside=Outside({}, tmp_path), caller=peer.caller)
    assert Repository.open(tmp_path / "a").refs.read(MAIN) == found.stdout.strip()


def test_manifests_are_told_by_their_size(world: World) -> None:
    (file,) = world.purge(["leaked.safetensors"], dry_run=True).files
    assert file.raw == len(model(7, width=128)) and file.stored > 0
    assert is_manifest(world.peer.repo.objects.blob(file.id))
