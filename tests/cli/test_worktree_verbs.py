"""init, status, ls-files, clean, mv, rm: as typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mvc import fsio
from mvc.repo.locking import edit_stage, lock_path, read_stage
from mvc.repo.repository import Repository
from tests.cli.world import Mvc
from tests.repo.making import git, write

ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import itertools, os, sys
from mvc import fsio
from mvc.cli.program import run
left = itertools.count(int(sys.argv[1]), -1)
fsio.fault_hook = lambda operation, path: next(left) or os._exit(9)
run(["init", sys.argv[2]])
"""
"""Runs `mvc init` and ends, as if killed, at the step that the first argument tells."""


@pytest.fixture
def top(repo: Path, mvc: Mvc) -> Path:
    """A repository with a commit: a model, a card, two files in folders."""
    write(repo, {"model.bin": b"weights", "card.md": b"text", "runs/a/log": b"1", "runs/b/log": b"2"})
    mvc("add", ".", cwd=repo)
    mvc("commit", "-m", "first", cwd=repo)
    return repo


def porcelain(mvc: Mvc, cwd: Path, *options: str) -> list[str]:
    return mvc("status", "--porcelain", *options, cwd=cwd).lines


# -- init


def test_init_makes_and_completes(tmp_path: Path, mvc: Mvc) -> None:
    assert "Initialized empty mvc repository" in mvc("init", "new/place", cwd=tmp_path).out
    place = tmp_path / "new" / "place"
    assert (place / ".mvc" / ".gitignore").read_text() == "*\n"
    assert git(place, "--git-dir=.mvc", "fsck", "--strict") == b""
    write(place, {"a": b"1"})
    mvc("add", "a", cwd=place)
    mvc("commit", "-m", "m", cwd=place)
    (place / ".mvc" / ".git").unlink()
    assert "Completed existing mvc repository" in mvc("init", cwd=place).out
    assert (place / ".mvc" / ".git").exists()
    assert porcelain(mvc, place) == []
    assert mvc("log", "--oneline", cwd=place).lines


def test_the_first_branch(tmp_path: Path, mvc: Mvc) -> None:
    mvc("init", "-b", "trunk", "a", cwd=tmp_path)
    assert "On branch trunk" in mvc("status", cwd=tmp_path / "a").out
    (tmp_path / "home" / ".gitconfig").write_text("[init]\n\tdefaultBranch = other\n")
    assert json.loads(mvc("init", "--json", "b", cwd=tmp_path).out)["branch"] == "other"
    assert mvc("init", "-b", "bad..name", "c", cwd=tmp_path, code=2).out == ""


def test_a_bare_repository_has_no_worktree(tmp_path: Path, mvc: Mvc) -> None:
    mvc("init", "--bare", "store.mvc", cwd=tmp_path)
    assert (tmp_path / "store.mvc" / "HEAD").is_file()
    ran = mvc("status", cwd=tmp_path / "store.mvc", code=5)
    assert "bare" in ran.err


def test_init_in_a_git_project(tmp_path: Path, mvc: Mvc) -> None:
    git(tmp_path, "init", "-q", "-b", "side", "project")
    out = mvc("init", cwd=tmp_path / "project").out
    assert "In the Git project" in out and ".gitignore" in out
    assert "On branch side" in mvc("status", cwd=tmp_path / "project").out


def test_a_killed_init_is_completed_by_another(tmp_path: Path, mvc: Mvc) -> None:
    steps: list[str] = []
    with fsio.hooked(lambda operation, _: steps.append(operation)):
        mvc("init", "whole", cwd=tmp_path)
    for crash in range(1, len(steps), 9):
        place = f"p{crash}"
        command = [sys.executable, "-c", KILLED, str(crash), place]
        killed = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
        assert killed.returncode == 9
        mvc("init", place, cwd=tmp_path)
        assert "No commits yet" in mvc("status", cwd=tmp_path / place).out


# -- status


