"""Reading an outer Git project's index, held against `git ls-files`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.errors import IntegrityError
from mvc.objects.outergit import git_branch, git_tracked
from tests.repo.making import git

NAMES = [
    "a.txt",
    "a/b/c",
    "a/b/d",
    "sub/x",
    "sub/é",
    "sub/" + "n" * 200,
    "/".join(c * 250 for c in "zyxwvutsrqponmlkj"),
]
"""The last one's length does not fit the twelve bits that the index has for it."""


def fill(project: Path) -> None:
    blob = git(project, "hash-object", "-w", "/dev/null").decode().strip()
    for name in [os.fsencode(name) for name in NAMES]:
        git(project, "update-index", "--add", "--cacheinfo", f"100644,{blob},{os.fsdecode(name)}")


def listed(project: Path) -> set[str]:
    return {name.decode() for name in git(project, "ls-files", "-z").split(b"\0") if name}


@pytest.mark.parametrize("version", ["2", "3", "4"])
@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_every_version_of_the_index(tmp_path: Path, version: str, object_format: str) -> None:
    git(tmp_path, "init", "-q", f"--object-format={object_format}")
    fill(tmp_path)
    if version == "3":
        (tmp_path / "later").write_bytes(b"x")
        git(tmp_path, "add", "-N", "later")
    git(tmp_path, "update-index", "--index-version", version)
    if version != "3":
        assert (tmp_path / ".git" / "index").read_bytes()[7] == int(version)
    found = git_tracked(tmp_path)
    assert found.files == listed(tmp_path)
    assert git_tracked(tmp_path, "sub").files == {name[4:] for name in NAMES if name.startswith("sub/")}
    assert found.holds("a/b/c") and not found.holds("a/b") and not found.holds("new")


@pytest.mark.parametrize("kind", ["split", "sparse"])
def test_what_is_left_to_git(tmp_path: Path, kind: str) -> None:
    git(tmp_path, "init", "-q")
    for path in ("a/one", "b/two", "top"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "m")
    if kind == "split":
        git(tmp_path, "update-index", "--split-index")
        (tmp_path / "more").write_bytes(b"")
        git(tmp_path, "add", "more")
    else:
        git(tmp_path, "sparse-checkout", "set", "--cone", "--sparse-index", "a")
    assert git_tracked(tmp_path).files == listed(tmp_path)


def test_submodules_are_not_entered(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "m")
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "-q")
    git(project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "libs/other")
    found = git_tracked(project)
    assert found.submodules == {"libs/other"}
    assert found.holds("libs/other/any/file")
    assert not found.holds("libs/another")


def test_linked_worktrees_and_branches(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "-q", "-b", "trunk")
    assert git_branch(project) == "trunk"
    assert git_tracked(project).files == frozenset()
    (project / "a").write_bytes(b"")
    git(project, "add", "a")
    git(project, "commit", "-q", "-m", "m")
    git(project, "worktree", "add", "-q", "-b", "side/way", str(tmp_path / "linked"))
    assert git_branch(tmp_path / "linked") == "side/way"
    assert git_tracked(tmp_path / "linked").files == {"a"}
    git(project, "checkout", "-q", "--detach")
    assert git_branch(project) is None


@given(st.binary(max_size=400), st.sampled_from([b"", b"DIRC\0\0\0\2\0\0\0\1", b"DIRC\0\0\0\4\0\0\0\xff"]))
def test_an_index_that_lies_is_an_error_and_no_more(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, start: bytes
) -> None:
    project = tmp_path_factory.getbasetemp() / "lies"
    (project / ".git").mkdir(parents=True, exist_ok=True)
    (project / ".git" / "index").write_bytes(start + data)
    with suppress(IntegrityError):
        git_tracked(project)


def version_4(*names: tuple[bytes, bytes]) -> bytes:
    """An index; a name is how much of the one before is cut off (as Git encodes it), and what comes behind."""
    entry = bytes(24) + b"\0\0\x81\xa4" + bytes(12 + 20) + b"\0\0"
    body = b"".join(entry + strip + rest + b"\0" for strip, rest in names)
    return b"DIRC" + (4).to_bytes(4) + len(names).to_bytes(4) + body + bytes(20)


@pytest.mark.parametrize(
    ("names", "fits"),
    [
        ([(b"\0", b"a/b"), (b"\1", b"c"), (b"\3", b"d")], True),
        ([(b"\0", b"n" * 4000), *[(b"\0", b"x")] * 2000], True),
        ([(b"\0", b"n" * 1_000_000), *[(b"\0", b"x")] * 100], False),
        ([(b"\0", b"a"), (b"\2", b"b")], False),
        ([(b"\0", b"a"), (b"\xff" * 100_000 + b"\0", b"b")], False),
    ],
)
def test_names_that_grow_are_bounded(tmp_path: Path, names: list[tuple[bytes, bytes]], fits: bool) -> None:
    """Version 4 tells a name by the one before it: a million bytes, and each entry a copy of them."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_bytes(version_4(*names))
    if fits:
        assert len(git_tracked(tmp_path).files) == len(names)
    else:
        with pytest.raises(IntegrityError):
            git_tracked(tmp_path)
