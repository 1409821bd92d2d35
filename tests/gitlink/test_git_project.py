"""mvc inside of a Git project, with real git around it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mvc.errors import MvcError, ParseError, Refused, UnsafePath, UnsupportedFormat
from mvc.gitlink.branches import branches, follow, refuse_detached
from mvc.gitlink.ignorefile import BEGIN, ignore_lines, update_ignore_file, with_block
from mvc.gitlink.lockfile import Lock, LockedFile, differing, dump, parse, read_lock, update_lock, without_credentials
from mvc.objects.model import EXEC, FILE, LINK
from mvc.objects.outergit import GitTracked
from mvc.ops.init import init
from mvc.repo.locking import edit_stage, read_stage
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.stage import StageEntry
from tests.ops.world import World
from tests.repo.making import WHO, commit_stage, git, stage_all, stage_file, write


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Git project with some code."""
    top = tmp_path / "project"
    top.mkdir()
    git(top, "init", "-q", "-b", "trunk")
    write(top, {"train.py": b"code", "src/a.py": b"code", ".gitignore": b"*.log\n"})
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "code")
    return top


@pytest.fixture
def repo(project: Path) -> Repository:
    made = init(project)
    assert made.git_project == project
    assert made.ignore_file_changed
    return made.repo


def untracked(repo: Repository, mode: Untracked = Untracked.ALL) -> tuple[str, ...]:
    return scan(repo, read_stage(repo), untracked=mode).untracked


def test_the_first_branch_is_gits(repo: Repository) -> None:
    assert repo.refs.head().short == "trunk"


def test_git_sees_nothing_of_mvc_but_its_ignore_file(project: Path, repo: Repository) -> None:
    assert git(project, "status", "--porcelain").decode() == " M .gitignore\n"
    assert (project / ".gitignore").read_bytes().startswith(b"*.log\n")
    git(project, "add", "-A")
    assert git(project, "diff", "--cached", "--name-only").decode() == ".gitignore\n"


def test_what_git_tracks_is_not_there_for_mvc(project: Path, repo: Repository) -> None:
    write(project, {"model.bin": b"weights", "src/model.bin": b"weights", "new.py": b"not yet Git's", "mvc.lock": b""})
    assert untracked(repo) == ("model.bin", "new.py", "src/model.bin")
    assert untracked(repo, Untracked.NORMAL) == ("model.bin", "new.py", "src/")
    git(project, "add", "new.py")
    assert untracked(repo) == ("model.bin", "src/model.bin")


def test_what_mvc_tracks_is_not_there_for_git(project: Path, repo: Repository) -> None:
    odd = ["model.bin", "src/model.bin", "sp ace/x ", "gl*b[1]?", "#hash", "!not", "back\\slash", "é/ü", "line\nend"]
    write(project, dict.fromkeys(odd, b"weights"))
    (project / os.fsdecode(b"\xff.bin")).write_bytes(b"weights")
    stage_all(repo)
    assert update_ignore_file(repo, read_stage(repo))
    assert git(project, "status", "--porcelain", "-uall").decode() == " M .gitignore\n"
    assert not update_ignore_file(repo, read_stage(repo)), "once is enough"
    for near in ("glob1x", "slash", "x", "sp ace/y", "backslash", "src/model.bin2"):
        write(project, {near: b""})
        assert near in git(project, "-c", "core.quotePath=false", "status", "--porcelain", "-uall").decode()
        (project / near).unlink()
    with edit_stage(repo) as stage:
        stage.remove("src/model.bin")
    update_ignore_file(repo, read_stage(repo))
    assert "?? src/model.bin" in git(project, "status", "--porcelain", "-uall").decode()


def test_the_users_lines_of_the_ignore_file_stay(project: Path, repo: Repository) -> None:
    path = project / ".gitignore"
    before = path.read_bytes()
    path.write_bytes(b"above\r\n" + before.replace(b"\n", b"\r\n") + b"below\r\nno end")
    write(project, {"m": b""})
    stage_all(repo)
    update_ignore_file(repo, read_stage(repo))
    after = path.read_bytes()
    assert after.startswith(b"above\r\n*.log\r\n") and after.endswith(b"below\r\nno end")
    assert b"/m\r\n" in after and b"\n" not in after.replace(b"\r\n", b"")


@given(st.binary(max_size=60), st.lists(st.sampled_from([b"/.mvc", b"/a", b"/b"]), max_size=3))
def test_the_block_is_replaced_in_place(text: bytes, lines: list[bytes]) -> None:
    assume(BEGIN not in text)
    once = with_block(text, [b"/old"])
    assert with_block(once, lines) == with_block(with_block(text, lines), lines)
    assert with_block(text, lines).count(BEGIN) == 1
    assert with_block(text, lines).startswith(text)


