"""The same lines typed to git and to mvc, each with two clones and a remote in a folder: both say the same.

Left out of the comparison: ids, hints (mvc's name its own commands), what mvc adds (bytes that moved), and what git
adds about its own transport.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.world import Mvc, Ran

_IDS = re.compile(r"\b[0-9a-f]{7,40}\b")
_ADDED = (
    "moved ",
    "received ",
    "hint:",
    "Cloning into",
    "done.",
    "would move",
    " * branch  ",
    "updating local",
    "error: some local",
)


class Twins:
    """Two people, ann and bob, with clones of git's and of mvc's, and nothing else in common."""

    def __init__(self, mvc: Mvc, top: Path) -> None:
        self._mvc = mvc
        self._top = top
        self._times = 1_700_000_000
        for kind in ("git", "mvc"):
            (top / kind).mkdir()
        self._git(top / "git", "init", "-q", "--bare", "-b", "main", "hub")
        for kind in ("git", "mvc"):
            (top / kind / "ann").mkdir()
        self._git(top / "git" / "ann", "init", "-q", "-b", "main")
        mvc("init", "-q", cwd=top / "mvc" / "ann")

    def _git(self, cwd: Path, *arguments: str) -> tuple[int, str, str]:
        self._times += 1
        names = {"AUTHOR": "Ann Other", "COMMITTER": "Ann Other"}
        environment = {
            f"GIT_{kind}_{part}": value
            for kind, name in names.items()
            for part, value in (("NAME", name), ("EMAIL", "ann@example.org"), ("DATE", f"{self._times} +0000"))
        }
        ran = subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C", "GIT_CONFIG_GLOBAL": "/dev/null", **environment},
        )
        return ran.returncode, ran.stdout, ran.stderr

    def _ours(self, cwd: Path, *arguments: str, code: int | None = 0) -> Ran:
        """mvc, at the time of git's last command: commits that one clock orders must not meet another's seconds."""
        return self._mvc(*arguments, cwd=cwd, code=code, MVC_DATE=f"@{self._times} +0000")

    def quietly(self, who: str, *arguments: str) -> None:
        """Both must succeed; what they say does not matter."""
        code, _, err = self._git(self._top / "git" / who, *arguments)
        assert code == 0, err
        self._ours(self._top / "mvc" / who, *arguments)

    def commit(self, who: str, name: str, text: str) -> None:
        """A commit of one file."""
        for kind in ("git", "mvc"):
            (self._top / kind / who / name).write_text(text)
        self.quietly(who, "add", name)
        self.quietly(who, "commit", "-q", "-m", f"{name} is {text}")

    def alike(self, who: str, *arguments: str, code: int | None = 0) -> str:
        """Both say the same, and end well or badly alike (with mvc's exit code `code`); returns what was said."""
        git_code, git_out, git_err = self._git(self._top / "git" / who, *arguments)
        ran = self._ours(self._top / "mvc" / who, *arguments, code=None)
        said = self._said(ran.out, ran.err, "mvc")
        assert said == self._said(git_out, git_err, "git")
        assert (ran.code == 0) == (git_code == 0)
        assert code is None or ran.code == code
        return "\n".join(said)

    def _said(self, out: str, err: str, kind: str) -> list[str]:
        lines = [line for line in f"{out}{err}".splitlines() if line and not line.startswith(_ADDED)]
        lines = [line for line in lines if not line.startswith(("To git", "fatal: the remote"))]
        text = "\n".join(lines).replace(str(self._top / kind), "TOP").replace("fatal: ", "error: ")
        text = re.sub(r"(From|To) \S*hub", r"\1 HUB", text).replace("TOP/hub", "HUB").replace("../hub", "HUB")
        text = text.replace('(use "git ', '(use "mvc ').replace("'git ", "'mvc ")
        said = [line.rstrip() for line in _IDS.sub("ID", text).splitlines()]
        # Behind an error git explains at length, without a sign before it.
        errors = [at for at, line in enumerate(said) if line.startswith("error:")]
        return [*said[: errors[0]], said[errors[0]].rstrip(".")] if errors else said


@pytest.fixture
def twins(mvc: Mvc, tmp_path: Path) -> Twins:
    made = Twins(mvc, tmp_path)
    made.commit("ann", "a", "1")
    made.quietly("ann", "remote", "add", "origin", "../hub")
    return made


@pytest.fixture
def shared(twins: Twins) -> Twins:
    """Both have main, and follow it."""
    twins.quietly("ann", "push", "-q", "-u", "origin", "main")
    twins.quietly(".", "clone", "-q", "hub", "bob")
    return twins


def test_a_branch_is_pushed_until_all_is_up_to_date(twins: Twins) -> None:
    assert "has no upstream" in twins.alike("ann", "push", code=5).splitlines()[0]
    twins.alike("ann", "push", "--dry-run", "-u", "origin", "main")
    assert "[new branch]" in twins.alike("ann", "push", "-u", "origin", "main")
    twins.alike("ann", "push")
    twins.commit("ann", "a", "2")
    twins.alike("ann", "status")
    assert "ID..ID" in twins.alike("ann", "push")
    twins.alike("ann", "push", "-v")
    twins.alike("ann", "branch", "-avv")


def test_refspecs(shared: Twins) -> None:
    shared.quietly("ann", "tag", "v1")
    for specs in (
        ["v1"],
        ["main:other"],
        ["main~0:refs/heads/third"],
        ["HEAD"],
        ["HEAD:fourth"],
        ["tag", "v1"],
        ["main:refs/x/y"],
        ["+main:other"],
        ["refs/heads/*:refs/heads/copy/*"],
        [":other"],
        [":refs/x/y"],
        ["--delete", "third", "fourth"],
    ):
        shared.alike("ann", "push", "origin", *specs)
    shared.quietly("ann", "branch", "more")
    shared.alike("ann", "push", "--all", "origin")
    shared.quietly("ann", "tag", "v2")
    shared.alike("ann", "push", "--tags", "origin")
    shared.alike("ann", "ls-remote", "origin")
    shared.alike("ann", "ls-remote", "--tags", "origin", "v*")
    shared.alike("ann", "ls-remote", "--symref", "origin", "HEAD")


def test_ls_remote_tells_what_annotated_tags_stand_for(shared: Twins, mvc: Mvc, tmp_path: Path) -> None:
    shared.quietly("ann", "tag", "light")
    shared.quietly("ann", "tag", "-m", "x", "v1")
    shared.quietly("ann", "tag", "-m", "y", "v2", "v1")
    shared.quietly("ann", "push", "-q", "origin", "--tags")
    shared.quietly("ann", "tag", "-m", "not there", "v3")
    for who in ("ann", "bob"):  # bob has none of the tags
        for options in ([], ["--tags"], ["--refs"], ["--tags", "--refs"], ["--heads"]):
            shared.alike(who, "ls-remote", *options, "origin")
        shared.alike(who, "ls-remote", "origin", "v1*")
        shared.alike(who, "ls-remote", "origin", "v1^{}")
    assert mvc("ls-remote", "hub", cwd=tmp_path / "mvc").out.count("^{}\n") == 2
    ids = dict(reversed(line.split("\t")) for line in mvc("ls-remote", "origin", cwd=tmp_path / "mvc" / "bob").lines)
    assert ids["refs/tags/v1^{}"] == ids["refs/tags/v2^{}"] == ids["HEAD"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nowhere"], 4),
        (["origin", "nothing"], 4),
        (["origin", ":nothing"], 4),
        (["origin", "a..b"], 2),
        (["origin", "main~0:x"], 2),
    ],
)
def test_what_cannot_be_pushed(shared: Twins, mvc: Mvc, tmp_path: Path, arguments: list[str], code: int) -> None:
    git_code, _, _ = shared._git(tmp_path / "git" / "ann", "push", *arguments)
    assert git_code != 0
    ran = mvc("push", *arguments, cwd=tmp_path / "mvc" / "ann", code=code)
    assert ran.err.startswith("error: ")


