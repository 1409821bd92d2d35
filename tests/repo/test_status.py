"""Scan and status, held against real git on random worktrees; what git does not know apart."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.cli.porcelain import porcelain
from mvc.objects.model import FILE
from mvc.repo.create import init
from mvc.repo.locking import edit_stage, read_stage, refresh_stage
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository
from mvc.repo.scan import Scan, Untracked, is_equal, scan
from mvc.repo.stage import StageEntry, stat_of
from mvc.repo.status import Status, read_status
from tests.repo.making import commit_stage, git, stage_all, stage_file


def look(repo: Repository, **options: object) -> Status:
    return read_status(repo, read_stage(repo), **options)  # type: ignore[arg-type]


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return init(tmp_path / "work")[0]


@pytest.fixture
def top(repo: Repository) -> Path:
    return repo.require_worktree()


PATHS = [
    "a",
    "b",
    "é",
    "d/a",
    "d/b",
    "d/e/a",
    "d/e/f/a",
    "x y",
    "z/1",
    "z/2",
    "w.log",
    "d/w.log",
    "logs/one",
    "u/logs/two",
    "u/w.log",
]
CONTENTS = [b"", b"one\n", b"two\n", b"longer content\n"]
acts = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "remove", "link", "chmod", "folder", "stage", "stage all", "commit"]),
        st.sampled_from(PATHS),
        st.sampled_from(CONTENTS),
    ),
    max_size=14,
)


def act(folder: Path, verb: str, path: str, content: bytes) -> None:
    """Change a worktree."""
    target = folder / path
    if verb == "folder" or (verb in ("write", "link") and not target.parent.is_dir()):
        where = target if verb == "folder" else target.parent
        for step in [*reversed(where.parents), where]:
            if step.is_relative_to(folder) and step != folder and not step.is_dir():
                if step.is_symlink() or step.exists():
                    step.unlink()
                step.mkdir()
    if verb in ("write", "link"):
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        if verb == "write":
            target.write_bytes(content)
        else:
            target.symlink_to("d" if content else "nowhere")
    elif verb == "remove":
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
    elif verb == "chmod" and target.is_file() and not target.is_symlink():
        target.chmod(0o755 if content else 0o644)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("differential")


@settings(max_examples=40, deadline=None)
@given(history=acts, ignored=st.booleans(), untracked=st.sampled_from(["no", "normal", "all"]))
def test_the_status_is_gits(base: Path, history: list[tuple[str, str, bytes]], ignored: bool, untracked: str) -> None:
    top = base / f"{random.getrandbits(64):x}"
    repo = init(top)[0]
    git_dir = base / f"{top.name}.git"
    real = ("--git-dir", str(git_dir), "--work-tree", str(top))
    git(top, "init", "-q", "--bare", str(git_dir))
    for name in (".mvcignore", "exclude"):
        (top / name if name == ".mvcignore" else git_dir / "info" / name).write_text(
            "*.log\nlogs/\n.mvcignore\n/.mvc\n"
        )
    for verb, path, content in history:
        if verb == "stage" and os.path.lexists(top / path) and not (top / path).is_dir():
            if any(parent.is_symlink() for parent in (top / path).parents if parent.is_relative_to(top)):
                continue
            git(top, *real, "add", "-f", "--", f":(literal){path}")
            with edit_stage(repo) as stage:
                stage_file(repo, stage, path)
        elif verb == "stage all":
            git(top, *real, "add", "-A")
            stage_all(repo)
        elif verb == "commit":
            git(top, *real, "commit", "-q", "--allow-empty", "-m", "m")
            commit_stage(repo)
        else:
            act(top, verb, path, content)
    options = [f"--untracked-files={untracked}", *(["--ignored"] if ignored else [])]
    expected = git(top, *real, "-c", "status.renames=true", "status", "--porcelain", "-b", *options).decode()
    expected = expected.replace("## No commits yet on master", "## No commits yet on main").replace(
        "## master", "## main"
    )
    lines = [line for line in expected.splitlines() if line not in ("!! .mvcignore", "!! .mvc/")]
    # Git also finds renames among files that are only alike; here they have equal content or none at all.
    status = look(repo, untracked=Untracked(untracked), list_ignored=ignored)
    ours = [line for line in porcelain(status, zero=False, branch=True).splitlines() if line != "!! .mvcignore"]
    if any(line.startswith("R") for line in lines + ours):
        return  # which of several equal files was renamed is a matter of taste
    assert ours == lines
    again = look(repo, untracked=Untracked(untracked), list_ignored=ignored)
    assert again == status


def test_a_file_is_read_only_where_its_stat_differs(repo: Repository, top: Path) -> None:
    (top / "old").write_bytes(b"content")
    os.utime(top / "old", ns=(5, 5))
    stage_all(repo)
    with edit_stage(repo) as stage:
        stage.refresh("old", stat_of(os.lstat(top / "old")))
    later = os.lstat(top / "old").st_ctime_ns + 10**9
    stage = read_stage(repo)
    stage.refresh("old", stat_of(os.lstat(top / "old")))
    assert scan(repo, stage, clock=lambda: later) == Scan(refreshed={})

    os.utime(top / "old", ns=(7, 7))
    found = scan(repo, stage, clock=lambda: later)
    assert found.modified == ()
    assert found.refreshed == {"old": stat_of(os.lstat(top / "old"))}
    assert scan(repo, stage, check_content=False).modified == ("old",)
    (top / "old").write_bytes(b"CONTENT")
    os.utime(top / "old", ns=(5, 5))
    assert scan(repo, stage).modified == ("old",), "same size and mtime: the ctime tells"


def test_a_change_in_the_instant_of_staging_is_seen(repo: Repository, top: Path) -> None:
    for number in range(30):
        (top / "racy").write_bytes(b"one%d" % number)
        stage_all(repo)
        (top / "racy").write_bytes(b"two%d" % number)
        assert scan(repo, read_stage(repo)).modified == ("racy",)


def test_stats_are_refreshed_once(repo: Repository, top: Path) -> None:
    (top / "a").write_bytes(b"x")
    stage_all(repo)
    commit_stage(repo)
    os.utime(top / "a", ns=(5, 5))
    stage = read_stage(repo)
    stage.refresh("a", stat_of(os.lstat(top / "a"))._replace(mtime_ns=1, ctime_ns=1))
    stage.tree = None
    assert look(repo).clean
    stage = read_stage(repo)
    read_status(repo, stage)
    assert stage.tree is not None
    if stage.changed:
        assert refresh_stage(repo, stage)
    assert not refresh_stage(repo, read_stage(repo))


def test_refreshing_gives_way_to_others(repo: Repository, top: Path) -> None:
    (top / "a").write_bytes(b"x")
    stage_all(repo)
    mine = read_stage(repo)
    mine.tree = "ab" * 20
    with edit_stage(repo):
        assert not refresh_stage(repo, mine), "another holds the lock"
    with edit_stage(repo) as other:
        other.remove("a")
    assert not refresh_stage(repo, mine), "another changed the stage meanwhile"
    assert "a" not in read_stage(repo)


def test_a_folder_that_became_a_link_hides_its_files(repo: Repository, top: Path) -> None:
    (top / "d").mkdir()
    for name in ("a", "b"):
        (top / "d" / name).write_bytes(b"x")
    (top / "c").write_bytes(b"x")
    stage_all(repo)
    os.rename(top / "d", top.parent / "elsewhere")
    (top / "d").symlink_to(top.parent / "elsewhere")
    found = scan(repo, read_stage(repo))
    assert found.deleted == ("d/a", "d/b"), "though their stat through the link is unchanged"
    assert found.untracked == ("d",)


def test_odd_things(repo: Repository, top: Path) -> None:
    os.mkfifo(top / "pipe")
    (top / ".git").mkdir()
    (top / "sub").mkdir()
    (top / "sub" / ".mvcmeta").write_bytes(b"")
    (top / "sub" / "ok").write_bytes(b"")
    os.symlink("nowhere", top / "dangling")
    odd = b"line\nend \xff"
    (top / os.fsdecode(odd)).write_bytes(b"")
    found = scan(repo, read_stage(repo), untracked=Untracked.ALL)
    assert found.odd == ("pipe", "sub/.mvcmeta")
    assert found.untracked == ("dangling", odd.decode("utf-8", "surrogateescape"), "sub/ok")
    stage_all(repo)
    assert scan(repo, read_stage(repo)).clean


def test_another_repository_inside_is_left_alone(repo: Repository, top: Path) -> None:
    inner = init(top / "inner")[0]
    (inner.require_worktree() / "file").write_bytes(b"")
    (top / "cloned" / ".git").mkdir(parents=True)
    (top / "cloned" / "weights").write_bytes(b"")
    found = scan(repo, read_stage(repo), untracked=Untracked.ALL)
    assert found.untracked == ("cloned/weights",)


def test_a_pathspec_bounds_the_walk(repo: Repository, top: Path) -> None:
    for path in ("a/b/c", "a/x", "d/e", "top"):
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(b"1")
    stage_all(repo)
    for path in ("a/b/c", "a/x", "d/e", "top"):
        (top / path).write_bytes(b"22")
        (top / (path + ".new")).write_bytes(b"")

    def found(*specs: str, untracked: Untracked = Untracked.NORMAL) -> tuple[tuple[str, ...], tuple[str, ...]]:
        result = scan(repo, read_stage(repo), Pathspec.parse(specs), untracked=untracked)
        return result.modified, result.untracked

    assert found("a") == (("a/b/c", "a/x"), ("a/b/c.new", "a/x.new"))
    assert found("a/b", "top") == (("a/b/c", "top"), ("a/b/c.new",))
    assert found("*.new") == ((), ("a/b/c.new", "a/x.new", "d/e.new", "top.new"))
    assert found(":!a", ":!top*") == (("d/e",), ("d/e.new",))
    assert found("nowhere") == ((), ())


def test_conflicts_have_gits_codes(repo: Repository, top: Path) -> None:
    (top / "both").write_bytes(b"x")
    stage_all(repo)
    commit_stage(repo)
    entry = read_stage(repo).get("both")
    assert entry is not None
    with edit_stage(repo) as stage:
        stage.put_conflict("both", [entry._replace(conflict=n) for n in (1, 2, 3)])
        stage.put_conflict("mine", [entry._replace(conflict=2)])
    status = look(repo)
    assert [(conflict.path, conflict.code) for conflict in status.conflicts] == [("both", "UU"), ("mine", "AU")]
    assert status.staged == status.unstaged == ()
    assert not status.clean
    assert porcelain(status, zero=False, branch=False) == "UU both\nAU mine\n"


def test_renames_are_told_by_content(repo: Repository, top: Path) -> None:
    for path in ("one/model", "two"):
        (top / path).parent.mkdir(exist_ok=True)
        (top / path).write_bytes(b"weights")
    (top / "three").write_bytes(b"others")
    stage_all(repo)
    commit_stage(repo)
    (top / "zz").mkdir()
    os.rename(top / "one/model", top / "zz/model")
    os.rename(top / "three", top / "fo ur")
    stage_all(repo)
    assert porcelain(look(repo), zero=False, branch=False) == 'R  three -> "fo ur"\nR  one/model -> zz/model\n'
    assert porcelain(look(repo), zero=True, branch=False) == "R  fo ur\0three\0R  zz/model\0one/model\0"


def test_case_is_not_told_apart_where_the_file_system_does_not(repo: Repository, top: Path) -> None:
    from dataclasses import replace

    (top / "Model").mkdir()
    (top / "Model" / "A").write_bytes(b"")
    stage_all(repo)
    os.rename(top / "Model", top / "model")
    folded = replace(repo, settings=repo.settings._replace(ignore_case=True))
    assert scan(folded, read_stage(repo)).untracked == ()
    assert scan(repo, read_stage(repo)).untracked == ("model/",)


def test_without_file_modes_the_executable_bit_does_not_count(repo: Repository, top: Path) -> None:
    from dataclasses import replace

    (top / "a").write_bytes(b"")
    stage_all(repo)
    (top / "a").chmod(0o755)
    entry = read_stage(repo).get("a")
    assert entry is not None
    assert scan(repo, read_stage(repo)).modified == ("a",)
    assert not is_equal(repo, "a", FILE, entry.id, 0, None)
    without = replace(repo, settings=repo.settings._replace(file_mode=False))
    assert scan(without, read_stage(repo)).modified == ()
    assert is_equal(without, "a", FILE, entry.id, 0, None)


@pytest.fixture
def chunked(repo: Repository, top: Path) -> Iterator[StageEntry]:
    from mvc.hashing import digest

    data = bytes(range(256)) * 1000
    (top / "model").write_bytes(data)
    entry = StageEntry("model", FILE, "12" * 20, len(data), digest(data))
    with edit_stage(repo) as stage:
        stage.put(entry)
    yield entry


def test_a_chunked_file_is_compared_by_its_blake3(repo: Repository, top: Path, chunked: StageEntry) -> None:
    assert scan(repo, read_stage(repo)).modified == ()
    assert is_equal(repo, "model", FILE, "34" * 20, chunked.size, chunked.blake3)
    data = bytearray((top / "model").read_bytes())
    data[777] ^= 1
    (top / "model").write_bytes(data)
    assert scan(repo, read_stage(repo)).modified == ("model",)
    assert not is_equal(repo, "model", FILE, chunked.id, chunked.size, chunked.blake3)
    assert not is_equal(repo, "absent", FILE, chunked.id, chunked.size, chunked.blake3)
    os.unlink(top / "model")
    os.symlink("x", top / "model")
    assert scan(repo, read_stage(repo)).typechanged == ("model",)
    assert not is_equal(repo, "model", FILE, chunked.id, chunked.size, chunked.blake3)