def test_many_files_stand_as_their_folder() -> None:
    many = [f"data/{number}" for number in range(1000)]
    assert ignore_lines(["a", *many], GitTracked()) == [b"/.mvc", b"/a", b"/data/"]
    mixed = ignore_lines(many, GitTracked(frozenset(("data/README",))))
    assert len(mixed) == 1001, "Git has files there too"
    assert ignore_lines(["a", "b"], GitTracked(frozenset(("a",)))) == [b"/.mvc", b"/b"]


def test_an_ignore_file_that_is_a_link_is_left(project: Path, repo: Repository, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"mine")
    (project / ".gitignore").unlink()
    (project / ".gitignore").symlink_to("../outside")
    assert not update_ignore_file(repo, read_stage(repo))
    assert (tmp_path / "outside").read_bytes() == b"mine"


@pytest.mark.parametrize("options", ["-fdx", "-fdX", "-fd"])
def test_git_clean_leaves_the_repository(project: Path, repo: Repository, options: str) -> None:
    write(project, {"model.bin": b"weights", "junk": b""})
    with edit_stage(repo) as stage:
        stage_file(repo, stage, "model.bin")
    commit = commit_stage(repo)
    update_ignore_file(repo, read_stage(repo))
    git(project, "clean", "-q", options)
    assert (project / "train.py").exists()
    again = Repository.discover(project)
    assert again.refs.head().id == commit
    assert again.objects.blob(read_stage(again).items()["model.bin"].id) == b"weights"
    inner = ("--git-dir", str(project / ".mvc"))
    assert git(project, *inner, "fsck", "--strict") == b""
    assert git(project, *inner, "log", "--format=%H").decode().split() == [commit]


def test_git_clean_before_anything_was_committed_to_gitignore(tmp_path: Path) -> None:
    top = tmp_path / "p"
    repo = init(top).repo
    git(top, "init", "-q")
    write(top, {"m": b""})
    stage_all(repo)
    git(top, "clean", "-q", "-fdx")
    assert read_stage(Repository.discover(top)).paths() == ["m"]
    git(top, "stash", "list")
    assert Repository.discover(top).git_project == top


def test_a_repository_in_a_folder_of_the_project(project: Path) -> None:
    repo = init(project / "src" / "models").repo
    assert repo.git_project == project
    write(project, {"src/models/model.bin": b"weights", "src/models/card.md": b"text"})
    git(project, "add", "src/models/card.md")
    assert untracked(repo) == ("model.bin",)
    stage_all(repo)
    update_ignore_file(repo, read_stage(repo))
    # The folder's own .gitignore
    assert (
        git(project, "status", "--porcelain", "-uall").decode() == "A  src/models/card.md\n?? src/models/.gitignore\n"
    )


