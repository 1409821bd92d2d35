"""What a long `log` remembers (`.mvc/metadata-cache`): whatever becomes of it, `log` says what the commits say."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from hashlib import sha1
from pathlib import Path

import pytest

from mvc.metadata.model import CommitMetadata
from mvc.metadata.tree import write_tree
from mvc.objects.model import TREE, Signature, TreeEntry
from mvc.objects.refs import RefChange
from mvc.repo.create import init
from mvc.repo.repository import Repository
from tests import forked

COMMITS = 400
HEAD = len(b"mvc metadata 1 ") + 40 + 1


def _make(work: Path) -> Path:
    """A repository with a long history; returns where its cache is to be."""
    work.mkdir()
    repo, _ = init(work, initial_branch="main")
    parents: tuple[str, ...] = ()
    with repo.objects.batch() as batch:
        for number in range(COMMITS):
            who = Signature("A", "a@x", 1_700_000_000 + 60 * number)
            given = CommitMetadata(params={"lr": 1e-5, "seed": number}, metrics={"loss": 1 / (1 + number)})
            folder = write_tree(batch, given)
            assert folder is not None
            tree = batch.tree([TreeEntry(".mvcmeta", TREE, folder)], root=True)
            parents = (batch.commit(tree, parents, who, who, f"step {number}\n"),)
        batch.seal()
    repo.refs.update([RefChange("refs/heads/main", None, parents[0])], message="made", author=who)
    return repo.common_dir / "metadata-cache"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Worktree, cache, and what `log` says without one."""
    work = tmp_path_factory.mktemp("cache") / "work"
    cache = _make(work)
    said = _log(work)
    assert said.count("seed=") == COMMITS and f"loss={1 / 7!r}" in said and cache.exists()
    return work, cache, said


def _log(work: Path, *arguments: str) -> str:
    assert forked.run(["log", *arguments], work) == 0, forked.output()
    return forked.output()


def _leftovers(cache: Path) -> list[str]:
    return [name for name in os.listdir(cache.parent / "tmp") if name.startswith("tmp-")]


def _sealed(body: bytes, version: int = 1) -> bytes:
    return b"mvc metadata %d " % version + sha1(body).hexdigest().encode() + b"\n" + body


def test_log_with_it_says_the_same(made: tuple[Path, Path, str]) -> None:
    work, cache, said = made
    before = cache.read_bytes()
    assert before.count(b"\n") > COMMITS // 2
    assert _log(work) == said
    assert cache.read_bytes() == before  # nothing was new
    assert _log(work, "--reverse").count("seed=") == COMMITS
    assert said.startswith(_log(work, "-n", "5").rstrip("\n"))


def test_a_file_that_is_damaged_is_as_none(made: tuple[Path, Path, str]) -> None:
    work, cache, said = made
    whole = cache.read_bytes()
    for at in (0, 14, 20, HEAD - 1, HEAD, HEAD + 3, HEAD + 60, len(whole) // 2, len(whole) - 1):
        cache.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert _log(work) == said, at
        assert cache.read_bytes() == whole  # it is made anew
        cache.write_bytes(whole[:at])
        assert _log(work) == said, at
    cache.write_bytes(whole)


@pytest.mark.parametrize(
    "what",
    [
        b'{"lr":9}',
        b"[{},{},{}]",
        b"[[],[]]",
        b"null",
        b"[{},{}] ",
        b"",
        b"[" * 100_000,
        b"\xff\xfe",
        b"[{}," + b"9" * 5000,
    ],
)
def test_lines_that_are_none_are_read_again(made: tuple[Path, Path, str], what: bytes) -> None:
    """The checksum fits, the lines make no sense: another program's."""
    work, cache, said = made
    whole = cache.read_bytes()
    trees = [line[:40] for line in whole[HEAD:].splitlines()]
    cache.write_bytes(_sealed(b"".join(b"%s %s\n" % (tree, what) for tree in trees)))
    assert _log(work) == said
    cache.write_bytes(_sealed(what))
    assert _log(work) == said
    cache.write_bytes(whole)
    assert _log(work) == said


def test_one_of_a_newer_mvc_is_as_none(made: tuple[Path, Path, str]) -> None:
    work, cache, said = made
    whole = cache.read_bytes()
    cache.write_bytes(_sealed(b"anything at all", version=2))
    assert _log(work) == said
    assert cache.read_bytes() == whole


@pytest.mark.parametrize("kind", ["folder", "full folder", "link to nothing", "unreadable"])
def test_something_else_in_its_place(made: tuple[Path, Path, str], kind: str) -> None:
    work, cache, said = made
    whole = cache.read_bytes()
    cache.unlink()
    if kind == "link to nothing":
        cache.symlink_to("nowhere")
    elif kind == "unreadable":
        cache.touch(mode=0)
    else:
        cache.mkdir()
        if kind == "full folder":
            (cache / "file").touch()
    try:
        assert _log(work) == said
        assert not _leftovers(cache)
    finally:
        if cache.is_dir():
            for inside in cache.iterdir():
                inside.unlink()
            cache.rmdir()
        else:
            cache.unlink()
        cache.write_bytes(whole)


def test_killed_while_it_is_written(made: tuple[Path, Path, str]) -> None:
    work, cache, said = made
    whole = cache.read_bytes()
    cache.unlink()
    steps: list[str] = []
    for number in range(1, 20):
        if _killed_at(number, work):
            assert not cache.exists() or cache.read_bytes() == whole
            assert _log(work) == said and cache.read_bytes() == whole
            cache.unlink()
            steps.append(str(number))
        else:
            break
    assert len(steps) >= 3  # create, write, rename
    cache.write_bytes(whole)


def _killed_at(number: int, work: Path) -> bool:
    seen = 0

    def hook(_operation: str, _path: str) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), 9)

    return forked.run(["log"], work, hook) == forked.KILLED


def test_a_full_disk_and_a_read_only_one(small_disk: Path) -> None:
    work = small_disk / "work"
    cache = _make(work)
    with suppress(OSError), open(small_disk / "ballast", "wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))
    said = _log(work)
    assert said.count("seed=") == COMMITS and not cache.exists() and not _leftovers(cache)
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert _log(work) == said and not cache.exists()
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    assert _log(work) == said and cache.exists()
    whole = cache.read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert _log(work) == said and cache.read_bytes() == whole
    assert Repository.discover(work).refs.head().id is not None
