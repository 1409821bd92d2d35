"""Commits that no mvc would write, put in by real git: refused by checkout and fsck, and nothing is written outside."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import mvc
from mvc.errors import MvcError
from mvc.ops.fsck import fsck
from mvc.repo.repository import Repository
from tests import forked

NAMES = [
    ".mvc",
    ".MVC",
    ".git",
    ".Git",
    ".g\u200cit",
    ".mvc ",
    ".git.",
    "git~1",
    "GIT~1",
    "mvc~1",
    ".mvc::$INDEX_ALLOCATION",
    "a\\.git\\config",
    ".mvc\\config",
    "..",
    ".",
]


def _git(work: Path, *arguments: str, stdin: bytes = b"") -> str:
    command = ["git", f"--git-dir={work / '.mvc'}", *arguments]
    env = {**os.environ, "GIT_AUTHOR_NAME": "E", "GIT_AUTHOR_EMAIL": "e@x", "GIT_COMMITTER_NAME": "E"}
    env |= {"GIT_COMMITTER_EMAIL": "e@x", "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(command, input=stdin, env=env, check=True, capture_output=True).stdout.decode().strip()


def _raw_tree(work: Path, entries: list[tuple[str, str, str]]) -> str:
    """A tree object byte by byte, as git's own plumbing refuses most of these names."""
    data = b"".join(f"{mode} ".encode() + name.encode() + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
    return _git(work, "hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=data)


def _commit_tree(work: Path, tree: str) -> str:
    text = f"tree {tree}\nauthor E <e@x> 1700000000 +0000\ncommitter E <e@x> 1700000000 +0000\n\nevil\n"
    commit = _git(work, "hash-object", "-t", "commit", "-w", "--stdin", stdin=text.encode())
    _git(work, "update-ref", "refs/heads/evil", commit)
    return commit


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    repo = mvc.Repo.init(folder)
    (folder / "a.txt").write_text("a\n")
    repo.add(["a.txt"])
    repo.commit("one", author=mvc.Signature("A", "a@x", 1_700_000_000))
    return folder


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("deep", [False, True])
def test_a_name_that_must_not_be_is_refused(work: Path, name: str, deep: bool) -> None:
    blob = _git(work, "hash-object", "-w", "--stdin", stdin=b"[core]\n\tfsmonitor = touch /tmp/pwned\n")
    tree = _raw_tree(work, [("100644", name, blob)])
    if deep:
        tree = _raw_tree(work, [("40000", "folder", _raw_tree(work, [("40000", "deeper", tree)]))])
    evil = _commit_tree(work, tree)
    before = {path: path.read_bytes() for path in (work / ".mvc").glob("*") if path.is_file()}
    assert forked.run(["checkout", evil], work) in (5, 6), forked.output()
    assert "Traceback" not in forked.output()
    assert fsck(Repository.discover(work)).findings
    assert before == {path: path.read_bytes() for path in (work / ".mvc").glob("*") if path.is_file()}
    assert sorted(path.name for path in work.iterdir()) == [".mvc", "a.txt"]


@pytest.mark.parametrize("place", ["/abs", "a//b", "a/../b"])
def test_a_name_with_slashes_is_refused(work: Path, place: str) -> None:
    blob = _git(work, "hash-object", "-w", "--stdin", stdin=b"x")
    evil = _commit_tree(work, _raw_tree(work, [("100644", place, blob)]))
    assert forked.run(["checkout", evil], work) in (5, 6), forked.output()
    assert fsck(Repository.discover(work)).findings


def test_metadata_elsewhere_than_at_the_root_is_refused(work: Path) -> None:
    blob = _git(work, "hash-object", "-w", "--stdin", stdin=b"lr: 1\n")
    inner = _raw_tree(work, [("40000", ".mvcmeta", _raw_tree(work, [("100644", "params.yaml", blob)]))])
    evil = _commit_tree(work, _raw_tree(work, [("40000", "folder", inner)]))
    assert forked.run(["checkout", evil], work) in (5, 6), forked.output()
    assert fsck(Repository.discover(work)).findings


def test_a_link_that_leads_outside_then_a_file_through_it(work: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = _git(work, "hash-object", "-w", "--stdin", stdin=os.fsencode(outside))
    blob = _git(work, "hash-object", "-w", "--stdin", stdin=b"owned\n")
    link = _raw_tree(work, [("120000", "way", target)])
    through = _raw_tree(work, [("40000", "way", _raw_tree(work, [("100644", "file", blob)]))])
    first, second = _commit_tree(work, link), _commit_tree(work, through)
    assert forked.run(["checkout", first], work) == 0, forked.output()
    assert forked.run(["checkout", second], work) == 0, forked.output()
    assert not list(outside.iterdir())
    assert (work / "way").is_dir() and not (work / "way").is_symlink()
    # Both names in one tree, which no tree may hold.
    both = _raw_tree(work, [("120000", "way", target), ("40000", "way", _raw_tree(work, [("100644", "file", blob)]))])
    assert forked.run(["checkout", _commit_tree(work, both)], work) in (5, 6), forked.output()
    assert not list(outside.iterdir())


def test_a_link_that_the_user_put_in_the_way_is_not_followed(work: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    repo = mvc.Repo.open(work)
    (work / "folder").mkdir()
    (work / "folder/file").write_text("x\n")
    repo.add(["folder"])
    repo.commit("two", author=mvc.Signature("A", "a@x", 1_700_000_001))
    repo.checkout("HEAD~1")
    (work / "folder").symlink_to(outside)
    with pytest.raises(MvcError):
        repo.checkout("main")
    assert not list(outside.iterdir())