def test_status_from_clean_to_clean(top: Path, mvc: Mvc) -> None:
    assert mvc("status", cwd=top).lines == ["On branch main", "nothing to commit, working tree clean"]
    write(top, {"model.bin": b"tuned weights", "new/x": b"", "runs/a/log": b"1"})
    (top / "card.md").unlink()
    mvc("add", "model.bin", cwd=top)
    write(top, {"model.bin": b"tuned weights, twice"})
    assert porcelain(mvc, top) == [" D card.md", "MM model.bin", "?? new/"]
    assert mvc("status", "--porcelain=v1", cwd=top).lines == porcelain(mvc, top)
    assert "mvc status --help" in mvc("status", "--porcelain=v2", cwd=top, code=2).err
    assert porcelain(mvc, top, "-u", "new") == ["?? new/x"]  # a path, not the value of -u
    assert porcelain(mvc, top, "-b", "-u") == ["## main", " D card.md", "MM model.bin", "?? new/x"]
    assert porcelain(mvc, top, "-uno") == [" D card.md", "MM model.bin"]
    assert porcelain(mvc, top, "runs", "card.md") == [" D card.md"]
    text = mvc("status", cwd=top).out
    for line in ("Changes to be committed:", "\tmodified:   model.bin  (13 B)", "Changes not staged for commit:"):
        assert line in text
    assert "\tdeleted:    card.md\n" in text and "Untracked files:" in text and "\tnew/\n" in text
    found = json.loads(mvc("status", "--json", cwd=top).out)
    assert found["clean"] is False
    assert found["staged"] == [{"path": "model.bin", "change": "modified", "old_path": None, "size": 13}]
    assert [change["path"] for change in found["unstaged"]] == ["card.md", "model.bin"]
    mvc("add", "-A", cwd=top)
    mvc("commit", "-m", "second", cwd=top)
    assert porcelain(mvc, top) == []


def test_paths_are_shown_from_where_one_is(top: Path, mvc: Mvc) -> None:
    write(top, {"runs/a/log": b"changed", "model.bin": b"changed"})
    assert mvc("status", "-s", cwd=top / "runs" / "a").lines == [" M ../../model.bin", " M log"]
    assert "\tmodified:   ../../model.bin" in mvc("status", cwd=top / "runs" / "a").out
    assert porcelain(mvc, top / "runs" / "a") == [" M model.bin", " M runs/a/log"]
    assert mvc("status", "-s", ".", cwd=top / "runs").lines == [" M a/log"]


def test_odd_names_are_quoted_as_git_does(repo: Path, mvc: Mvc) -> None:
    names = [b"\xff", "é".encode(), b'quo"te', b"new\nline", b"sp ace", b"tab\t", b"plain"]
    for name in names:
        with open(os.path.join(os.fsencode(repo), name), "wb"):
            pass
    git(repo, "init", "-q")
    expected = git(repo, "status", "--porcelain").decode().splitlines()
    os.rename(repo / ".git", repo.parent / "away")
    assert porcelain(mvc, repo) == [line for line in expected if ".mvc" not in line]
    raw = mvc("status", "-z", cwd=repo).raw
    assert raw == b"".join(b"?? " + name + b"\0" for name in sorted(names))


def test_ignored_files(top: Path, mvc: Mvc) -> None:
    write(top, {".mvcignore": b"*.tmp\ncache/\n", "x.tmp": b"", "cache/a": b"", "runs/a/y.tmp": b""})
    assert porcelain(mvc, top) == ["?? .mvcignore"]
    assert porcelain(mvc, top, "--ignored") == ["?? .mvcignore", "!! cache/", "!! runs/a/y.tmp", "!! x.tmp"]


