from __future__ import annotations

import pytest

from tests.ops.world import World


@pytest.fixture
def dirty(world: World) -> World:
    """a edited, b staged, c removed, big (chunked) edited, new untracked."""
    world.commit("base", a="1", b="1", c="1", big="x" * 100_000)
    world.write("a", "2")
    world.write("b", "2")
    world.mvc("add", "b")
    (world.path / "c").unlink()
    world.write("big", "y" * 100_000)
    world.write("new", "n")
    return world


CLEAN = {"a": "1", "b": "1", "c": "1", "big": "x" * 100_000}
DIRTY = {"a": "2", "b": "2", "big": "y" * 100_000}


def test_push_and_pop(dirty: World) -> None:
    assert "WIP on main" in dirty.mvc("stash").err
    assert dirty.files() == {**CLEAN, "new": "n"}
    assert dirty.status() == ["new new"]
    assert dirty.mvc("stash", "list").out == f"stash@{{0}}: WIP on main: {dirty.head()[:7]} base\n"
    assert dirty.git("reflog", "--format=%gd: %gs", "refs/stash").startswith("stash@{0}: WIP on main: ")
    dirty.mvc("stash", "pop")
    assert dirty.files() == {**DIRTY, "new": "n"}
    assert dirty.status() == ["changed a", "changed b", "changed big", "changed c", "new new"]
    assert dirty.mvc("stash", "list").out == ""
    assert dirty.git("for-each-ref", "refs/stash") == ""


def test_pop_can_stage_again(dirty: World) -> None:
    dirty.mvc("stash")
    dirty.mvc("stash", "pop", "--index")
    assert dirty.files() == {**DIRTY, "new": "n"}
    assert dirty.status() == ["staged b", "changed a", "changed big", "changed c", "new new"]


def test_with_untracked_files(dirty: World) -> None:
    dirty.mvc("stash", "-u", "-m", "all of it")
    assert dirty.files() == CLEAN
    assert dirty.status() == []
    assert dirty.git("ls-tree", "--name-only", "stash^3") == "new"
    shown = dirty.mvc("stash", "show").out
    assert [line.split()[:2] for line in shown.splitlines()[:-1]] == [
        ["M", "a"],
        ["M", "b"],
        ["M", "big"],
        ["D", "c"],
        ["A", "new"],
    ]
    dirty.mvc("stash", "apply")
    assert dirty.files() == {**DIRTY, "new": "n"}
    assert dirty.mvc("stash", "list").out == "stash@{0}: On main: all of it\n"


def test_what_changed_in_it_is_told_as_diff_tells_it(dirty: World) -> None:
    told, found = dirty.mvc("diff", "HEAD").out, dirty.mvc("diff", "HEAD", "--json").json
    assert "@@" in told
    dirty.mvc("stash")
    assert dirty.mvc("stash", "show", "-p").out == told
    assert dirty.mvc("stash", "show", "--patch", "--json").json["files"] == found["files"]
    assert "@@" not in dirty.mvc("stash", "show").out


def test_an_untracked_file_in_the_way_of_pop(dirty: World) -> None:
    dirty.mvc("stash", "-u")
    dirty.write("new", "other")
    assert "  new" in dirty.mvc("stash", "pop", code=5).err
    assert dirty.read("new") == "other"
    assert dirty.files()["a"] == "1"


def test_new_staged_files(world: World) -> None:
    world.commit("base", a="1")
    world.write("fresh", "f")
    world.mvc("add", "fresh")
    world.mvc("stash")
    assert world.files() == {"a": "1"}
    world.mvc("stash", "pop")
    assert world.status() == ["staged fresh"]


def test_only_some_paths(dirty: World) -> None:
    dirty.mvc("stash", "push", "a", "big")
    assert dirty.status() == ["staged b", "changed c", "new new"]
    assert "none" in dirty.mvc("stash", "push", "none", code=4).err
    dirty.mvc("stash", "pop")
    assert dirty.files() == {**DIRTY, "new": "n"}


