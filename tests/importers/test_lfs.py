"""`mvc import git-lfs`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvc.errors import IntegrityError, NotFound, Refused
from mvc.importers.lfs import LfsSource
from mvc.objects import trees
from mvc.objects.model import LINK
from tests.importers.importing import Target
from tests.importers.making import LFS, LfsProject, git, noise, put, sha256


@pytest.fixture
def project(tmp_path: Path) -> LfsProject:
    return LfsProject(tmp_path / "project")


def test_history_comes_with_contents(project: LfsProject, target: Target) -> None:
    project.add("dir/w.bin", noise(1))
    put(project.path / "tokenizer.json", noise(2).hex())  # large, and in Git itself
    (project.path / "link").symlink_to("dir/w.bin")
    one = project.commit("one")
    git(project.path, "tag", "light")
    project.add("dir/w.bin", noise(3))
    two = project.commit("two")
    done = target.take(LfsSource(project.path))
    assert done.new == 2
    assert target.commit("main").parents == (done.commits[one],)
    assert target.commit("light").id == done.commits[one]
    assert target.files("main") == {
        ".gitattributes": b"*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "dir/w.bin": noise(3),
        "link": b"dir/w.bin",
        "tokenizer.json": noise(2).hex().encode(),
    }
    assert target.files("main~1")["dir/w.bin"] == noise(1)
    assert trees.flatten(target.repo.objects, target.commit("main").tree)["link"].mode == LINK
    assert target.known("main").environment == {"code.commit": two}
    assert target.take(LfsSource(project.path)).new == 0
    target.check()


def test_only_models(project: LfsProject, target: Target) -> None:
    project.add("w.bin", noise(1))
    put(project.path / "a.py", "1")
    project.commit("one")
    target.take(LfsSource(project.path, models_only=True))
    assert list(target.files("main")) == ["w.bin"]


@pytest.mark.parametrize("by", ["remote", "config", "lfsconfig"])
def test_objects_of_a_remote_on_this_machine(project: LfsProject, target: Target, tmp_path: Path, by: str) -> None:
    project.add("w.bin", noise(1))
    if by == "lfsconfig":
        put(project.path / ".lfsconfig", "[lfs]\n\turl = ../server\n")
    project.commit("one")
    server = tmp_path / "server"
    (project.path / ".git/lfs").rename(tmp_path / "lfs")
    server.mkdir()
    (tmp_path / "lfs").rename(server / "lfs")
    if by == "remote":
        git(project.path, "remote", "add", "origin", f"file://{server}")
    elif by == "config":
        git(project.path, "config", "lfs.url", f"file://{server}")
    target.take(LfsSource(project.path))
    assert target.files("main")["w.bin"] == noise(1)


def test_missing_and_damaged(project: LfsProject, target: Target) -> None:
    digest = project.add("w.bin", noise(1))
    project.add("v.bin", noise(2))
    project.commit("one")
    place = project.path / ".git/lfs/objects" / digest[:2] / digest[2:4] / digest
    place.unlink()
    with pytest.raises(Refused, match=r"'w\.bin'"):
        target.take(LfsSource(project.path))
    put(place, noise(9))
    with pytest.raises(IntegrityError, match=r"'w\.bin' is damaged"):
        target.take(LfsSource(project.path))
    put(place, noise(1)[:-1])
    with pytest.raises(IntegrityError, match="holds 99999 bytes of it, not 100000"):
        target.take(LfsSource(project.path))
    place.unlink()
    place.symlink_to("/etc/hostname")
    with pytest.raises(IntegrityError):
        target.take(LfsSource(project.path))
    assert not target.repo.refs.list("refs/heads/")


def test_what_looks_like_a_pointer_and_is_none(project: LfsProject, target: Target) -> None:
    near = {
        "long": LFS.format("0" * 64, 5) + "x" * 2000,
        "hash": LFS.format("z" * 64, 5),
        "tail": LFS.format("0" * 64, 5) + "more\n",
        "negative": LFS.format("0" * 64, -5),
    }
    for name, text in near.items():
        put(project.path / name, text)
    project.commit("one")
    target.take(LfsSource(project.path))
    files = target.files("main")
    assert {name: files[name].decode() for name in near} == near


def test_empty_object_and_odd_names(project: LfsProject, target: Target) -> None:
    names = ["with space.bin", 'quo"te.bin', "übung.bin", "tab\there.bin"]
    for number, name in enumerate(names):
        project.add(name, noise(number))
    project.add("empty.bin", b"")
    project.commit("one")
    target.take(LfsSource(project.path))
    files = target.files("main")
    assert files["empty.bin"] == b""
    assert [sha256(files[name]) for name in names] == [sha256(noise(number)) for number in range(4)]


def test_branches_of_origin(project: LfsProject, target: Target, tmp_path: Path) -> None:
    project.add("w.bin", noise(1))
    project.commit("one")
    git(project.path, "branch", "other")
    git(tmp_path, "clone", "-q", str(project.path), "clone")
    done = target.take(LfsSource(tmp_path / "clone", remotes=True))
    assert {one.ref for one in done.refs} == {"refs/heads/main", "refs/heads/other"}


def test_a_branch_with_other_commits_stays(project: LfsProject, target: Target) -> None:
    project.add("w.bin", noise(1))
    project.commit("one")
    target.take(LfsSource(project.path))
    git(project.path, "commit", "--amend", "-q", "-m", "again", when=1_700_500_000)
    target.take(LfsSource(project.path))  # what an import made, an import may move
    assert target.commit("main").summary == "again"
    other = Target(target.path.parent / "other")
    tree = git(other.path / ".mvc", "mktree", "--missing")
    commit = git(other.path / ".mvc", "commit-tree", "-m", "own", tree)
    git(other.path / ".mvc", "update-ref", "refs/heads/main", commit)
    with pytest.raises(Refused, match="'main' is here already"):
        other.take(LfsSource(project.path))
    done = other.take(LfsSource(project.path), prefix="theirs")
    assert [one.ref for one in done.refs] == ["refs/heads/theirs/main"]


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        LfsSource(tmp_path)
