from __future__ import annotations

import shutil

import pytest

from tests.ops.world import World


@pytest.fixture
def two(world: World) -> World:
    world.commit("1", a="1", big="x" * 100_000)
    world.mvc("branch", "topic")
    return world


def linked(world: World, name: str = "side") -> World:
    return World(world.path.parent / name, new=False)


def test_add_and_work_in_it(two: World) -> None:
    assert "new branch 'side'" in two.mvc("worktree", "add", "../side").err
    side = linked(two)
    assert side.files() == {"a": "1", "big": "x" * 100_000}
    assert side.status() == []
    side.write("a", "2")
    side.mvc("commit", "-a", "-m", "2", "--no-environment")
    assert two.git("log", "--format=%s", "side").split() == ["2", "1"]
    assert two.subjects() == ["1"]
    assert two.files()["a"] == "1"
    two.mvc("merge", "side")
    assert two.files()["a"] == "2"


def test_a_branch_is_in_one_worktree_only(two: World) -> None:
    two.mvc("worktree", "add", "../side", "topic")
    assert "checked out" in two.mvc("switch", "topic", code=5).err
    assert "checked out" in two.mvc("worktree", "add", "../again", "topic", code=5).err
    side = linked(two)
    assert "checked out" in side.mvc("switch", "main", code=5).err
    side.mvc("switch", "-c", "third")
    two.mvc("switch", "topic")


def test_detached_and_named(two: World) -> None:
    two.mvc("worktree", "add", "--detach", "../side")
    assert linked(two).mvc("branch", "--show-current").out == ""
    two.mvc("worktree", "add", "-b", "fresh", "../other", "topic")
    rows = two.mvc("worktree", "list", "--json").json["worktrees"]
    assert [one["branch"] for one in rows] == ["refs/heads/main", "refs/heads/fresh", None]
    listed = two.mvc("worktree", "list").out
    assert "[fresh]" in listed and "(detached HEAD)" in listed


@pytest.mark.parametrize("revision", ["main~0", "main^{}", "HEAD", "@{0}", "main@{0}"])
def test_at_a_revision_that_cannot_be_a_branch(two: World, revision: str) -> None:
    two.mvc("worktree", "add", "../side", revision)
    assert linked(two).files()["a"] == "1"
    assert "(detached HEAD)" in two.mvc("worktree", "list").out


def test_remove(two: World) -> None:
    two.mvc("worktree", "add", "../side")
    side = linked(two)
    side.write("a", "edited")
    side.write("new", "x")
    ran = two.mvc("worktree", "remove", "side", code=5)
    assert "  a" in ran.err and "  new" in ran.err
    assert side.files()["a"] == "edited"
    two.mvc("worktree", "remove", "--force", "../side")
    assert not side.path.exists()
    assert len(two.mvc("worktree", "list").out.splitlines()) == 1
    two.mvc("worktree", "remove", "side", code=4)


def test_prune_and_lock(two: World) -> None:
    two.mvc("worktree", "add", "../side")
    two.mvc("worktree", "lock", "side", "--reason", "on a stick")
    assert "on a stick" in two.mvc("worktree", "remove", "side", code=5).err
    shutil.rmtree(two.path.parent / "side")
    assert two.mvc("worktree", "prune").out == ""
    two.mvc("worktree", "unlock", "side")
    assert "would forget side" in two.mvc("worktree", "prune", "--dry-run").out
    assert "forgot side" in two.mvc("worktree", "prune").out
    assert len(two.mvc("worktree", "list").out.splitlines()) == 1


def test_a_folder_that_holds_something(two: World) -> None:
    two.write("../side/x", "mine")
    two.mvc("worktree", "add", "../side", code=5)
    assert (two.path.parent / "side" / "x").read_text() == "mine"


def test_operations_of_worktrees_are_their_own(two: World) -> None:
    two.mvc("worktree", "add", "../side")
    side = linked(two)
    side.commit("s", a="side")
    two.commit("m", a="main")
    side.mvc("merge", "main", code=1)
    two.commit("m2", b="1")
    assert side.status() == ["conflict a"]
    side.mvc("merge", "--abort")
    assert side.status() == []
