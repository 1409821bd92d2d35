from __future__ import annotations

import pytest

from tests.ops.world import World


@pytest.fixture
def two(world: World) -> World:
    world.commit("1", a="1", b="1")
    world.commit("2", a="2", c="1")
    return world


def test_soft(two: World) -> None:
    two.mvc("reset", "--soft", "HEAD~1")
    assert two.subjects() == ["1"]
    assert two.status() == ["staged a", "staged c"]
    assert two.git("reflog", "--format=%gs", "-1") == "reset: moving to HEAD~1"
    two.mvc("reset", "--soft", "ORIG_HEAD")
    assert two.subjects() == ["2", "1"]
    assert two.status() == []


def test_mixed(two: World) -> None:
    ran = two.mvc("reset", "HEAD~1")
    assert ran.out == "Unstaged changes after reset:\nM\ta\n"
    assert two.status() == ["changed a", "new c"]
    assert two.files() == {"a": "2", "b": "1", "c": "1"}


def test_hard(two: World) -> None:
    two.write("b", "edited")
    two.write("untracked", "x")
    ran = two.mvc("reset", "--hard", "HEAD~1")
    assert "HEAD is now at" in ran.err
    assert two.files() == {"a": "1", "b": "1", "untracked": "x"}
    assert two.status() == ["new untracked"]
    two.mvc("reset", "--hard", "@{1}")
    assert two.files() == {"a": "2", "b": "1", "c": "1", "untracked": "x"}


def test_paths(two: World) -> None:
    two.write("a", "3")
    two.write("new", "x")
    two.mvc("add", ".")
    assert two.mvc("reset", "--", "a", "new").err.splitlines() == ["Unstaged a", "Unstaged new"]
    assert two.status() == ["changed a", "new new"]
    two.mvc("reset", "HEAD~1", "--", "a", "c")
    assert two.status() == ["staged a", "staged c", "changed a", "new c", "new new"]
    two.mvc("reset", "--hard", "--", "a", code=2)


def test_reset_before_the_first_commit(world: World) -> None:
    world.write("a", "1")
    world.mvc("add", "a")
    world.mvc("reset")
    assert world.status() == ["new a"]


def test_reset_ends_a_merge(two: World) -> None:
    two.mvc("switch", "-c", "topic", "HEAD~1")
    two.commit("t", a="t")
    two.mvc("merge", "main", code=1)
    two.mvc("reset", "--soft", "HEAD", code=5)
    two.mvc("reset", "--hard")
    assert two.status() == []
    two.mvc("commit", "--allow-empty", "-m", "next")
    assert len(two.git("log", "-1", "--format=%P").split()) == 1


@pytest.mark.parametrize("verb", [("reset", "--hard", "HEAD~1"), ("checkout", "--force", "HEAD~1")])
def test_what_is_not_staged_any_more_is_the_users(two: World, verb: tuple[str, ...]) -> None:
    two.mvc("rm", "--cached", "c")
    two.write("c", "mine, and nowhere else")
    two.mvc(*verb)
    assert two.files() == {"a": "1", "b": "1", "c": "mine, and nowhere else"}
    assert two.status() == ["new c"]
