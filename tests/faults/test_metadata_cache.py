"""What a long `log` remembers (`.mvc/metadata-cache`): whatever becomes of it, `log` says what the commits say."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from hashlib import sha1
from pathlib import Path

import pytest

from mvc.metadata.model import CommitMetadata
from mvc.metadata.remembered import RememberingReader
from mvc.metadata.tree import METRICS, PARAMS, MetadataReader, read_metadata, write_tree
from mvc.objects.model import TREE, Signature, TreeEntry
from mvc.objects.refs import RefChange
from mvc.objects.walk import Selection, walk
from mvc.ops.caller import Caller
from mvc.ops.commit_files import CommitFilesOptions, commit_files
from mvc.repo.create import init
from mvc.repo.repository import Repository
from tests import forked

COMMITS = 400
HEAD = b"mvc metadata 2\n"


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


def _sealed(said: bytes) -> bytes:
    """A line with the checksum that fits it."""
    return said + b" " + sha1(said).hexdigest()[:16].encode() + b"\n"


def test_log_with_it_says_the_same(made: tuple[Path, Path, str]) -> None:
    work, cache, said = made
    before = cache.read_bytes()
    assert before.startswith(HEAD) and before.count(b"\n") > COMMITS // 2
    assert _log(work) == said
    assert cache.read_bytes() == before  # nothing was new
    assert _log(work, "--reverse").count("seed=") == COMMITS
    assert said.startswith(_log(work, "-n", "5").rstrip("\n"))


def test_a_file_that_is_damaged_is_not_believed(made: tuple[Path, Path, str]) -> None:
    work, cache, said = made
    whole = cache.read_bytes()
    end = len(whole)
    value = whole.index(b"loss=") + 5  # of what is shown
    for at in (0, 14, 15 + 3, value, end - 3, end - 1):
        cache.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert _log(work) == said, at
    assert _log(work) == said  # nor is what the last one left
    for at in (0, 10, value, end - 1):
        cache.write_bytes(whole[:at])
        assert _log(work) == said, at
    # A line that does not fit is replaced.
    cache.write_bytes(whole[:value] + b"7" + whole[value + 1 :])
    assert _log(work) == said and cache.read_bytes() == whole


NONSENSE = [
    b"[{},{}]",
    b"",
    b"\xff\xfe",
    b"lr=9",
    b"lr=9\x1floss=9\x1f{}",
]


@pytest.mark.parametrize("what", NONSENSE)
def test_lines_that_are_none_are_read_again(made: tuple[Path, Path, str], what: bytes) -> None:
    """The checksum fits, the lines make no sense: another program's."""
    work, cache, said = made
    whole = cache.read_bytes()
    trees = [line[:40] for line in whole[len(HEAD) :].splitlines()]
    cache.write_bytes(HEAD + b"".join(_sealed(b"%s %s" % (tree, what)) for tree in trees))
    assert _log(work) == said
    cache.write_bytes(HEAD + _sealed(what))
    assert _log(work) == said
    assert cache.read_bytes().startswith(HEAD)
    cache.write_bytes(whole)


@pytest.mark.parametrize("values", [b"null", b"", b"[" * 100_000, b"9" * 5000, b"{}{}"])
def test_values_that_are_none_are_read_again(made: tuple[Path, Path, str], values: bytes) -> None:
    work, cache, said = made
    whole = cache.read_bytes()
    trees = [line[:40] for line in whole[len(HEAD) :].splitlines()]
    # Without words that can be shown, the values are asked for.
    lines = [_sealed(b"%s \x1e%s\x1f\x1e%s" % (tree, values, values)) for tree in trees[-3:]]
    cache.write_bytes(whole + b"".join(lines))
    assert _log(work) == said
    cache.write_bytes(whole)


