from __future__ import annotations

import pytest

from tests.ops.world import World


@pytest.fixture
def two(world: World) -> World:
    """Branches main (a=1, b=1) and topic (a=2, b=1, c=1), with HEAD on main."""
    world.commit("1", a="1", b="1")
    world.mvc("switch", "-c", "topic")
    world.commit("2", a="2", c="1")
    world.mvc("switch", "main")
    return world


def test_there_and_back(two: World) -> None:
    assert two.files() == {"a": "1", "b": "1"}
    assert "Switched to branch 'topic'" in two.mvc("switch", "topic").err
    assert two.files() == {"a": "2", "b": "1", "c": "1"}
    assert two.git("symbolic-ref", "HEAD") == "refs/heads/topic"
    two.mvc("switch", "-")
    assert two.files() == {"a": "1", "b": "1"}
    assert two.git("reflog", "--format=%gs", "-1") == "checkout: moving from topic to main"
    two.mvc("checkout", "-")
    assert two.git("rev-parse", "--abbrev-ref", "HEAD") == "topic"


def test_only_files_that_differ_are_written(two: World) -> None:
    before = (two.path / "b").stat()
    two.mvc("switch", "topic")
    after = (two.path / "b").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_changes_that_do_not_collide_come_along(two: World) -> None:
    two.write("b", "edited")
    two.write("new", "x")
    two.mvc("add", "new")
    ran = two.mvc("switch", "topic")
    assert ran.out == "M\tb\nA\tnew\n"
    assert two.files() == {"a": "2", "b": "edited", "c": "1", "new": "x"}
    assert two.status() == ["staged new", "changed b"]


@pytest.mark.parametrize("staged", [False, True])
def test_changes_that_collide_are_refused(two: World, staged: bool) -> None:
    two.write("a", "edited")
    if staged:
        two.mvc("add", "a")
    ran = two.mvc("switch", "topic", code=5)
    assert "  a" in ran.err and "overwritten" in ran.err
    assert two.read("a") == "edited"
    assert two.git("symbolic-ref", "HEAD") == "refs/heads/main"
    two.mvc("switch", "--force", "topic")
    assert two.files() == {"a": "2", "b": "1", "c": "1"}
    assert two.status() == []


def test_an_untracked_file_in_the_way_is_refused_unless_it_is_the_same(two: World) -> None:
    two.write("c", "mine")
    assert "  c" in two.mvc("switch", "topic", code=5).err
    assert two.files() == {"a": "1", "b": "1", "c": "mine"}
    two.write("c", "1")
    two.mvc("switch", "topic")
    assert two.status() == []


def test_what_equals_its_target_already_is_no_work(two: World) -> None:
    two.write("a", "2")
    two.mvc("switch", "topic")
    assert two.status() == []


def test_detached_heads(two: World) -> None:
    assert "--detach" in two.mvc("switch", "HEAD~0", code=5).err
    two.mvc("switch", "--detach", "topic")
    assert two.mvc("branch", "--show-current").out == ""
    two.commit("lost", d="1")
    lost = two.head()
    ran = two.mvc("checkout", "main")
    assert "1 commit left behind" in ran.err and lost[:7] in ran.err
    two.mvc("checkout", "topic~1")
    assert two.head() == two.git("rev-parse", "main")
    assert "on no branch" in two.mvc("checkout", "-").err or two.git("symbolic-ref", "HEAD") == "refs/heads/main"


def test_new_branches(two: World) -> None:
    assert "exists already" in two.mvc("switch", "-c", "topic", code=5).err
    two.mvc("switch", "-c", "third", "topic")
    assert two.head() == two.git("rev-parse", "topic")
    assert two.files() == {"a": "2", "b": "1", "c": "1"}
    two.mvc("switch", "-C", "third", "main")
    assert two.head() == two.git("rev-parse", "main")
    two.mvc("checkout", "-b", "fourth")
    assert two.mvc("branch", "--show-current").out.strip() == "fourth"
    two.mvc("switch", "-c", "bad..name", code=2)


def test_a_new_branch_before_the_first_commit(world: World) -> None:
    world.write("a", "1")
    world.mvc("add", "a")
    world.mvc("switch", "-c", "start")
    world.mvc("commit", "-m", "1")
    assert world.git("for-each-ref", "--format=%(refname)") == "refs/heads/start"


def test_a_branch_of_one_remote_is_made_here(two: World) -> None:
    two.git("update-ref", "refs/remotes/origin/far", two.git("rev-parse", "topic"))
    two.mvc("checkout", "far")
    assert two.git("rev-parse", "refs/heads/far") == two.git("rev-parse", "topic")
    two.mvc("switch", "main")
    assert "near" in two.mvc("switch", "near", code=4).err or True


def test_a_name_that_is_none(two: World) -> None:
    assert "topic" in two.mvc("switch", "topik", code=4).err


def test_checkout_of_paths(two: World) -> None:
    two.write("a", "edited")
    assert "Updated 1 path from the stage" in two.mvc("checkout", "--", "a").err
    assert two.read("a") == "1"
    two.mvc("checkout", "topic", "--", "a", "c")
    assert two.files() == {"a": "2", "b": "1", "c": "1"}
    assert two.status() == ["staged a", "staged c"]
    (two.path / "a").unlink()
    two.mvc("checkout", "a")
    assert two.read("a") == "2"
    assert "nowhere" in two.mvc("checkout", "nowhere", code=4).err