def test_status_needs_no_right_to_write(top: Path, mvc: Mvc) -> None:
    os.utime(top / "model.bin")
    repo = Repository.open(top)
    with edit_stage(repo):
        assert porcelain(mvc, top) == [], "not while another holds the lock either"
    os.chmod(top / ".mvc" / "locks", 0o555)
    os.chmod(top / ".mvc", 0o555)
    try:
        assert porcelain(mvc, top) == []
    finally:
        os.chmod(top / ".mvc", 0o755)
        os.chmod(top / ".mvc" / "locks", 0o755)
    assert not lock_path(repo).exists()


def test_git_on_another_branch_is_told(tmp_path: Path, mvc: Mvc) -> None:
    project = tmp_path / "project"
    git(tmp_path, "init", "-q", "-b", "main", "project")
    mvc("init", cwd=project)
    git(project, "checkout", "-q", "-b", "feature")
    out = mvc("status", cwd=project).out
    assert "Git is on branch feature" in out and "mvc switch feature" in out


# -- ls-files


def test_ls_files(top: Path, mvc: Mvc) -> None:
    assert mvc("ls-files", cwd=top).lines == ["card.md", "model.bin", "runs/a/log", "runs/b/log"]
    assert mvc("ls-files", cwd=top / "runs").lines == ["a/log", "b/log"]
    assert mvc("ls-files", "--full-name", "b", cwd=top / "runs").lines == ["runs/b/log"]
    write(top, {"runs/a/log": b"more", "new": b"", "x.tmp": b"", ".mvcignore": b"*.tmp\n"})
    (top / "card.md").unlink()
    assert mvc("ls-files", "-m", cwd=top).lines == ["card.md", "runs/a/log"]
    assert mvc("ls-files", "-d", cwd=top).lines == ["card.md"]
    assert mvc("ls-files", "-o", cwd=top).lines == [".mvcignore", "new"]
    assert mvc("ls-files", "-o", "-i", cwd=top).lines == ["x.tmp"]
    assert mvc("ls-files", "-z", "*.bin", cwd=top).raw == b"model.bin\0"
    line = mvc("ls-files", "-s", "-l", "model.bin", cwd=top).out
    blob = git(top, "hash-object", "model.bin").decode().strip()
    assert line.split() == ["100644", blob, "0", "7", "model.bin"]
    (file,) = json.loads(mvc("ls-files", "--json", "model.bin", cwd=top).out)["files"]
    assert (file["path"], file["size"], file["blake3"]) == ("model.bin", 7, None)
    assert "nothing" in mvc("ls-files", "--error-unmatch", "nothing", cwd=top, code=4).err


# -- clean


def test_clean_removes_what_is_not_versioned(top: Path, mvc: Mvc) -> None:
    write(
        top,
        {".mvcignore": b"*.tmp\n", "x.tmp": b"", "junk": b"12345", "new/a": b"", "new/b.tmp": b"", "runs/junk": b""},
    )
    mvc("add", ".mvcignore", cwd=top)
    (top / "empty" / "deep").mkdir(parents=True)

    def would(*options: str, cwd: Path = top) -> list[str]:
        return [line.removeprefix("Would remove ") for line in mvc("clean", "-n", *options, cwd=cwd).lines]

    assert would() == ["junk", "runs/junk"]
    assert would("-d") == ["empty/", "empty/deep/", "junk", "new/a", "runs/junk"]
    assert would("-d", "-x") == ["empty/", "empty/deep/", "junk", "new/", "new/a", "new/b.tmp", "runs/junk", "x.tmp"]
    assert would("-X") == ["x.tmp"]
    assert would(cwd=top / "runs") == ["junk"]
    assert would("new") == ["new/a"]
    ran = mvc("clean", cwd=top, code=2)
    assert "--yes" in ran.err and (top / "junk").exists()
    assert mvc("clean", "-d", "--yes", cwd=top).lines == [
        f"Removing {name}" for name in ("empty/", "empty/deep/", "junk", "new/a", "runs/junk")
    ]
    assert not (top / "empty").exists() and (top / "new" / "b.tmp").exists()
    mvc("clean", "-dxf", cwd=top)
    assert sorted(os.listdir(top)) == [".mvc", ".mvcignore", "card.md", "model.bin", "runs"]
    assert mvc("clean", "-dx", "--yes", cwd=top).out == ""
    assert porcelain(mvc, top) == ["A  .mvcignore"]


