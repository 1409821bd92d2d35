"""`mvc commit PATH` commits what real git commits, and leaves staged what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forked
from tests.ops.world import World

STANDING = {"a": "1", "b": "1", "gone": "1", "kept": "1", "sub/c": "1", "sub/d": "1", "sub/e.txt": "1"}
LARGE = b"weights" * 20_000


class Twins:
    """A worktree of mvc and one of git, in which the same is done."""

    def __init__(self, world: World, path: Path) -> None:
        self.world, self.path = world, path
        path.mkdir()
        self.git("init", "-q", "-b", "main")
        for name, content in STANDING.items():
            self.write(name, content)
        self.do("add", ".")
        self.do("commit", "-m", "first")

    def git(self, *arguments: str, cwd: str = "") -> subprocess.CompletedProcess[str]:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "core.autocrlf=false")
        where = self.path / cwd
        return subprocess.run(["git", *who, *arguments], cwd=where, capture_output=True, text=True, check=False)

    def write(self, name: str, content: str | bytes) -> None:
        self.world.write(name, content)
        place = self.path / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)

    def unlink(self, name: str) -> None:
        (self.path / name).unlink()
        (self.world.path / name).unlink()

    def do(self, *arguments: str, cwd: str = "") -> bool:
        """Both succeed, or both refuse; then they agree on what is committed, staged and changed."""
        done, ours = self.git(*arguments, cwd=cwd), self.world.run(*arguments, cwd=cwd)
        assert (done.returncode == 0) == (ours.code == 0), (done, ours)
        status = self.git("status", "--porcelain").stdout
        assert self.world.mvc("status", "--porcelain").out == status
        if self.git("rev-parse", "-q", "--verify", "HEAD").returncode == 0:
            names = self.git("ls-tree", "-r", "--name-only", "HEAD").stdout.splitlines()
            listed = self.world.git("ls-tree", "-r", "--name-only", "HEAD").splitlines()
            assert [name for name in listed if not name.startswith(".mvcmeta/")] == names
            for name in names:
                command = ["git", "cat-file", "blob", f"HEAD:{name}"]
                content = subprocess.run(command, cwd=self.path, capture_output=True, check=True).stdout
                if len(content) < len(LARGE):
                    assert self.world.git("cat-file", "blob", f"HEAD:{name}").encode() == content
        return done.returncode == 0


@pytest.fixture
def twins(world: World, tmp_path: Path) -> Twins:
    return Twins(world, tmp_path / "twin")


def test_what_else_is_staged_stays_staged(twins: Twins) -> None:
    twins.write("a", "2")
    twins.write("b", "2")
    twins.write("new", "2")
    twins.unlink("gone")
    twins.do("add", "b", "new")
    twins.write("b", "3")
    twins.do("rm", "--cached", "kept")
    assert twins.do("commit", "-m", "a alone", "a")
    assert twins.world.status() == ["staged b", "staged kept", "staged new", "changed b", "changed gone", "new kept"]
    assert twins.do("commit", "-m", "as it is in the worktree, and gone", "--", "b", "gone")
    assert twins.do("commit", "--amend", "--no-edit", "new")
    assert not twins.do("commit", "-m", "unstaged, but there as it was", "kept")
    assert twins.do("commit", "-m", "now it is gone")
    assert twins.world.status() == ["new kept"]
    twins.world.mvc("fsck")


def test_specs_are_those_of_add(twins: Twins) -> None:
    for name in STANDING:
        twins.write(name, "2")
    twins.write("sub/untracked", "2")
    assert twins.do("commit", "-m", "a glob", "*.txt")
    assert twins.do("commit", "-m", "from within", "d", cwd="sub")
    assert twins.do("commit", "-m", "a folder, not all of it", "sub", ":!a")
    assert twins.do("commit", "-m", "all that is tracked", ".")
    assert twins.world.status() == ["new sub/untracked"]


def test_what_is_refused_leaves_the_stage_as_it_was(twins: Twins) -> None:
    twins.write("a", "2")
    twins.do("add", "a")
    twins.write("a", "1")
    twins.write("b", "2")
    twins.write("new", "2")
    assert not twins.do("commit", "-m", "equals HEAD in the worktree", "a")
    assert not twins.do("commit", "-m", "", "b")
    assert not twins.do("commit", "-m", "untracked", "b", "new")
    assert not twins.do("commit", "-m", "no such file", "b", "nothing")
    assert not twins.do("commit", "-a", "-m", "all of it, and b", "b")
    assert twins.world.status() == ["staged a", "changed a", "changed b", "new new"]


def test_a_file_becomes_a_folder(twins: Twins) -> None:
    twins.unlink("a")
    twins.write("a/x", "2")
    twins.do("add", "-A")
    twins.write("b", "2")
    twins.do("add", "b")
    assert twins.do("commit", "-m", "a folder now", "a/x")
    assert twins.world.status() == ["staged b"]


def test_a_folder_in_the_place_of_a_file_by_its_own_name(world: World) -> None:
    """(Git takes it for a submodule, and refuses.)"""
    world.commit("1", a="1", b="1")
    (world.path / "a").unlink()
    world.write("a/x", "2")
    world.write("b", "2")
    world.mvc("add", "-A")
    world.mvc("commit", "-m", "a folder now", "--no-environment", "a")
    assert world.git("ls-tree", "-r", "--name-only", "HEAD").split() == ["a/x", "b"]
    assert world.status() == ["staged b"]


def test_the_first_commit_of_all(tmp_path: Path) -> None:
    world = World(tmp_path / "fresh")
    world.write("a", "1")
    world.write("b", "1")
    world.mvc("add", ".")
    world.mvc("commit", "-m", "a", "--no-environment", "a")
    assert world.git("ls-tree", "--name-only", "HEAD") == "a"
    assert world.status() == ["staged b"]


def test_a_large_file_is_stored_and_not_read_again(twins: Twins) -> None:
    twins.write("model.bin", LARGE)
    twins.do("add", ".")
    twins.do("commit", "-m", "model")
    twins.write("model.bin", LARGE[::-1])
    twins.write("a", "2")
    twins.do("add", "a")
    made = twins.world.mvc("commit", "-m", "again", "--json", "model.bin").json
    assert made["changed"] == ["model.bin"]
    assert made["raw_bytes"] == len(LARGE) and 0 < made["stored_bytes"] < len(LARGE)
    twins.unlink("model.bin")
    twins.world.mvc("restore", "--source", "HEAD", "model.bin")
    assert (twins.world.path / "model.bin").read_bytes() == LARGE[::-1]
    twins.world.mvc("gc", "--prune=now", "--yes")
    twins.world.mvc("fsck")
    assert twins.world.status() == ["staged a"]


@pytest.mark.parametrize("verb", ["merge", "cherry-pick"])
def test_not_in_the_middle(twins: Twins, verb: str) -> None:
    twins.do("switch", "-c", "side")
    twins.write("a", "side")
    twins.do("commit", "-a", "-m", "side")
    twins.do("switch", "main")
    twins.write("a", "main")
    twins.do("commit", "-a", "-m", "main")
    assert not twins.do(verb, "side")
    twins.write("a", "both")
    twins.do("add", "a")
    twins.write("b", "2")
    assert not twins.do("commit", "-m", "b alone", "b")
    assert twins.do("commit", "-m", "all of it")
    assert twins.do("commit", "-m", "b alone", "b")


@pytest.mark.skipif(sys.platform == "win32", reason="a fork is killed")
def test_killed_once_the_branch_has_moved(world: World) -> None:
    """What was committed is not staged backwards, for the next commit would undo it."""
    world.commit("1", a="1", b="1")
    world.write("a", "2")
    world.write("b", "2")
    world.mvc("add", "b")
    branch = world.path / ".mvc/refs/heads/main"
    before = branch.read_text()

    def hook(operation: str, path: str) -> None:
        if branch.read_text() != before:
            os.kill(os.getpid(), signal.SIGKILL)

    assert forked.run(("commit", "-q", "-m", "2", "a"), world.path, hook) == forked.KILLED
    assert world.subjects() == ["2", "1"]
    assert world.status() == ["staged b"]