def test_restore(two: World) -> None:
    two.write("a", "edited")
    two.mvc("add", "a")
    two.mvc("restore", "--staged", "a")
    assert two.status() == ["changed a"]
    two.mvc("restore", "a")
    assert two.status() == []
    two.mvc("restore", "--source", "topic", ".")
    assert two.files() == {"a": "2", "b": "1", "c": "1"}
    assert two.status() == ["changed a", "new c"]
    two.mvc("restore", "--source", "main", "--staged", "--worktree", ".")
    assert two.status() == ["new c"]
    two.mvc("restore", "none", code=4)


def test_restore_from_a_source_removes_what_it_does_not_have(two: World) -> None:
    two.mvc("switch", "topic")
    two.mvc("restore", "--source", "main", "--staged", "--worktree", ".")
    assert two.files() == {"a": "1", "b": "1"}
    two.mvc("restore", "--source", "HEAD", "--staged", "--worktree", ".")
    two.mvc("checkout", "main", "--", ".")
    assert two.files() == {"a": "1", "b": "1", "c": "1"}


def test_restore_in_a_folder(two: World) -> None:
    two.commit("sub", sub__x="1", sub__y="1")
    two.write("sub/x", "2")
    two.write("sub/y", "2")
    two.mvc("restore", "x", cwd="sub")
    assert (two.read("sub/x"), two.read("sub/y")) == ("1", "2")


def test_a_file_becomes_a_folder_and_back(world: World) -> None:
    world.commit("file", a="1")
    world.mvc("switch", "-c", "folder")
    (world.path / "a").unlink()
    world.commit("folder", a__b="1")
    world.mvc("switch", "main")
    assert world.files() == {"a": "1"}
    world.mvc("switch", "folder")
    assert world.files() == {"a/b": "1"}
    world.write("a/mine", "x")
    assert "a/mine" in world.mvc("switch", "main", code=5).err
    assert world.files() == {"a/b": "1", "a/mine": "x"}


def test_links_and_executables(world: World) -> None:
    (world.path / "link").symlink_to("target")
    world.write("run.sh", "#!/bin/sh\n")
    (world.path / "run.sh").chmod(0o755)
    world.mvc("add", ".")
    world.mvc("commit", "-m", "1", "--no-environment")
    world.mvc("switch", "-c", "other")
    (world.path / "link").unlink()
    world.write("link", "no link")
    (world.path / "run.sh").chmod(0o644)
    world.mvc("commit", "-a", "-m", "2", "--no-environment")
    assert world.git("ls-tree", "HEAD").count("100644") == 2
    world.mvc("switch", "main")
    assert (world.path / "link").is_symlink()
    assert (world.path / "run.sh").stat().st_mode & 0o111
    world.mvc("switch", "other")
    assert not (world.path / "link").is_symlink()
    assert not (world.path / "run.sh").stat().st_mode & 0o111
    assert world.status() == []


def test_back_to_where_nobody_was(world: World) -> None:
    world.commit("one", a="1")
    assert "nothing was checked out before" in world.mvc("switch", "-", code=4).err


def test_an_orphan_begins_anew(two: World) -> None:
    two.write("new", "x")
    two.mvc("add", "new")
    two.write("untracked", "x")
    ran = two.mvc("switch", "--orphan", "fresh")
    assert (ran.out, ran.err) == ("A\tnew\n", "Switched to a new branch 'fresh'\n")
    assert two.git("symbolic-ref", "HEAD") == "refs/heads/fresh"
    assert two.files() == {"new": "x", "untracked": "x"}
    assert two.mvc("status", "--porcelain").out == "A  new\n?? untracked\n"
    two.mvc("commit", "-m", "anew", "--no-environment")
    assert two.subjects() == ["anew"]
    two.mvc("switch", "main")
    assert two.files() == {"a": "1", "b": "1", "untracked": "x"}


def test_an_orphan_takes_no_changes_and_no_name_that_is_there(two: World) -> None:
    assert "exists" in two.mvc("switch", "--orphan", "topic", code=5).err
    for more in (["main"], ["-c", "x"], ["--detach"], ["--track"]):
        two.mvc("switch", "--orphan", "fresh", *more, code=2)
    two.write("a", "edited")
    assert "overwritten" in two.mvc("switch", "--orphan", "fresh", code=5).err
    assert two.files() == {"a": "edited", "b": "1"}
    assert two.git("symbolic-ref", "HEAD") == "refs/heads/main"
    two.mvc("switch", "--force", "--orphan", "fresh")
    assert two.files() == {} and two.status() == []
    two.mvc("switch", "--orphan", "again")
    two.mvc("switch", "main")
    assert two.files() == {"a": "1", "b": "1"}


def test_an_orphan_from_a_detached_head_tells_what_is_left(two: World) -> None:
    two.mvc("switch", "--detach", "main")
    two.commit("3", a="3")
    left = two.head()
    assert f"mvc branch NAME {left[:7]}" in two.mvc("switch", "--orphan", "fresh").err
    assert two.files() == {}