def test_clean_leaves_other_repositories(top: Path, mvc: Mvc) -> None:
    git(top, "init", "-q", "cloned")
    write(top, {"cloned/code.py": b"", "cloned/deep/code.py": b""})
    mvc("init", "inner", cwd=top)
    write(top, {"inner/model": b""})
    mvc("clean", "-dxf", cwd=top)
    assert (top / "cloned" / "deep" / "code.py").exists() and (top / "cloned" / ".git").exists()
    assert (top / "inner" / "model").exists()


def test_clean_takes_what_a_killed_checkout_left(top: Path, mvc: Mvc) -> None:
    write(top, {".mvc-tmp-1-abc": b"half", "runs/a/.mvc-tmp-2-abc": b"half"})
    assert porcelain(mvc, top) == []
    mvc("clean", "-f", cwd=top)
    assert not (top / ".mvc-tmp-1-abc").exists() and not (top / "runs/a/.mvc-tmp-2-abc").exists()


def test_clean_follows_no_link(top: Path, mvc: Mvc, tmp_path: Path) -> None:
    write(tmp_path, {"outside/precious": b""})
    (top / "link").symlink_to("../outside")
    mvc("clean", "-dxf", cwd=top)
    assert not (top / "link").is_symlink()
    assert (tmp_path / "outside" / "precious").exists()


# -- mv


def test_mv_renames_files_and_folders(top: Path, mvc: Mvc) -> None:
    mvc("mv", "model.bin", "weights.bin", cwd=top)
    mvc("mv", "../card.md", "a", cwd=top / "runs")
    mvc("mv", "runs", "old runs", cwd=top)
    assert porcelain(mvc, top) == [
        'R  card.md -> "old runs/a/card.md"',
        'R  runs/a/log -> "old runs/a/log"',
        'R  runs/b/log -> "old runs/b/log"',
        "R  model.bin -> weights.bin",
    ]
    assert not (top / "runs").exists()
    (top / "d").mkdir()
    mvc("mv", "weights.bin", "old runs/a", "d", cwd=top)
    assert mvc("ls-files", cwd=top).lines == ["d/a/card.md", "d/a/log", "d/weights.bin", "old runs/b/log"]
    mvc("commit", "-m", "moved", cwd=top)
    assert porcelain(mvc, top) == []


def test_mv_refuses(top: Path, mvc: Mvc) -> None:
    write(top, {"new": b""})
    for arguments, code in [
        (("new", "other"), 4),
        (("nothing", "other"), 4),
        (("model.bin", "card.md"), 5),
        (("model.bin", "no/such/folder/x"), 4),
        (("model.bin", "card.md", "new2"), 4),
        (("runs", "runs/a"), 5),
        (("model.bin", ".mvc/x"), 5),
        (("model.bin", ".git"), 5),
        (("model.bin", "../out"), 2),
        ((".", "x"), 5),
    ]:
        mvc("mv", *arguments, cwd=top, code=code)
    assert porcelain(mvc, top) == ["?? new"]
    assert "Renaming model.bin to card.md" in mvc("mv", "-n", "-f", "model.bin", "card.md", cwd=top).out
    mvc("mv", "-k", "new", "model.bin", "runs", cwd=top)
    mvc("mv", "-f", "runs/model.bin", "card.md", cwd=top)
    assert (top / "card.md").read_bytes() == b"weights"
    assert porcelain(mvc, top) == ["M  card.md", "D  model.bin", "?? new"]


def test_a_changed_file_stays_changed_when_it_is_moved(top: Path, mvc: Mvc) -> None:
    write(top, {"model.bin": b"WEIGHTS"})
    mvc("mv", "model.bin", "m", cwd=top)
    assert porcelain(mvc, top) == ["RM model.bin -> m"]


