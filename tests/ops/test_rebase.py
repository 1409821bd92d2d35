from __future__ import annotations

import pytest

from tests.ops.world import World


@pytest.fixture
def forked(world: World) -> World:
    """HEAD on topic ("t1" adds x, "t2" changes a, "t3" adds y), main has "m1" (adds m), both from base (a=1)."""
    world.commit("base", a="1")
    world.mvc("switch", "-c", "topic")
    world.commit("t1", x="1")
    world.commit("t2", a="topic")
    world.commit("t3", y="1")
    world.mvc("switch", "main")
    world.commit("m1", m="1")
    world.mvc("switch", "topic")
    return world


@pytest.fixture
def clashing(forked: World) -> World:
    forked.mvc("switch", "main")
    forked.commit("m2", a="main")
    forked.mvc("switch", "topic")
    return forked


def test_rebase(forked: World) -> None:
    old = forked.head()
    ran = forked.mvc("rebase", "main")
    assert "Successfully rebased and updated topic" in ran.err
    assert forked.subjects() == ["t3", "t2", "t1", "m1", "base"]
    assert forked.files() == {"a": "topic", "m": "1", "x": "1", "y": "1"}
    assert forked.git("symbolic-ref", "HEAD") == "refs/heads/topic"
    assert forked.git("rev-parse", "ORIG_HEAD") == old
    assert forked.git("rev-parse", "topic@{1}") == old
    assert forked.status() == []
    assert "up to date" in forked.mvc("rebase", "main").err


def test_rebase_of_a_branch_behind_is_a_fast_forward(forked: World) -> None:
    forked.mvc("switch", "-c", "behind", "main~1")
    forked.mvc("rebase", "main")
    assert forked.head() == forked.git("rev-parse", "main")


def test_rebase_another_branch_onto(forked: World) -> None:
    forked.mvc("switch", "main")
    forked.mvc("rebase", "--onto", "main", "topic~1", "topic")
    assert forked.subjects() == ["t3", "m1", "base"]
    assert forked.git("symbolic-ref", "HEAD") == "refs/heads/topic"


def test_rebase_a_revision_onto(forked: World) -> None:
    """What is no branch is rebased with HEAD on no branch."""
    before = forked.git("rev-parse", "topic")
    forked.mvc("rebase", "main", "topic~0")
    assert forked.mvc("branch", "--show-current").out == ""
    assert forked.git("rev-parse", "topic") == before
    assert forked.git("merge-base", "HEAD", "main") == forked.git("rev-parse", "main")


def test_commits_that_are_upstream_already_are_left_out(forked: World) -> None:
    forked.mvc("switch", "main")
    forked.mvc("cherry-pick", "topic~1")
    forked.mvc("switch", "topic")
    forked.mvc("rebase", "main")
    assert forked.subjects() == ["t3", "t1", "t2", "m1", "base"]


def test_commits_on_the_right_base_are_kept_as_they_are(forked: World) -> None:
    first = forked.git("rev-parse", "HEAD~2")
    forked.mvc("rebase", "--onto", "main~1", "main")
    assert forked.git("rev-parse", "HEAD~2") == first


def test_merges_are_left_out(forked: World) -> None:
    forked.mvc("switch", "-c", "side", "topic~1")
    forked.commit("s1", s="1")
    forked.mvc("merge", "topic")
    forked.mvc("rebase", "main")
    assert sorted(forked.subjects()) == ["base", "m1", "s1", "t1", "t2", "t3"]
    assert forked.git("log", "--merges", "--format=%h") == ""


def test_a_dirty_worktree_is_refused(forked: World) -> None:
    forked.write("x", "edited")
    assert "  x" in forked.mvc("rebase", "main", code=5).err
    forked.mvc("add", "x")
    assert "  x" in forked.mvc("rebase", "main", code=5).err
    forked.mvc("reset", "--hard")
    forked.write("m", "untracked, and in the way")
    assert "  m" in forked.mvc("rebase", "main", code=5).err
    assert forked.subjects() == ["t3", "t2", "t1", "base"]
    assert forked.git("symbolic-ref", "HEAD") == "refs/heads/topic"