def test_what_is_no_fast_forward_is_rejected(shared: Twins, mvc: Mvc, tmp_path: Path) -> None:
    shared.commit("ann", "a", "2")
    shared.quietly("ann", "push", "-q")
    shared.commit("bob", "b", "1")
    assert "(fetch first)" in shared.alike("bob", "push", code=5)
    shared.quietly("bob", "fetch", "-q")
    assert "(non-fast-forward)" in shared.alike("bob", "push", code=5)
    shared.alike("bob", "push", "origin", "main", "main:new", code=5)
    ran = mvc("push", "--atomic", "origin", "main", "main:newer", cwd=tmp_path / "mvc" / "bob", code=5)
    assert "main -> newer (atomic push failed)" in ran.err and "main -> main (non-fast-forward)" in ran.err
    shared.alike("bob", "status")
    assert "(forced update)" in shared.alike("bob", "push", "--force-with-lease")
    shared.commit("ann", "a", "3")
    assert "(stale info)" in shared.alike("ann", "push", "--force-with-lease", code=5)
    shared.alike("ann", "push", "--force-with-lease=main:main~1", code=5)
    assert "forced update" in shared.alike("ann", "push", "origin", "+main")


def test_a_tag_does_not_move(shared: Twins) -> None:
    shared.quietly("ann", "tag", "v1")
    shared.quietly("ann", "push", "-q", "origin", "v1")
    shared.commit("ann", "a", "2")
    shared.quietly("ann", "tag", "-f", "v1")
    assert "(already exists)" in shared.alike("ann", "push", "origin", "v1", code=5)
    shared.alike("ann", "push", "-f", "origin", "v1")


