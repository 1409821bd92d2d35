from __future__ import annotations

import pytest

from tests.ops.world import World


@pytest.fixture
def forked(world: World) -> World:
    """main: a=ours, n=1; topic: a=1, b=theirs, c=1; both from a=1, b=1, d=1."""
    world.commit("base", a="1", b="1", d="1")
    world.mvc("switch", "-c", "topic")
    world.commit("theirs", b="theirs", c="1")
    world.mvc("switch", "main")
    world.commit("ours", a="ours", n="1")
    return world


@pytest.fixture
def conflicting(forked: World) -> World:
    """topic also changes a, and removes d; main changes d."""
    forked.mvc("switch", "topic")
    forked.commit("theirs again", a="theirs", d=None)
    forked.mvc("switch", "main")
    forked.commit("ours again", d="ours")
    return forked


def test_fast_forward(world: World) -> None:
    world.commit("1", a="1")
    world.mvc("switch", "-c", "topic")
    world.commit("2", a="2", b="1")
    world.mvc("switch", "main")
    ran = world.mvc("merge", "topic")
    assert "Fast-forward" in ran.out and "2 files changed" in ran.out
    assert world.files() == {"a": "2", "b": "1"}
    assert world.head() == world.git("rev-parse", "topic")
    assert world.git("reflog", "--format=%gs", "-1") == "merge topic: Fast-forward"
    assert world.git("rev-parse", "ORIG_HEAD") == world.git("rev-parse", "HEAD~1")
    assert world.mvc("merge", "topic").out == "Already up to date.\n"
    assert world.mvc("merge", "HEAD~1").out == "Already up to date.\n"


def test_no_ff_makes_a_merge(world: World) -> None:
    world.commit("1", a="1")
    world.mvc("switch", "-c", "topic")
    world.commit("2", a="2")
    world.mvc("switch", "main")
    world.mvc("merge", "--no-ff", "topic")
    assert world.subjects()[0] == "Merge branch 'topic'"
    assert len(world.git("log", "-1", "--format=%P").split()) == 2


def test_three_way(forked: World) -> None:
    assert "no fast-forward" in forked.mvc("merge", "--ff-only", "topic", code=5).err
    ran = forked.mvc("merge", "topic")
    assert "Merge made by path." in ran.out
    assert forked.files() == {"a": "ours", "b": "theirs", "c": "1", "d": "1", "n": "1"}
    assert forked.git("log", "-1", "--format=%P").split() == [
        forked.git("rev-parse", "HEAD^1"),
        forked.git("rev-parse", "topic"),
    ]
    assert forked.status() == []


def test_metadata_is_not_merged(forked: World) -> None:
    forked.mvc("switch", "topic")
    forked.mvc("commit", "--allow-empty", "-m", "measured", "--metric", "acc=0.9")
    forked.mvc("switch", "main")
    forked.mvc("merge", "topic")
    assert ".mvcmeta" not in forked.git("ls-tree", "--name-only", "HEAD")


def test_a_metadata_commit_alone_on_the_other_side_still_joins(world: World) -> None:
    world.commit("1", a="1")
    world.mvc("switch", "-c", "topic")
    world.mvc("commit", "--allow-empty", "-m", "measured", "--metric", "acc=0.9")
    world.mvc("switch", "main")
    world.commit("2", b="1")
    world.mvc("merge", "topic")
    assert len(world.git("log", "-1", "--format=%P").split()) == 2


def test_a_staged_change_is_refused_and_an_unrelated_edit_stays(forked: World) -> None:
    forked.write("d", "edited")
    forked.mvc("add", "d")
    assert "  d" in forked.mvc("merge", "topic", code=5).err
    forked.mvc("restore", "--staged", "d")
    forked.mvc("merge", "topic")
    assert forked.read("d") == "edited"
    assert forked.status() == ["changed d"]


def test_an_edit_in_the_way_is_refused(forked: World) -> None:
    forked.write("b", "edited")
    assert "  b" in forked.mvc("merge", "topic", code=5).err
    forked.write("b", "1")
    forked.write("c", "mine")
    assert "  c" in forked.mvc("merge", "topic", code=5).err
    assert forked.files()["c"] == "mine"
    assert not (forked.path / ".mvc" / "MERGE_HEAD").exists()


def test_conflicts_wait_in_the_stage(conflicting: World) -> None:
    before = conflicting.head()
    ran = conflicting.mvc("merge", "topic", code=1)
    assert "CONFLICT (content): " in ran.out and "CONFLICT (modify/delete): " in ran.out
    assert conflicting.files() == {"a": "ours", "b": "theirs", "c": "1", "d": "ours", "n": "1"}
    assert conflicting.status() == ["staged b", "staged c", "conflict a", "conflict d"]
    assert "conflict" in conflicting.mvc("commit", "-m", "x", code=5).err
    assert "conflict" in conflicting.mvc("merge", "topic", code=5).err
    assert "conflict" in conflicting.mvc("switch", "topic", code=5).err
    conflicting.mvc("checkout", "--theirs", "--", "a")
    assert conflicting.read("a") == "theirs"
    conflicting.mvc("checkout", "--ours", "--", "a")
    assert conflicting.read("a") == "ours"
    conflicting.write("a", "both")
    conflicting.mvc("add", "a", "d")
    conflicting.mvc("merge", "--continue")
    assert conflicting.subjects()[0] == "Merge branch 'topic'"
    assert conflicting.git("log", "-1", "--format=%P").split() == [before, conflicting.git("rev-parse", "topic")]
    assert "#" not in conflicting.git("log", "-1", "--format=%B")
    assert conflicting.git("show", "HEAD:a") == "both"
    assert conflicting.status() == []
    assert "no merge" in conflicting.mvc("merge", "--abort", code=5).err