def test_a_killed_mv_is_completed_by_repeating_it(top: Path, mvc: Mvc) -> None:
    for source, goal in (("model.bin", "m"), ("runs", "r")):
        os.rename(top / source, top / goal)
        mvc("mv", source, goal, cwd=top)
    assert porcelain(mvc, top) == ["R  model.bin -> m", "R  runs/a/log -> r/a/log", "R  runs/b/log -> r/b/log"]


def test_mv_through_a_link_is_refused(top: Path, mvc: Mvc, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (top / "link").symlink_to("../outside")
    mvc("mv", "model.bin", "link/model.bin", cwd=top, code=4)
    mvc("mv", "model.bin", "link", cwd=top, code=5)
    assert os.listdir(tmp_path / "outside") == []


# -- rm


def test_rm(top: Path, mvc: Mvc) -> None:
    assert mvc("rm", "model.bin", "*.md", cwd=top).lines == ["rm 'card.md'", "rm 'model.bin'"]
    assert not (top / "model.bin").exists()
    assert porcelain(mvc, top) == ["D  card.md", "D  model.bin"]
    ran = mvc("rm", "runs", cwd=top, code=5)
    assert "mvc rm -r runs" in ran.err
    mvc("rm", "-n", "-r", "runs", cwd=top)
    assert (top / "runs" / "a" / "log").exists()
    mvc("rm", "-r", "--cached", "runs/a", cwd=top)
    assert (top / "runs" / "a" / "log").exists()
    mvc("rm", "-q", "-r", "runs", cwd=top)
    assert porcelain(mvc, top) == ["D  card.md", "D  model.bin", "D  runs/a/log", "D  runs/b/log", "?? runs/"]


def test_rm_loses_nothing(top: Path, mvc: Mvc) -> None:
    write(top, {"model.bin": b"changed", "card.md": b"staged", "runs/a/log": b"staged", "new": b"new"})
    mvc("add", "card.md", "runs/a/log", "new", cwd=top)
    write(top, {"runs/a/log": b"changed after"})
    for arguments in (("model.bin",), ("card.md",), ("new",), ("runs/a/log",), ("--cached", "runs/a/log")):
        mvc("rm", *arguments, cwd=top, code=5)
    assert [path for path in ("model.bin", "card.md", "runs/a/log", "new") if not (top / path).exists()] == []
    mvc("rm", "--cached", "model.bin", "card.md", "new", cwd=top)
    mvc("rm", "-f", "runs/a/log", cwd=top)
    assert not (top / "runs" / "a").exists()
    assert (top / "model.bin").exists() and (top / "card.md").exists()


def test_rm_of_what_was_staged_and_is_gone(top: Path, mvc: Mvc) -> None:
    write(top, {"new/x": b"1", "card.md": b"staged"})
    mvc("add", "new", "card.md", cwd=top)
    (top / "new" / "x").unlink()
    (top / "card.md").unlink()
    mvc("rm", "-r", "new", "card.md", cwd=top)
    assert porcelain(mvc, top) == ["D  card.md"]


def test_rm_of_nothing(top: Path, mvc: Mvc) -> None:
    mvc("rm", cwd=top, code=2)
    mvc("rm", "nothing", cwd=top, code=4)
    assert mvc("rm", "--ignore-unmatch", "nothing", cwd=top).out == ""
    (top / "card.md").unlink()
    assert mvc("rm", "card.md", cwd=top).lines == ["rm 'card.md'"], "gone already"


def test_rm_and_mv_keep_gitignore(tmp_path: Path, mvc: Mvc) -> None:
    top = tmp_path / "project"
    git(tmp_path, "init", "-q", "project")
    mvc("init", cwd=top)
    write(top, {"a.bin": b"1", "b.bin": b"2"})
    mvc("add", "a.bin", "b.bin", cwd=top)
    mvc("mv", "a.bin", "c.bin", cwd=top)
    mvc("rm", "--cached", "b.bin", cwd=top)
    text = (top / ".gitignore").read_text()
    assert "/c.bin\n" in text and "/a.bin\n" not in text and "/b.bin\n" not in text


# -- the stage's memory


def test_a_file_that_changes_while_it_is_added_is_not_taken_for_clean(repo: Path, mvc: Mvc) -> None:
    for number in range(10):
        write(repo, {"racy": b"one %d" % number})
        mvc("add", "racy", cwd=repo)
        write(repo, {"racy": b"two %d" % number})
        assert porcelain(mvc, repo) == ["AM racy"]


def test_a_tree_that_git_took_is_not_missed(top: Path, mvc: Mvc) -> None:
    """The stage remembers a tree that no ref holds any more."""
    write(top, {"model.bin": b"second"})
    mvc("commit", "-a", "-m", "second", cwd=top)
    mvc("reset", "--soft", "HEAD~1", cwd=top)
    git(top, "--git-dir=.mvc", "reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    git(top, "--git-dir=.mvc", "update-ref", "-d", "ORIG_HEAD")
    repo = Repository.open(top)
    with edit_stage(repo) as stage:
        stage.tree = "12" * 20
    assert read_stage(repo).tree is None
    assert porcelain(mvc, top) == ["M  model.bin"]
    mvc("commit", "-m", "again", cwd=top)
    assert porcelain(mvc, top) == []


def test_an_absolute_path_is_one_of_the_worktree(mvc: Mvc, repo: Path) -> None:
    (repo / "d").mkdir()
    (repo / "d/x").write_text("x")
    (repo / "a").write_text("a")
    mvc("add", repo / "a", repo / "d", cwd=repo / "d")
    assert mvc("ls-files", repo / "d", cwd=repo).out == "d/x\n"
    mvc("rm", "--cached", repo / "d/x", cwd=repo)
    mvc("mv", repo / "a", repo / "b", cwd=repo)
    assert mvc("status", "--porcelain", cwd=repo).out == "A  b\n?? d/\n"
    assert "outside" in mvc("add", repo.parent, cwd=repo, code=2).err


def test_globs_and_exclusions_in_log_diff_and_reset(mvc: Mvc, repo: Path) -> None:
    (repo / "d").mkdir()
    for number, name in enumerate(("d/x.txt", "d/y.bin", "z.txt")):
        (repo / name).write_text("1")
        mvc("add", ".", cwd=repo)
        mvc("commit", "-qm", f"c{number}", cwd=repo)
    subjects = {
        ("--", "*.txt"): "c2 c0",
        ("*.txt",): "c2 c0",
        ("--", ":!*.txt"): "c1",
        ("--", "*.txt", ":!d"): "c2",
        ("--", "d", "*.txt"): "c2 c1 c0",
        ("--graph", "--", "*.b?n"): "c1",
    }
    for words, wanted in subjects.items():
        shown = mvc("log", "--oneline", "--reverse" if "--graph" not in words else "--all", *words, cwd=repo).out
        found = [line.split()[-1] for line in shown.splitlines()]
        assert " ".join(found if "--graph" in words else reversed(found)) == wanted, words
    assert mvc("log", "--oneline", "*.txt", cwd=repo / "d").out.count("\n") == 1
    for name in ("d/x.txt", "d/y.bin", "z.txt"):
        (repo / name).write_text("22")
    assert mvc("diff", "--name-only", "--", "*.txt", cwd=repo).out == "d/x.txt\nz.txt\n"
    assert mvc("diff", "--name-only", ":!*.txt", cwd=repo).out == "d/y.bin\n"
    mvc("add", ".", cwd=repo)
    mvc("reset", "--", "*.txt", cwd=repo)
    assert mvc("status", "--porcelain", cwd=repo).out == " M d/x.txt\nM  d/y.bin\n M z.txt\n"
    assert "'nope' did not match" in mvc("reset", "--", "nope", cwd=repo, code=4).err