def test_fetch(shared: Twins) -> None:
    shared.commit("ann", "a", "2")
    shared.quietly("ann", "tag", "v1")
    shared.quietly("ann", "push", "-q", "origin", "main", "main:topic", "main:gone", "v1")
    shared.alike("bob", "fetch", "--dry-run", "--no-tags")
    assert "[new tag]" in shared.alike("bob", "fetch")
    assert shared.alike("bob", "fetch") == ""
    shared.alike("bob", "fetch", "-v")
    shared.quietly("ann", "push", "-q", "origin", ":gone")
    shared.alike("bob", "remote", "show", "origin")
    shared.alike("bob", "remote", "prune", "--dry-run", "origin")
    assert "[deleted]" in shared.alike("bob", "fetch", "--prune")
    shared.commit("ann", "a", "3")
    shared.quietly("ann", "push", "-q", "-f", "origin", "HEAD~2:refs/heads/topic", "main")
    assert "(forced update)" in shared.alike("bob", "fetch")
    shared.alike("bob", "fetch", "origin", "main:here")
    shared.alike("bob", "fetch", "origin", "topic:here", code=5)
    shared.alike("bob", "fetch", "origin", "+topic:here")
    shared.alike("bob", "status")


def test_pull(shared: Twins, tmp_path: Path) -> None:
    shared.commit("ann", "a", "2")
    shared.quietly("ann", "push", "-q")
    shared.quietly("bob", "pull", "--ff-only")
    shared.alike("bob", "status")
    shared.alike("bob", "pull")
    shared.commit("bob", "b", "1")
    shared.commit("ann", "a", "3")
    shared.quietly("ann", "push", "-q")
    assert "reconcile divergent" in shared.alike("bob", "pull", code=5)
    shared.alike("bob", "pull", "--ff-only", code=5)
    shared.quietly("bob", "pull", "--no-rebase")
    for kind in ("git", "mvc"):
        top = tmp_path / kind
        command = ["git", f"--git-dir={top / 'bob' / f'.{kind}'}", "log", "--format=%s", "-1"]
        subject = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert subject.strip() == f"Merge branch 'main' of {top / 'hub'}"
    shared.quietly("bob", "reset", "-q", "--hard", "HEAD~1")
    shared.quietly("bob", "pull", "--rebase")
    shared.alike("bob", "status")
    shared.alike("bob", "push")
    shared.quietly("bob", "switch", "-q", "-c", "alone")