def test_in_a_linked_worktree_of_git(project: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git(project, "worktree", "add", "-q", "-b", "side", str(linked))
    repo = init(linked).repo
    assert repo.refs.head().short == "side"
    write(linked, {"model.bin": b"weights"})
    assert untracked(repo) == ("model.bin",)
    stage_all(repo)
    update_ignore_file(repo, read_stage(repo))
    assert git(linked, "status", "--porcelain").decode() == " M .gitignore\n"


def test_a_submodule_is_gits(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    write(other, {"lib.bin": b""})
    git(other, "add", ".")
    git(other, "commit", "-q", "-m", "m")
    git(project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "libs/other")
    assert untracked(init(project).repo) == ()


def test_the_branch_follows_gits(project: Path, repo: Repository) -> None:
    assert follow(repo, WHO) is None
    write(project, {"m": b"1"})
    stage_all(repo)
    first = commit_stage(repo)
    git(project, "checkout", "-q", "-b", "feature/x")
    found = branches(repo)
    assert found is not None and found.apart
    assert follow(repo, WHO) == "feature/x"
    assert (repo.refs.head().short, repo.refs.head().id) == ("feature/x", first)
    assert repo.refs.read("refs/heads/trunk") == first
    write(project, {"m": b"22"})
    stage_all(repo)
    commit_stage(repo)
    git(project, "checkout", "-q", "trunk")
    with pytest.raises(Refused) as raised:
        follow(repo, WHO)
    assert raised.value.hint == "mvc switch trunk"
    assert repo.refs.head().short == "feature/x"
    with pytest.raises(Refused, match="trunk"):
        refuse_detached(repo)
    git(project, "checkout", "-q", "--detach")
    refuse_detached(repo)
    assert follow(repo, WHO) is None


def test_an_unborn_branch_follows_too(project: Path, repo: Repository) -> None:
    git(project, "checkout", "-q", "-b", "other")
    assert follow(repo, WHO) == "other"
    assert repo.refs.head().short == "other"
    assert repo.refs.head().id is None


def test_outside_of_git_there_is_nothing_to_follow(tmp_path: Path) -> None:
    repo = init(tmp_path / "alone").repo
    assert branches(repo) is None
    assert follow(repo, WHO) is None
    refuse_detached(repo)
    assert not update_lock(repo, read_stage(repo), "ab" * 20)
    assert not update_ignore_file(repo, read_stage(repo))
    assert not (tmp_path / "alone" / ".gitignore").exists()


def test_the_lock_tells_what_the_commit_holds(project: Path, repo: Repository) -> None:
    entries = [
        StageEntry("big.bin", FILE, "12" * 20, 1 << 40, bytes(range(32))),
        StageEntry("é\udcff\n", LINK, "34" * 20, 3),
        StageEntry("run", EXEC, "56" * 20, 5),
    ]
    with edit_stage(repo) as stage:
        stage.replace(entries)
    commit = "ab" * 20
    assert update_lock(repo, read_stage(repo), commit, remote="https://user:secret@host.example/team/x?a=1")
    assert not update_lock(repo, read_stage(repo), commit, remote="https://user:secret@host.example/team/x?a=1"), (
        "nothing new"
    )
    lock = read_lock(project)
    assert lock is not None
    assert lock.commit == commit
    assert lock.remote == "https://host.example/team/x?a=1"
    assert [(file.path, file.mode, file.size) for file in lock.files] == [
        (entry.path, entry.mode, entry.size)
        for entry in sorted(entries, key=lambda e: e.path.encode("utf-8", "surrogateescape"))
    ]
    assert b"secret" not in (project / "mvc.lock").read_bytes()
    assert differing(lock, read_stage(repo)) == []
    with edit_stage(repo) as stage:
        stage.remove("run")
    assert differing(lock, read_stage(repo)) == ["run"]
    assert "mvc.lock" not in untracked(repo)


@given(
    st.lists(
        st.builds(
            LockedFile,
            st.text(
                st.characters(blacklist_categories=("Cs",), blacklist_characters="\0/"), min_size=3, max_size=9
            ).map("f".__add__),
            st.sampled_from((FILE, EXEC, LINK)),
            st.integers(0, 2**63),
            st.one_of(
                st.binary(min_size=32, max_size=32).map(lambda raw: "blake3:" + raw.hex()), st.just("git:" + "0a" * 20)
            ),
        ),
        max_size=5,
    ),
    st.none() | st.text(max_size=20),
)
def test_a_lock_comes_back(files: list[LockedFile], remote: str | None) -> None:
    lock = Lock("cd" * 20, tuple(files), remote)
    with contextlib.suppress(UnsafePath):
        assert parse(dump(lock)) == lock


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_break_the_reader_of_locks(data: bytes, headed: bool) -> None:
    with contextlib.suppress(MvcError):
        parse((b"mvc-lock 1\ncommit " + b"ab" * 20 + b"\n" if headed else b"") + data)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("file 100644 1 git:" + "ab" * 20 + ' "../evil"', UnsafePath),
        ("file 100644 1 git:" + "ab" * 20 + ' ".git/config"', UnsafePath),
        ("file 100600 1 git:" + "ab" * 20 + ' "a"', ParseError),
        ("file 100644 -1 git:" + "ab" * 20 + ' "a"', ParseError),
        ("<<<<<<< HEAD", ParseError),
        ("remote nothing", ParseError),
    ],
)
def test_lines_that_a_lock_must_not_have(line: str, error: type[MvcError]) -> None:
    with pytest.raises(error):
        parse(f"mvc-lock 1\ncommit {'ab' * 20}\n{line}\n".encode())


def test_a_newer_lock_is_refused() -> None:
    with pytest.raises(UnsupportedFormat):
        parse(b"mvc-lock 2\n")


def test_urls_without_credentials() -> None:
    assert without_credentials("https://a:b@c/d") == "https://c/d"
    assert without_credentials("https://token@c:8080/d") == "https://c:8080/d"
    assert without_credentials("/a/b@c") == "/a/b@c"
    assert without_credentials("s3://bucket/key") == "s3://bucket/key"


def test_add_commit_switch_in_a_git_project(project: Path, repo: Repository) -> None:
    world = World(project, new=False)
    write(project, {"model.bin": b"weights", "data/card.md": b"text"})
    world.mvc("add", ".")
    assert git(project, "status", "--porcelain").decode() == " M .gitignore\n"
    world.mvc("commit", "-m", "first")
    lock = read_lock(project)
    assert lock is not None and lock.commit == Repository.discover(project).refs.head().id
    assert [file.path for file in lock.files] == ["data/card.md", "model.bin"]
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "with models")
    git(project, "checkout", "-q", "-b", "tuned")
    write(project, {"model.bin": b"tuned", "extra.bin": b"more"})
    world.mvc("add", "-A")
    world.mvc("commit", "-m", "tuned")
    assert Repository.discover(project).refs.head().short == "tuned"
    assert git(project, "status", "--porcelain").decode() == " M .gitignore\nM  mvc.lock\n"
    git(project, "commit", "-q", "-a", "-m", "tuned")
    git(project, "checkout", "-q", "trunk")
    world.mvc("switch", "trunk")
    assert (project / "model.bin").read_bytes() == b"weights"
    assert not (project / "extra.bin").exists()
    assert git(project, "status", "--porcelain") == b"", "the lock and the ignore file are those of trunk again"
