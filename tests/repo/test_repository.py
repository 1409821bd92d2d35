"""Finding a repository, linked worktrees, locks of the stage, state files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mvc.errors import Locked, NotARepository, NotFound, Refused, UnsupportedFormat, UsageError
from mvc.objects.config import ConfigFile
from mvc.repo import inprogress
from mvc.repo.create import init
from mvc.repo.filesystem import is_network, kind
from mvc.repo.inprogress import Operation
from mvc.repo.locking import edit_stage, lock_path, read_stage
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.stage import StageEntry
from mvc.repo.worktrees import add_worktree, all_git_dirs, checked_out, drop_worktree, find_worktree, list_worktrees
from tests.repo.making import commit_stage, git, stage_all, write


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return init(tmp_path / "work")[0]


@pytest.fixture
def top(repo: Repository) -> Path:
    return repo.require_worktree()


def entry(path: str) -> StageEntry:
    return StageEntry(path, 0o100644, "ab" * 20, 1)


# -- finding


def test_it_is_found_from_below(repo: Repository, top: Path) -> None:
    (top / "a" / "b").mkdir(parents=True)
    found = Repository.discover(top / "a" / "b")
    assert (found.worktree, found.git_dir, found.common_dir) == (top, top / ".mvc", top / ".mvc")
    assert Repository.discover(top / ".mvc" / "objects").git_dir == top / ".mvc"
    assert Repository.open(top / ".mvc").worktree == top
    assert Repository.open(top).stage_path == top / ".mvc" / "stage"


def test_the_nearest_is_taken(repo: Repository, top: Path) -> None:
    init(top / "inner")
    assert Repository.discover(top / "inner").worktree == top / "inner"
    (top / "inner" / ".mvc" / "HEAD").unlink()
    assert Repository.discover(top / "inner").worktree == top, "no repository without a HEAD"


def test_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotARepository):
        Repository.discover(tmp_path)
    with pytest.raises(NotARepository):
        Repository.open(tmp_path)
    (tmp_path / ".mvc").write_text("mvcdir: nowhere\n")
    with pytest.raises(NotARepository):
        Repository.open(tmp_path)


def test_a_bare_one(tmp_path: Path) -> None:
    repo, new = init(tmp_path / "bare", bare=True)
    assert new and repo.worktree is None
    assert Repository.discover(tmp_path / "bare" / "objects").git_dir == tmp_path / "bare"
    with pytest.raises(Refused, match="bare"):
        repo.require_worktree()


def test_a_newer_format_is_refused(repo: Repository, top: Path) -> None:
    config = ConfigFile(top / ".mvc" / "config")
    config.set("mvc.readonlyRequires", "something-new")
    config.save()
    reader = Repository.open(top)
    with pytest.raises(UnsupportedFormat, match="something-new"), edit_stage(reader):
        pass
    config.set("mvc.format", "2")
    config.save()
    with pytest.raises(UnsupportedFormat):
        Repository.open(top)


def test_paths_of_the_file_system_become_those_of_the_worktree(repo: Repository, top: Path, tmp_path: Path) -> None:
    assert repo.locate(top) == ""
    assert repo.locate(top / "a" / ".." / "b") == "b"
    assert repo.locate(top / os.fsdecode(b"\xff")) == "\udcff"
    (tmp_path / "way").symlink_to(top)
    assert repo.locate(tmp_path / "way" / "a") == "a"
    (top / "link").symlink_to(tmp_path)
    assert repo.locate(top / "link") == "link"
    for outside in (tmp_path, top.parent / "work2", Path("/")):
        with pytest.raises(UsageError):
            repo.locate(outside)


def test_git_reads_it(repo: Repository, top: Path) -> None:
    write(top, {"a": b"1"})
    stage_all(repo)
    commit = commit_stage(repo)
    assert git(top, "--git-dir=.mvc", "rev-parse", "main").decode().strip() == commit
    assert git(top, "--git-dir=.mvc", "fsck", "--strict") == b""


# -- linked worktrees


def test_a_linked_worktree_shares_all_but_its_head(repo: Repository, top: Path, tmp_path: Path) -> None:
    write(top, {"a": b"1"})
    stage_all(repo)
    first = commit_stage(repo)
    side = add_worktree(repo, tmp_path / "side", branch=None, commit=first)
    assert (side.worktree, side.common_dir) == (tmp_path / "side", top / ".mvc")
    assert side.git_dir == top / ".mvc" / "worktrees" / "side"
    assert side.refs.head().id == first and side.refs.head().branch is None
    again = Repository.discover(tmp_path / "side")
    assert again.git_dir == side.git_dir
    assert len(read_stage(again)) == 0
    write(tmp_path / "side", {"b": b"2"})
    assert scan(again, read_stage(again), untracked=Untracked.ALL).untracked == ("b",)
    stage_all(again)
    second = commit_stage(again)
    assert repo.refs.head().id == first and again.refs.head().id == second
    assert repo.objects.contains(second)
    assert lock_path(again) != lock_path(repo)
    assert all_git_dirs(again) == [top / ".mvc", side.git_dir]
    listed = git(top, "--git-dir=.mvc", "worktree", "list", "--porcelain").decode()
    assert f"HEAD {second}" in listed, "real git knows it, and keeps what it reaches"


def test_a_branch_is_on_one_worktree_at_most(repo: Repository, top: Path, tmp_path: Path) -> None:
    write(top, {"a": b"1"})
    stage_all(repo)
    first = commit_stage(repo)
    with pytest.raises(Refused, match="checked out"):
        add_worktree(repo, tmp_path / "side", branch="main", commit=first)
    add_worktree(repo, tmp_path / "side", branch="side", commit=first)
    assert checked_out(repo) == {"refs/heads/main": top, "refs/heads/side": tmp_path / "side"}
    with pytest.raises(Refused, match="not empty"):
        add_worktree(repo, top, branch=None, commit=first)


def test_worktrees_of_one_name_are_numbered_and_can_be_dropped(repo: Repository, top: Path, tmp_path: Path) -> None:
    commit = "ab" * 20
    for folder in ("one/side", "two/side", "three/.hid den"):
        add_worktree(repo, tmp_path / folder, branch=None, commit=commit)
    assert [linked.name for linked in list_worktrees(repo)] == ["hid-den", "side", "side1"]
    assert find_worktree(repo, str(tmp_path / "two" / "side")).name == "side1"
    linked = find_worktree(repo, "side")
    assert not linked.gone and linked.locked is None
    (linked.worktree / ".mvc").unlink()
    (linked.git_dir / "locked").write_text("on a stick\n")
    assert find_worktree(repo, "side").gone and find_worktree(repo, "side").locked == "on a stick"
    drop_worktree(repo, "side")
    assert [linked.name for linked in list_worktrees(repo)] == ["hid-den", "side1"]
    with pytest.raises(NotFound):
        drop_worktree(repo, "side")
    assert list(repo.tmp_dir.iterdir()) == []


# -- the lock of the stage


def test_the_stage_is_saved_only_if_it_changed_and_nothing_went_wrong(repo: Repository) -> None:
    with edit_stage(repo):
        pass
    assert not repo.stage_path.exists()
    with pytest.raises(KeyError), edit_stage(repo) as stage:
        stage.put(entry("a"))
        raise KeyError
    assert not repo.stage_path.exists()
    with edit_stage(repo) as stage:
        stage.put(entry("a"))
    assert read_stage(repo).paths() == ["a"]
    assert list(repo.locks_dir.iterdir()) == []


def test_one_at_a_time(repo: Repository) -> None:
    with edit_stage(repo, what="rebase"), pytest.raises(Locked, match="rebase"), edit_stage(repo):
        pass


# -- unfinished operations


def test_state_files(repo: Repository) -> None:
    assert inprogress.current(repo) is None
    merge = "cd" * 20
    inprogress.write(repo, {"MERGE_MSG": "text\nmore\n\n", "MERGE_HEAD": f"{merge}\n", "ORIG_HEAD": f"{'ef' * 20}\n"})
    found = inprogress.current(repo)
    assert found is not None and (found.operation, found.head) == (Operation.MERGE, merge)
    assert inprogress.read(repo, "MERGE_MSG") == "text\nmore"
    assert sorted(inprogress.state_objects(repo)) == [merge, "ef" * 20]
    inprogress.clear(repo, "MERGE_HEAD", "MERGE_MSG", "never there")
    assert inprogress.current(repo) is None
    inprogress.write(repo, {"CHERRY_PICK_HEAD": merge})
    assert inprogress.current(repo).operation is Operation.CHERRY_PICK  # type: ignore[union-attr]


def test_a_rebase_is_a_folder_of_state(repo: Repository) -> None:
    onto, at = "12" * 20, "34" * 20
    files = {
        "head-name": "refs/heads/tune",
        "onto": onto,
        "msgnum": "2",
        "end": "5",
        "stopped-sha": at,
        "done": f"pick {at}",
    }
    inprogress.write(repo, {f"rebase-merge/{name}": text for name, text in files.items()})
    found = inprogress.current(repo)
    assert found is not None
    assert (found.operation, found.head, found.detail) == (Operation.REBASE, at, "tune, 2 of 5")
    assert set(inprogress.state_objects(repo)) == {onto, at}
    inprogress.clear(repo, "rebase-merge")
    assert inprogress.current(repo) is None
    assert not (repo.git_dir / "rebase-merge").exists()


def test_a_bisect_shows_only_if_nothing_else_is_unfinished(repo: Repository) -> None:
    inprogress.write(repo, {"BISECT_START": "main"})
    assert inprogress.current(repo).operation is Operation.BISECT  # type: ignore[union-attr]
    inprogress.write(repo, {"REVERT_HEAD": "56" * 20})
    assert inprogress.current(repo).operation is Operation.REVERT  # type: ignore[union-attr]


# -- file systems


def test_network_file_systems_are_known(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"22 21 0:40 / {tmp_path}/mounted\\040here rw,relatime shared:1 - nfs4 server:/x rw\n"
        f"23 21 0:41 / {tmp_path}/other rw - fuse.sshfs host: rw\n"
        "broken line\n"
    )
    assert kind(tmp_path, mounts) == "ext4"
    assert kind(tmp_path / "mounted here" / "deep", mounts) == "nfs4"
    assert is_network(tmp_path / "mounted here", mounts)
    assert is_network(tmp_path / "other", mounts)
    assert not is_network(tmp_path / "others", mounts)
    assert not is_network(tmp_path, tmp_path / "no such table")