def test_keep_index(dirty: World) -> None:
    dirty.mvc("stash", "--keep-index")
    assert dirty.status() == ["staged b", "new new"]
    assert dirty.read("b") == "2"


def test_nothing_to_stash(world: World) -> None:
    world.commit("base", a="1")
    assert "No local changes" in world.mvc("stash").err
    assert "no stash" in world.mvc("stash", "pop", code=4).err


def test_several_and_drop(world: World) -> None:
    world.commit("base", a="1")
    for text in "xyz":
        world.write("a", text)
        world.mvc("stash", "-m", text)
    assert [line.split()[-1] for line in world.mvc("stash", "list").out.splitlines()] == ["z", "y", "x"]
    world.mvc("stash", "drop", "stash@{1}")
    assert [line.split()[-1] for line in world.mvc("stash", "list").out.splitlines()] == ["z", "x"]
    world.mvc("stash", "drop")
    assert [line.split()[-1] for line in world.mvc("stash", "list").out.splitlines()] == ["x"]
    assert world.git("reflog", "--format=%gd: %gs", "refs/stash") == "stash@{0}: On main: x"
    world.mvc("stash", "pop", "0")
    assert world.read("a") == "x"
    world.mvc("stash", "drop", "3", code=4)


@pytest.mark.parametrize("name", ["9" * 5000, "stash@{1}", "stash@{x}", "-1", "", "²"])
def test_a_stash_that_is_none(dirty: World, name: str) -> None:
    dirty.mvc("stash")
    for verb in ("drop", "pop", "apply", "show"):
        assert "there is no stash" in dirty.mvc("stash", verb, "--", name, code=4).err


def test_clear_asks(world: World) -> None:
    world.commit("base", a="1")
    world.write("a", "2")
    world.mvc("stash")
    world.mvc("stash", "clear", code=2)
    world.mvc("stash", "clear", "--yes")
    assert world.mvc("stash", "list").out == ""


def test_pop_on_top_of_other_commits(dirty: World) -> None:
    dirty.mvc("stash")
    dirty.commit("elsewhere", other="1")
    dirty.mvc("stash", "pop")
    assert dirty.files() == {**DIRTY, "new": "n", "other": "1"}


def test_pop_that_conflicts_keeps_the_stash(dirty: World) -> None:
    dirty.mvc("stash")
    dirty.commit("clash", a="other")
    ran = dirty.mvc("stash", "pop", code=1)
    assert "CONFLICT (content)" in ran.out and "kept" in ran.err
    assert "conflict a" in dirty.status()
    assert dirty.mvc("stash", "list").out != ""
    dirty.mvc("checkout", "--theirs", "--", "a")
    assert dirty.read("a") == "2"
    dirty.mvc("add", "a")
    dirty.mvc("stash", "drop")


def test_an_edit_in_the_way_of_pop(dirty: World) -> None:
    dirty.mvc("stash")
    dirty.write("a", "mine")
    assert "  a" in dirty.mvc("stash", "pop", code=5).err
    assert dirty.read("a") == "mine"


def test_stashed_objects_survive_git_gc(dirty: World) -> None:
    dirty.mvc("stash", "-u")
    dirty.git("gc", "-q", "--prune=now")
    dirty.mvc("stash", "pop")
    assert dirty.files() == {**DIRTY, "new": "n"}


@pytest.mark.parametrize("flags", [(), ("-u",)])
def test_a_file_that_was_unstaged_is_put_aside_as_well(world: World, flags: tuple[str, ...]) -> None:
    world.commit("base", a="1")
    world.mvc("rm", "--cached", "a")
    world.write("a", "mine, and nowhere else")
    world.mvc("stash", *flags)
    assert world.files() == {"a": "1"} and world.status() == []
    world.mvc("stash", "pop")
    assert world.files() == {"a": "mine, and nowhere else"}
    assert world.status() == ["changed a"]
