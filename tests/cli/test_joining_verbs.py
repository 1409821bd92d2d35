"""merge, rebase, cherry-pick, revert, stash: what they say where they stop, and take where nothing is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.world import Mvc
from tests.repo.making import write


def commit(mvc: Mvc, repo: Path, message: str, **files: str) -> None:
    write(repo, {name: content.encode() for name, content in files.items()})
    mvc("add", "-A", cwd=repo)
    mvc("commit", "--no-environment", "-m", message, cwd=repo)


@pytest.fixture
def parted(repo: Path, mvc: Mvc) -> Path:
    """`main` and `topic` changed the same file; a stash of the version before them is there, too."""
    commit(mvc, repo, "base", a="1")
    write(repo, {"a": b"stashed"})
    mvc("stash", cwd=repo)
    mvc("switch", "-c", "topic", cwd=repo)
    commit(mvc, repo, "theirs", a="2")
    mvc("switch", "main", cwd=repo)
    commit(mvc, repo, "ours", a="3")
    return repo


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (["merge", "topic"], "Automatic merge failed; resolve the conflicts, then: mvc merge --continue"),
        (["rebase", "topic"], "then mvc rebase --continue; or --skip, or --abort"),
        (["cherry-pick", "topic"], "then mvc cherry-pick --continue; or --skip it, or --abort"),
        (["revert", "HEAD~1"], "then mvc revert --continue; or --skip it, or --abort"),
        (["stash", "pop"], "The stash is kept, in case you need it again."),
    ],
)
def test_a_conflict_is_told_also_by_a_quiet_command(parted: Path, mvc: Mvc, arguments: list[str], more: str) -> None:
    ran = mvc(*arguments, "-q", cwd=parted, code=1)
    assert ran.lines[0].startswith("CONFLICT (") and more in ran.out + ran.err


def test_a_pick_that_changes_nothing_is_told_also_by_a_quiet_command(parted: Path, mvc: Mvc) -> None:
    ran = mvc("-q", "cherry-pick", "HEAD", cwd=parted, code=1)
    assert "changes nothing here: mvc cherry-pick --skip" in ran.err


@pytest.mark.parametrize("verb", ["merge", "rebase"])
def test_without_a_name_it_is_what_the_branch_follows(repo: Path, mvc: Mvc, verb: str) -> None:
    commit(mvc, repo, "base", a="1")
    assert "no upstream configured for branch 'main'" in mvc(verb, cwd=repo, code=2).err
    mvc("switch", "-c", "topic", "--track", "main", cwd=repo)
    commit(mvc, repo, "mine", b="2")
    mvc("switch", "main", cwd=repo)
    commit(mvc, repo, "theirs", c="3")
    mvc("switch", "topic", cwd=repo)
    mvc(verb, cwd=repo)
    assert (repo / "c").exists() and "theirs" in mvc("log", "--oneline", cwd=repo).out
    if verb == "merge":
        assert "Merge branch 'main' into topic" in mvc("log", "-1", cwd=repo).out


def test_a_rebase_of_another_branch_that_is_refused_stays_where_it_is(parted: Path, mvc: Mvc) -> None:
    commit(mvc, parted, "more", b="1")
    write(parted, {"b": b"work"})
    assert "uncommitted" in mvc("rebase", "main", "topic", cwd=parted, code=5).err
    mvc("restore", "b", cwd=parted)
    assert "nowhere" in mvc("rebase", "nowhere", "topic", cwd=parted, code=4).err
    mvc("branch", "same", cwd=parted)
    write(parted, {"b": b"work"})
    mvc("rebase", "main", "same", cwd=parted, code=5)
    assert mvc("branch", "--show-current", cwd=parted).out == "main\n"


def test_the_base_is_named_from_where_one_is(parted: Path, mvc: Mvc) -> None:
    mvc("switch", "topic", cwd=parted)
    mvc("switch", "-c", "more", cwd=parted)
    commit(mvc, parted, "more", b="1")
    mvc("switch", "main", cwd=parted)
    mvc("switch", "more", cwd=parted)
    mvc("rebase", "--theirs", "@{-1}", "topic", cwd=parted)  # main, not the branch before the switch to topic
    assert [line.split(" ", 1)[1] for line in mvc("log", "--oneline", "--no-decorate", cwd=parted).lines] == [
        "theirs",
        "ours",
        "base",
    ]


@pytest.fixture
def in_the_way(repo: Path, mvc: Mvc) -> Path:
    """`topic` adds `x`, changes `g`, which `main` removed, and removes it as well; `g` stands there, not versioned."""
    commit(mvc, repo, "base", a="1", g="1")
    mvc("switch", "-c", "topic", cwd=repo)
    commit(mvc, repo, "adds", x="1")
    commit(mvc, repo, "changes", g="2")
    (repo / "g").unlink()
    commit(mvc, repo, "removes")
    mvc("switch", "main", cwd=repo)
    (repo / "g").unlink()
    commit(mvc, repo, "main removes")
    write(repo, {"g": b"mine"})
    return repo


@pytest.mark.parametrize("verb", ["rebase", "cherry-pick"])
def test_a_conflict_that_cannot_be_written_leaves_all_as_it_was(in_the_way: Path, mvc: Mvc, verb: str) -> None:
    if verb == "rebase":
        mvc("switch", "topic", cwd=in_the_way)
    before = mvc("rev-parse", "HEAD", cwd=in_the_way).out
    arguments = [verb, "main"] if verb == "rebase" else [verb, "main..topic"]
    assert "'g'" in mvc(*arguments, cwd=in_the_way, code=5).err
    assert mvc("rev-parse", "HEAD", cwd=in_the_way).out == before
    assert (in_the_way / "g").read_bytes() == b"mine"
    assert "in progress" in mvc(verb, "--abort", cwd=in_the_way, code=5).err
    (in_the_way / "g").unlink()
    assert "CONFLICT (modify/delete): g" in mvc(*arguments, cwd=in_the_way, code=1).out


def test_a_rebase_goes_on_where_the_next_conflict_could_not_be_written(in_the_way: Path, mvc: Mvc) -> None:
    """What stood in the way once must not drop the commit."""
    (in_the_way / "g").unlink()
    mvc("switch", "-c", "two", "topic~2", cwd=in_the_way)
    commit(mvc, in_the_way, "conflicts", a="two")
    mvc("cherry-pick", "topic~1", "topic", cwd=in_the_way)
    mvc("switch", "main", cwd=in_the_way)
    commit(mvc, in_the_way, "main changes", a="main")
    mvc("switch", "two", cwd=in_the_way)
    assert "CONFLICT (content)" in mvc("rebase", "main", cwd=in_the_way, code=1).out
    mvc("checkout", "--theirs", "a", cwd=in_the_way)
    write(in_the_way, {"g": b"mine"})
    mvc("add", "a", cwd=in_the_way)
    for _ in range(2):
        assert "'g'" in mvc("rebase", "--continue", cwd=in_the_way, code=5).err
    (in_the_way / "g").unlink()
    assert "CONFLICT (modify/delete): g" in mvc("rebase", "--continue", cwd=in_the_way, code=1).out
    mvc("add", "g", cwd=in_the_way)
    mvc("rebase", "--continue", cwd=in_the_way)
    subjects = [line.split(" ", 1)[1] for line in mvc("log", "--oneline", "--no-decorate", cwd=in_the_way).lines]
    assert subjects[:4] == ["removes", "changes", "conflicts", "adds"]


@pytest.mark.parametrize("verb", ["merge", "cherry-pick", "stash"])
def test_a_changed_file_against_a_folder_in_its_place_removes_nothing(repo: Path, mvc: Mvc, verb: str) -> None:
    commit(mvc, repo, "base", d="1")
    mvc("switch", "-c", "topic", cwd=repo)
    if verb == "stash":
        write(repo, {"d": b"2"})
        mvc("stash", cwd=repo)
    else:
        commit(mvc, repo, "theirs", d="2")
    mvc("switch", "main", cwd=repo)
    (repo / "d").unlink()
    commit(mvc, repo, "ours", **{"d/y": "y"})
    ran = mvc(*(["stash", "pop"] if verb == "stash" else [verb, "topic"]), cwd=repo, code=1)
    assert "CONFLICT (file/folder): d " in ran.out
    assert mvc("status", "--porcelain", cwd=repo).lines == ["DU d"]
    assert (repo / "d" / "y").read_bytes() == b"y"
    mvc("add", "d", cwd=repo)
    assert mvc("ls-files", "-s", cwd=repo).lines == mvc("ls-files", "-s", "d/y", cwd=repo).lines
    assert mvc("status", "--porcelain", cwd=repo).lines == []


@pytest.mark.parametrize("verb", ["rebase", "cherry-pick", "merge"])
def test_what_stopped_is_no_part_of_the_commit_before(parted: Path, mvc: Mvc, verb: str) -> None:
    mvc(verb, "topic", cwd=parted, code=1)
    mvc("add", "a", cwd=parted)
    before = mvc("rev-parse", "HEAD", cwd=parted).out
    assert f"in the middle of a {verb}" in mvc("commit", "--amend", "-m", "x", cwd=parted, code=5).err
    assert mvc("rev-parse", "HEAD", cwd=parted).out == before
    mvc(verb, "--abort", cwd=parted)
    mvc("commit", "--amend", "-m", "x", cwd=parted)


def test_checkout_of_head_stays_on_the_branch(parted: Path, mvc: Mvc) -> None:
    mvc("checkout", "HEAD", cwd=parted)
    assert mvc("branch", "--show-current", cwd=parted).out == "main\n"
    write(parted, {"a": b"work"})
    mvc("checkout", "-f", "HEAD", cwd=parted)
    assert (parted / "a").read_bytes() == b"3"
    mvc("checkout", "--detach", "HEAD", cwd=parted)
    assert mvc("branch", "--show-current", cwd=parted).out == ""


@pytest.mark.parametrize("how", ["--no-rebase", "--rebase"])
def test_pull_of_a_branch_that_follows_one_here(repo: Path, mvc: Mvc, how: str) -> None:
    commit(mvc, repo, "base", a="1")
    mvc("switch", "-c", "topic", "--track", "main", cwd=repo)
    mvc("switch", "main", cwd=repo)
    commit(mvc, repo, "theirs", b="2")
    mvc("switch", "topic", cwd=repo)
    mvc("fetch", cwd=repo)
    mvc("pull", cwd=repo)
    assert mvc("rev-parse", "topic", cwd=repo).out == mvc("rev-parse", "main", cwd=repo).out
    commit(mvc, repo, "mine", c="3")
    mvc("switch", "main", cwd=repo)
    commit(mvc, repo, "more", d="4")
    mvc("switch", "topic", cwd=repo)
    mvc("pull", how, cwd=repo)
    subjects = mvc("log", "--format=%s", cwd=repo).lines
    assert (repo / "d").exists() and (
        subjects[0] == "mine" if how == "--rebase" else "branch 'main' into topic" in subjects[0]
    )