@pytest.mark.parametrize("head", [b"mvc metadata 3\n", b"mvc metadata 1 ", b"mvc metadata 2 ", b"", b"\n"])
def test_one_of_another_version_is_as_none(made: tuple[Path, Path, str], head: bytes) -> None:
    work, cache, said = made
    whole = cache.read_bytes()
    cache.write_bytes(head + whole[len(HEAD) :].replace(b"loss=0", b"loss=9"))
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


def test_who_commits_leaves_nothing_to_read_for_log(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    assert forked.run(["init"], work) == 0
    cache = work / ".mvc" / "metadata-cache"
    for number in range(3):
        (work / "a").write_text(str(number))
        assert forked.run(["add", "a"], work) == 0
        metadata = ["--param", f"seed={number}", "--metric", "loss=0.5", "--param", "note=two words"]
        assert forked.run(["commit", "-m", "x", *metadata], work) == 0, forked.output()
        assert cache.read_bytes().count(b"seed=%d\x1floss=0.5" % number) == 1
    before = cache.read_bytes()
    said = _log(work)
    cache.unlink()
    assert _log(work) == said and said.count("note='two words'") + said.count("note=two words") == 3
    assert not cache.exists()  # a short log is quick without
    cache.write_bytes(before)
    repo = Repository.discover(work)
    reader = RememberingReader(MetadataReader(repo.objects, (PARAMS, METRICS)), cache)
    for commit in walk(repo.objects, Selection(include=(repo.refs.head().id or "",))):
        assert reader.read(commit.tree) == read_metadata(repo.objects, commit.tree, files=(PARAMS, METRICS))
    assert reader.fresh == 0


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "read-only", "newer"])
def test_a_commit_does_without(tmp_path: Path, kind: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    assert forked.run(["init"], work) == 0
    cache, other = work / ".mvc" / "metadata-cache", tmp_path / "other"
    other.write_bytes(HEAD)
    if kind == "folder":
        cache.mkdir()
    elif kind == "link":
        cache.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(cache)
    elif kind == "newer":
        cache.write_bytes(b"mvc metadata 3\n")
    else:
        cache.touch(mode=0o400)
    (work / "a").write_text("a")
    assert forked.run(["add", "a"], work) == 0
    assert forked.run(["commit", "-m", "x", "--metric", "loss=0.5"], work) == 0, forked.output()
    assert "Traceback" not in forked.output() and "metadata-cache" not in forked.output()
    assert "loss=0.5" in _log(work)
    assert other.read_bytes() == HEAD
    assert kind != "newer" or cache.read_bytes() == b"mvc metadata 3\n"


def test_many_commit_at_once(tmp_path: Path) -> None:
    """Whichever comes first, every line stands by itself, and says what the objects say."""
    work = tmp_path / "work"
    work.mkdir()
    repo, _ = init(work, initial_branch="main")
    (tmp_path / "file").write_text("a")
    children = []
    for child in range(3):
        pid = os.fork()
        if not pid:
            code = 1
            with suppress(BaseException):
                _commit_some(work, tmp_path / "file", child)
                code = 0
            os._exit(code)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    cache = repo.common_dir / "metadata-cache"
    reader = RememberingReader(MetadataReader(repo.objects, (PARAMS, METRICS)), cache)
    for child in range(3):
        tip = repo.refs.read(f"refs/heads/b{child}")
        assert tip is not None
        commits = list(walk(repo.objects, Selection(include=(tip,))))
        assert len(commits) == 8
        for commit in commits:
            assert reader.read(commit.tree) == read_metadata(repo.objects, commit.tree, files=(PARAMS, METRICS))
    assert not reader.damaged
    assert not _leftovers(cache)


def _commit_some(work: Path, file: Path, child: int) -> None:
    who = Signature("A", "a@x", 1_700_000_000)
    for number in range(8):
        metadata = CommitMetadata(params={"child": child, "text": "x" * 500 * number}, metrics={"loss": number / 3})
        options = CommitFilesOptions(metadata=metadata, allow_empty=True)
        commit_files(Repository.discover(work), f"b{child}", {f"{number}": file}, "x", options, caller=Caller(who))