def test_a_conflict_and_continue(clashing: World) -> None:
    old = clashing.head()
    ran = clashing.mvc("rebase", "main", code=1)
    assert "CONFLICT (content)" in ran.out and "(2 of 3)" in ran.err
    assert clashing.mvc("branch", "--show-current").out == ""
    assert clashing.git("rev-parse", "topic") == old
    assert clashing.subjects() == ["t1", "m2", "m1", "base"]
    assert clashing.status() == ["conflict a"]
    assert "conflicts" in clashing.mvc("rebase", "--continue", code=5).err
    clashing.write("a", "both")
    clashing.mvc("add", "a")
    clashing.mvc("rebase", "--continue")
    assert clashing.subjects() == ["t3", "t2", "t1", "m2", "m1", "base"]
    assert clashing.git("symbolic-ref", "HEAD") == "refs/heads/topic"
    assert clashing.files() == {"a": "both", "m": "1", "x": "1", "y": "1"}
    assert clashing.git("rev-parse", "topic@{1}") == old
    assert clashing.status() == []


def test_a_conflict_resolved_to_nothing_drops_the_commit(clashing: World) -> None:
    clashing.mvc("rebase", "main", code=1)
    clashing.mvc("checkout", "--ours", "--", "a")
    clashing.mvc("add", "a")
    clashing.mvc("rebase", "--continue")
    assert clashing.subjects() == ["t3", "t1", "m2", "m1", "base"]


def test_a_conflict_and_skip(clashing: World) -> None:
    clashing.mvc("rebase", "main", code=1)
    clashing.mvc("rebase", "--skip")
    assert clashing.subjects() == ["t3", "t1", "m2", "m1", "base"]
    assert clashing.files()["a"] == "main"


def test_a_conflict_and_abort(clashing: World) -> None:
    old = clashing.head()
    files = clashing.files()
    clashing.mvc("rebase", "main", code=1)
    clashing.write("a", "half")
    clashing.mvc("rebase", "--abort")
    assert clashing.head() == old
    assert clashing.git("symbolic-ref", "HEAD") == "refs/heads/topic"
    assert clashing.files() == files
    assert clashing.status() == []
    assert "no rebase" in clashing.mvc("rebase", "--abort", code=5).err


def test_two_conflicts_in_a_row(clashing: World) -> None:
    clashing.commit("t4", m="topic")
    clashing.mvc("rebase", "main", code=1)
    clashing.write("a", "both")
    clashing.mvc("add", "a")
    ran = clashing.mvc("rebase", "--continue", code=1)
    assert "(4 of 4)" in ran.err
    clashing.write("m", "both")
    clashing.mvc("add", "m")
    clashing.mvc("rebase", "--continue")
    assert clashing.subjects() == ["t4", "t3", "t2", "t1", "m2", "m1", "base"]
    assert clashing.files() == {"a": "both", "m": "both", "x": "1", "y": "1"}


def test_other_verbs_wait_while_it_is_unfinished(clashing: World) -> None:
    clashing.mvc("rebase", "main", code=1)
    clashing.mvc("add", "a")
    for verb in (["merge", "main"], ["switch", "main"], ["cherry-pick", "main"], ["rebase", "main"], ["stash"]):
        assert "rebase" in clashing.mvc(*verb, code=5).err
    clashing.mvc("rebase", "--abort")


@pytest.mark.parametrize(("side", "a"), [("ours", "main"), ("theirs", "topic")])
def test_a_side_is_favoured(clashing: World, side: str, a: str) -> None:
    clashing.mvc("rebase", f"--{side}", "main")
    assert clashing.files()["a"] == a


def test_rebase_of_a_detached_head(forked: World) -> None:
    forked.mvc("switch", "--detach", "topic")
    forked.mvc("rebase", "main")
    assert forked.subjects() == ["t3", "t2", "t1", "m1", "base"]
    assert forked.mvc("branch", "--show-current").out == ""


def test_author_and_message_come_along(forked: World) -> None:
    forked.write("z", "1")
    forked.mvc("add", "z")
    forked.mvc("commit", "-m", "by another\n\nwith a body", "--author", "Else <e@example.org>", "--no-environment")
    forked.mvc("rebase", "main")
    assert forked.git("log", "-1", "--format=%an|%B") == "Else|by another\n\nwith a body"
