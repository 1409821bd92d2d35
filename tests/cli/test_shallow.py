"""Shallow history: as with git, and for real git, which reads the same repository."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_beside_git import Twins
from tests.cli.world import Mvc


class Shallow(Twins):
    """git needs to be told that a path is no reason to copy files."""

    def clone(self, name: str, *options: str) -> None:
        code, _, err = self._git(self._top / "git", "clone", "-q", "--no-local", *options, "hub", name)
        assert code == 0, err
        self._ours(self._top / "mvc", "clone", "-q", *options, "hub", name)

    def same(self, name: str) -> list[str]:
        """Both see the same history, ends and refs; real git finds nothing wrong with ours. Returns subjects."""
        ours, theirs = self._top / "mvc" / name, self._top / "git" / name
        commands = [
            ["log", "--format=%s %D", "--decorate=short", "--topo-order", "--all"],
            ["for-each-ref", "--format=%(refname) %(subject) %(upstream)"],
            ["rev-parse", "--is-shallow-repository"],
            ["config", "--get-all", "remote.origin.fetch"],
        ]
        for command in commands:
            found = self._real(ours / ".mvc", *command)
            assert found == self._real(theirs / ".git", *command), command
        assert self._real(ours / ".mvc", "fsck", "--strict").count("dangling") >= 0
        subjects = self._real(ours / ".mvc", "log", "--format=%s").splitlines()
        lines = self._mvc("log", "--oneline", cwd=ours).lines
        assert [re.sub(r"^\w+ (\(.*?\) )?", "", line) for line in lines] == subjects
        assert "all sound" in self._mvc("fsck", cwd=ours).err
        return subjects

    def _real(self, git_dir: Path, *arguments: str) -> str:
        ran = subprocess.run(
            ["git", "--git-dir", str(git_dir), *arguments], capture_output=True, text=True, check=False
        )
        assert not ran.stderr.strip() or "notice: " in ran.stderr, ran.stderr
        return ran.stdout


@pytest.fixture
def twins(mvc: Mvc, tmp_path: Path) -> Iterator[Shallow]:
    """Six commits on main, two of them on a branch that was merged; tags; `topic` from the third."""
    made = Shallow(mvc, tmp_path)
    for number in range(3):
        made.commit("ann", "a", str(number))
    made.quietly("ann", "tag", "old", "HEAD~1")
    made.quietly("ann", "branch", "topic")
    made.quietly("ann", "switch", "-q", "topic")
    made.commit("ann", "b", "1")
    made.quietly("ann", "switch", "-q", "main")
    made.commit("ann", "a", "3")
    made.quietly("ann", "merge", "-q", "-m", "merged", "topic")
    made.commit("ann", "a", "4")
    made.quietly("ann", "tag", "-m", "annotated", "v1")
    made.quietly("ann", "remote", "add", "origin", "../hub")
    made.quietly("ann", "push", "-q", "origin", "main", "topic", "old", "v1")
    yield made


@pytest.mark.parametrize(
    "options",
    [
        ["--depth", "1"],
        ["--depth", "2"],
        ["--depth", "3"],
        ["--depth", "100"],
        ["--depth", "1", "--no-single-branch"],
        ["--depth", "2", "--no-single-branch"],
        ["--depth", "1", "-b", "topic"],
        ["--depth", "1", "-b", "old"],
        ["--depth", "2", "-b", "v1"],
        ["--single-branch"],
        ["--single-branch", "-b", "topic"],
    ],
    ids=" ".join,
)
def test_a_clone(twins: Shallow, options: list[str]) -> None:
    twins.clone("bob", *options)
    twins.same("bob")


def test_deeper_and_whole(twins: Shallow, mvc: Mvc, tmp_path: Path) -> None:
    twins.clone("bob", "--depth", "1")
    assert len(twins.same("bob")) == 1
    for depth in ("2", "3", "1", "4"):
        twins.quietly("bob", "fetch", "-q", "--depth", depth)
        twins.same("bob")
    mvc("log", "--graph", cwd=tmp_path / "mvc" / "bob")
    twins.quietly("bob", "fetch", "-q", "--unshallow")
    assert len(twins.same("bob")) == 7
    assert not (tmp_path / "mvc" / "bob" / ".mvc" / "shallow").exists()
    twins.alike("bob", "fetch", "--unshallow", code=2)
    twins.quietly("bob", "fetch", "-q", "--depth", "2")
    assert (tmp_path / "mvc" / "bob" / ".mvc" / "shallow").read_text().count("\n") == len(
        (tmp_path / "git" / "bob" / ".git" / "shallow").read_text().splitlines()
    )
    twins.same("bob")


def test_what_is_no_depth(twins: Shallow, mvc: Mvc, tmp_path: Path) -> None:
    assert "not a positive number" in mvc("clone", "--depth", "0", "hub", "x", cwd=tmp_path / "mvc", code=2).err
    twins.clone("bob", "--depth", "1")
    for arguments in (["--depth", "0"], ["--depth", "-3"], ["--depth", "1", "--unshallow"]):
        mvc("fetch", *arguments, cwd=tmp_path / "mvc" / "bob", code=2)
    twins.same("bob")


def test_work_goes_on(twins: Shallow, mvc: Mvc, tmp_path: Path) -> None:
    """Fetch, pull, push, merge-base, ahead and behind over the end of a shallow history."""
    twins.clone("bob", "--depth", "1")
    twins.commit("ann", "a", "5")
    twins.commit("ann", "a", "6")
    twins.quietly("ann", "tag", "-m", "x", "v2")
    twins.quietly("ann", "push", "-q", "origin", "main", "v2")
    assert "[new tag]" in twins.alike("bob", "fetch")
    assert len(twins.same("bob")) == 1
    twins.alike("bob", "status")
    twins.quietly("bob", "merge", "-q", "origin/main")
    assert len(twins.same("bob")) == 3
    twins.commit("bob", "c", "1")
    twins.alike("bob", "push")
    twins.alike("bob", "push", "origin", "HEAD:refs/heads/mine")
    # One that the remote moved on from, and whose end is deeper down there.
    twins.quietly("ann", "pull", "-q", "--ff-only", "origin", "main")
    twins.commit("ann", "a", "7")
    twins.quietly("ann", "push", "-q", "origin", "main")
    twins.alike("bob", "push", "origin", "HEAD:refs/heads/other")
    twins.quietly("bob", "switch", "-q", "-c", "side", "v2~2")
    twins.commit("bob", "d", "1")
    twins.alike("bob", "push", "origin", "side")
    twins.same("bob")
    twins.quietly("ann", "fetch", "-q", "origin")
    subjects = twins._real(tmp_path / "mvc" / "ann" / ".mvc", "log", "--format=%s", "origin/side").splitlines()
    assert len(subjects) == 8 and mvc("fsck", cwd=tmp_path / "mvc" / "ann").code == 0


def test_a_shallow_history_is_not_pushed_elsewhere(twins: Shallow, mvc: Mvc, tmp_path: Path) -> None:
    twins.clone("bob", "--depth", "2")
    bob = tmp_path / "mvc" / "bob"
    ran = mvc("push", "../other", "main", cwd=bob, code=5)
    assert "shallow update not allowed" in ran.err and "mvc fetch --unshallow" in ran.err
    mvc("fetch", "--unshallow", cwd=bob)
    mvc("push", "../other", "main", cwd=bob)


def test_gc_takes_what_is_behind_the_end(twins: Shallow, mvc: Mvc, tmp_path: Path) -> None:
    twins.quietly(".", "clone", "-q", "hub", "bob")
    bob = tmp_path / "mvc" / "bob"
    for name in ("old", "v1"):
        twins.quietly("bob", "tag", "-d", name)
    mvc("branch", "-r", "-d", "origin/topic", cwd=bob)
    mvc("fetch", "--no-tags", "--depth", "1", "origin", "main", cwd=bob)
    mvc("reflog", "expire", "--expire=now", "--all", cwd=bob)
    before = len(twins._real(bob / ".mvc", "rev-list", "--all", "--reflog").splitlines())
    mvc("gc", "--prune=now", "-y", cwd=bob)
    assert before == 1 and "all sound" in mvc("fsck", cwd=bob).err
    assert twins._real(bob / ".mvc", "cat-file", "--batch-check", "--batch-all-objects").count(" commit ") == 1
    mvc("fetch", "--unshallow", "origin", "main", cwd=bob)
    assert len(mvc("log", "--oneline", cwd=bob).lines) == 7
    assert "all sound" in mvc("fsck", cwd=bob).err


def test_log_tells_where_it_ends(twins: Shallow, mvc: Mvc, tmp_path: Path) -> None:
    twins.clone("bob", "--depth", "1")
    line = mvc("log", "--oneline", cwd=tmp_path / "mvc" / "bob").out
    assert "(grafted, HEAD -> main, origin/HEAD, origin/main, tag: v1)" in line


def test_a_file_that_makes_no_sense(twins: Shallow, mvc: Mvc, tmp_path: Path) -> None:
    twins.clone("bob", "--depth", "1")
    bob = tmp_path / "mvc" / "bob"
    (bob / ".mvc" / "shallow").write_bytes(b"\xff not an id\n")
    assert "does not list commits" in mvc("log", cwd=bob, code=6).err