def test_remotes(twins: Twins) -> None:
    twins.alike("ann", "remote", "-v")
    twins.alike("ann", "remote", "add", "other", "/else/where")
    twins.alike("ann", "remote", "add", "origin", "/else/where", code=5)
    twins.alike("ann", "remote")
    twins.alike("ann", "remote", "get-url", "other")
    twins.alike("ann", "remote", "set-url", "--push", "other", "/third")
    twins.alike("ann", "remote", "set-url", "other", "/fifth")
    twins.alike("ann", "remote", "get-url", "other")
    twins.alike("ann", "remote", "get-url", "--push", "other")
    twins.alike("ann", "remote", "-v")
    twins.quietly("ann", "push", "-q", "-u", "origin", "main")
    twins.alike("ann", "remote", "rename", "origin", "hub")
    twins.alike("ann", "branch", "-avv")
    twins.alike("ann", "status", "-sb")
    twins.alike("ann", "remote", "show", "-n", "hub")
    twins.alike("ann", "remote", "remove", "hub")
    twins.alike("ann", "branch", "-avv")
    twins.alike("ann", "remote", "remove", "hub", code=4)
    twins.alike("ann", "remote", "-v")


def test_clone_of_what_is_empty(twins: Twins, mvc: Mvc, tmp_path: Path) -> None:
    (tmp_path / "mvc" / "hub").mkdir()
    assert "cloned an empty repository" in twins.alike(".", "clone", "hub", "bob")
    twins.commit("bob", "b", "1")
    twins.alike("bob", "status")
    assert "[new branch]" in twins.alike("bob", "push")
    twins.alike("bob", "branch", "-avv")
    for name, content in (("full", "Notes.txt"), ("full2", "notes")):
        (tmp_path / "mvc" / name).mkdir()
        (tmp_path / "mvc" / name / content).write_text("mine")
        assert "there is no mvc remote" in mvc("clone", name, "x", cwd=tmp_path / "mvc", code=4).err
    assert "not found in upstream" in mvc("clone", "-b", "v1", "hub", "y", cwd=tmp_path / "mvc", code=4).err


def _once(text: str) -> list[str]:
    """git tells of tags that follow twice in a dry run."""
    return list(dict.fromkeys(text.splitlines()))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--tags"],
        ["--prune", "--tags"],
        ["origin", "main"],
        ["origin", "main:seen"],
        ["origin", "tag", "light"],
        ["origin", "refs/tags/*:refs/tags/*"],
        ["--force", "--tags"],
        ["-v"],
    ],
    ids=" ".join,
)
def test_what_a_fetch_would_do_about_tags(shared: Twins, tmp_path: Path, arguments: list[str]) -> None:
    """And then does: new ones, one that moved, one on a commit of no branch."""
    shared.quietly("ann", "tag", "moves")
    shared.quietly("ann", "push", "-q", "origin", "moves")
    shared.quietly("bob", "fetch", "-q")
    shared.commit("ann", "a", "2")
    shared.quietly("ann", "tag", "light")
    shared.quietly("ann", "tag", "-m", "x", "heavy")
    shared.quietly("ann", "tag", "-f", "moves")
    shared.quietly("ann", "push", "-q", "-f", "origin", "main", "light", "heavy", "moves")
    shared.commit("ann", "a", "3")
    shared.quietly("ann", "tag", "apart")
    shared.quietly("ann", "push", "-q", "origin", "apart")
    for options in (["--dry-run"], [], ["--dry-run"]):
        git_code, git_out, git_err = shared._git(tmp_path / "git" / "bob", "fetch", *options, *arguments)
        ran = shared._mvc("fetch", *options, *arguments, cwd=tmp_path / "mvc" / "bob", code=None)
        ours, theirs = (shared._said(*said) for said in ((ran.out, ran.err, "mvc"), (git_out, git_err, "git")))
        assert sorted(ours) == sorted(_once("\n".join(theirs))), (options, arguments)
        assert (ran.code == 0) == (git_code == 0)
    shared.alike("bob", "tag", "-l")