def test_a_conflict_can_be_concluded_by_commit(conflicting: World) -> None:
    conflicting.mvc("merge", "topic", code=1)
    conflicting.mvc("add", "a", "d")
    conflicting.mvc("commit", "-m", "joined", "--metric", "acc=1")
    assert len(conflicting.git("log", "-1", "--format=%P").split()) == 2
    assert conflicting.git("reflog", "--format=%gs", "-1") == "commit (merge): joined"
    conflicting.commit("after", z="1")
    assert len(conflicting.git("log", "-1", "--format=%P").split()) == 1


def test_abort(conflicting: World) -> None:
    conflicting.write("n", "edited before")
    files = conflicting.files()
    conflicting.mvc("merge", "topic", code=1)
    conflicting.write("a", "half resolved")
    conflicting.mvc("merge", "--abort")
    assert conflicting.files() == files
    assert conflicting.status() == ["changed n"]


def test_an_edit_to_a_path_that_conflicts_is_refused(conflicting: World) -> None:
    conflicting.write("a", "edited")
    assert "  a" in conflicting.mvc("merge", "topic", code=5).err
    assert conflicting.read("a") == "edited"
    assert conflicting.status() == ["changed a"]


@pytest.mark.parametrize(("side", "a", "d"), [("ours", "ours", "ours"), ("theirs", "theirs", None)])
def test_a_side_is_favoured_wholly(conflicting: World, side: str, a: str, d: str | None) -> None:
    ran = conflicting.mvc("merge", f"--{side}", "topic")
    assert "Took a wholly" in ran.out
    assert conflicting.files().get("a") == a
    assert conflicting.files().get("d") == d
    assert conflicting.files()["b"] == "theirs"
    assert conflicting.status() == []


def test_add_add_and_deleted_by_us(world: World) -> None:
    world.commit("base", x="1")
    world.mvc("switch", "-c", "topic")
    world.commit("theirs", new="theirs", x="theirs")
    world.mvc("switch", "main")
    world.commit("ours", new="ours", x=None)
    ran = world.mvc("merge", "topic", code=1)
    assert "CONFLICT (add/add): " in ran.out
    assert "deleted in HEAD and modified in topic" in ran.out
    assert world.files() == {"new": "ours", "x": "theirs"}
    world.mvc("add", "new")
    world.mvc("rm", "x")
    world.mvc("merge", "--continue")
    assert world.files() == {"new": "ours"}


def test_the_same_change_on_both_sides_is_none(world: World) -> None:
    world.commit("base", x="1", y="1")
    world.mvc("switch", "-c", "topic")
    world.commit("theirs", x="2", y=None, z="1")
    world.mvc("switch", "main")
    world.commit("ours", x="2", y=None, z="1", own="1")
    world.mvc("merge", "topic")
    assert world.files() == {"own": "1", "x": "2", "z": "1"}


def test_a_file_against_a_folder(world: World) -> None:
    world.commit("base", x="1")
    world.mvc("switch", "-c", "topic")
    world.commit("theirs", p="file")
    world.mvc("switch", "main")
    world.commit("ours", p__q="in a folder")
    world.mvc("merge", "topic", code=1)
    assert world.files() == {"p/q": "in a folder", "x": "1"}
    world.mvc("merge", "--abort")
    assert world.files() == {"p/q": "in a folder", "x": "1"}
    assert world.status() == []


def test_no_commit_and_squash(forked: World) -> None:
    forked.mvc("merge", "--no-commit", "topic")
    assert forked.status() == ["staged b", "staged c"]
    forked.mvc("merge", "--abort")
    assert forked.status() == []
    forked.mvc("merge", "--squash", "topic")
    assert forked.status() == ["staged b", "staged c"]
    forked.mvc("commit", "--no-edit", "--no-environment")
    assert len(forked.git("log", "-1", "--format=%P").split()) == 1


def test_unrelated_histories(world: World) -> None:
    world.commit("1", a="1")
    other = world.git("-c", "user.name=x", "-c", "user.email=x@y", "commit-tree", "-m", "alien", "HEAD^{tree}")
    world.git("update-ref", "refs/heads/alien", other)
    assert "no commit in common" in world.mvc("merge", "alien", code=5).err
    world.mvc("merge", "--allow-unrelated-histories", "alien")
    assert world.files() == {"a": "1"}


def test_a_criss_cross(world: World) -> None:
    world.commit("base", a="1", b="1")
    world.mvc("switch", "-c", "x")
    world.commit("x", a="2")
    world.mvc("switch", "-c", "y", "main")
    world.commit("y", b="2")
    world.mvc("branch", "y1")
    world.mvc("merge", "x")
    world.mvc("switch", "x")
    world.mvc("merge", "y1")
    world.commit("x later", a="3")
    world.mvc("switch", "y")
    world.commit("y later", b="3")
    world.mvc("merge", "x")
    assert world.files() == {"a": "3", "b": "3"}


def test_json(conflicting: World) -> None:
    found = conflicting.mvc("merge", "topic", "--json", code=1).json
    assert found["outcome"] == "conflicts"
    assert [one["path"] for one in found["conflicts"]] == ["a", "d"]


def test_models_of_some_size_merge_by_their_content(world: World) -> None:
    model = {"m__bin": "x" * 100_000}
    world.commit("base", **model, other="1")
    world.mvc("switch", "-c", "topic")
    world.commit("theirs", m__bin="y" * 100_000)
    world.mvc("switch", "main")
    world.commit("ours", other="2")
    world.mvc("merge", "topic")
    assert world.files() == {"m/bin": "y" * 100_000, "other": "2"}
