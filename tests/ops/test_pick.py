from __future__ import annotations

import pytest

from tests.ops.world import World


@pytest.fixture
def series(world: World) -> World:
    """topic on top of main: "add b", "change a", "add c"; main has "ours" (a=ours) of its own."""
    world.commit("base", a="1")
    world.mvc("switch", "-c", "topic")
    world.commit("add b", b="1")
    world.commit("change a", a="2")
    world.commit("add c", c="1")
    world.mvc("switch", "main")
    return world


@pytest.fixture
def clashing(series: World) -> World:
    series.commit("ours", a="ours")
    return series


def test_pick_one(series: World) -> None:
    ran = series.mvc("cherry-pick", "topic")
    assert ran.out.strip().endswith("] add c")
    assert series.files() == {"a": "1", "c": "1"}
    assert series.subjects() == ["add c", "base"]
    assert series.git("reflog", "--format=%gs", "-1") == "cherry-pick: add c"
    assert series.git("log", "-1", "--format=%at") == series.git("log", "-1", "--format=%at", "topic")


def test_pick_a_range(series: World) -> None:
    series.mvc("cherry-pick", "main..topic")
    assert series.subjects() == ["add c", "change a", "add b", "base"]
    assert series.status() == []


def test_minus_x_tells_where_it_comes_from(series: World) -> None:
    origin = series.git("rev-parse", "topic")
    series.mvc("cherry-pick", "-x", "topic")
    assert series.git("log", "-1", "--format=%b") == f"(cherry picked from commit {origin})"


def test_no_commit_stages(series: World) -> None:
    series.mvc("cherry-pick", "-n", "topic~2", "topic")
    assert series.status() == ["staged b", "staged c"]
    assert series.subjects() == ["base"]
    series.write("b", "edited")
    series.mvc("revert", "-n", "topic", code=0)
    assert series.status() == ["staged b", "changed b"]


def test_metadata_stays_with_the_picked_commit(series: World) -> None:
    series.mvc("switch", "topic")
    series.write("d", "1")
    series.mvc("add", "d")
    series.mvc("commit", "-m", "measured", "--metric", "acc=0.9")
    series.mvc("switch", "main")
    ran = series.mvc("cherry-pick", "topic")
    assert "metrics of 1 commit stay" in ran.err
    assert ".mvcmeta" not in series.git("ls-tree", "--name-only", "HEAD")


def test_a_conflict_and_continue(clashing: World) -> None:
    ran = clashing.mvc("cherry-pick", "main~1..topic", code=1)
    assert "CONFLICT (content)" in ran.out and "could not cherry-pick" in ran.err
    assert clashing.subjects() == ["add b", "ours", "base"]
    assert clashing.status() == ["conflict a"]
    assert "conflicts" in clashing.mvc("cherry-pick", "--continue", code=5).err
    clashing.write("a", "both")
    clashing.mvc("add", "a")
    clashing.mvc("cherry-pick", "--continue")
    assert clashing.subjects() == ["add c", "change a", "add b", "ours", "base"]
    assert clashing.files() == {"a": "both", "b": "1", "c": "1"}
    assert clashing.status() == []
    assert "no cherry-pick" in clashing.mvc("cherry-pick", "--continue", code=5).err


def test_a_conflict_and_commit_then_continue(clashing: World) -> None:
    clashing.mvc("cherry-pick", "main~1..topic", code=1)
    clashing.write("a", "both")
    clashing.mvc("add", "a")
    clashing.mvc("commit", "--no-edit", "--no-environment")
    assert clashing.subjects()[0] == "change a"
    assert clashing.git("reflog", "--format=%gs", "-1") == "commit (cherry-pick): change a"
    assert "in progress" in clashing.mvc("cherry-pick", "topic", code=5).err
    clashing.mvc("cherry-pick", "--continue")
    assert clashing.subjects()[0] == "add c"


def test_a_conflict_and_skip(clashing: World) -> None:
    clashing.mvc("cherry-pick", "main~1..topic", code=1)
    clashing.mvc("cherry-pick", "--skip")
    assert clashing.subjects() == ["add c", "add b", "ours", "base"]
    assert clashing.files() == {"a": "ours", "b": "1", "c": "1"}


def test_a_conflict_and_abort(clashing: World) -> None:
    clashing.write("untouched", "x")
    before = clashing.head()
    clashing.mvc("cherry-pick", "main~1..topic", code=1)
    clashing.mvc("cherry-pick", "--abort")
    assert clashing.head() == before
    assert clashing.files() == {"a": "ours", "untouched": "x"}
    assert clashing.status() == ["new untouched"]


def test_a_conflict_and_quit(clashing: World) -> None:
    clashing.mvc("cherry-pick", "topic~1", code=1)
    clashing.mvc("cherry-pick", "--quit")
    assert clashing.status() == ["conflict a"]
    clashing.mvc("reset", "--hard")
    assert clashing.status() == []


@pytest.mark.parametrize(("side", "a"), [("ours", "ours"), ("theirs", "2")])
def test_a_side_is_favoured(clashing: World, side: str, a: str) -> None:
    clashing.mvc("cherry-pick", f"--{side}", "main~1..topic", code=1 if side == "ours" else 0)
    if side == "ours":
        clashing.mvc("cherry-pick", "--skip")
    assert clashing.files() == {"a": a, "b": "1", "c": "1"}


def test_a_pick_that_changes_nothing_stops(series: World) -> None:
    series.mvc("cherry-pick", "topic")
    ran = series.mvc("cherry-pick", "topic", code=1)
    assert "changes nothing" in ran.err
    series.mvc("cherry-pick", "--skip")
    assert series.subjects() == ["add c", "base"]
    series.mvc("cherry-pick", "--allow-empty", "topic")
    assert series.subjects() == ["add c", "add c", "base"]


def test_uncommitted_work_in_the_way(series: World) -> None:
    series.write("c", "mine")
    assert "  c" in series.mvc("cherry-pick", "topic", code=5).err
    series.mvc("add", "c")
    assert "  c" in series.mvc("cherry-pick", "topic", code=5).err
    assert series.files() == {"a": "1", "c": "mine"}
    series.mvc("rm", "--cached", "c")
    series.write("c", "1")
    series.write("a", "edited")
    series.mvc("cherry-pick", "topic")
    assert series.status() == ["changed a"]


def test_revert(series: World) -> None:
    series.mvc("switch", "topic")
    reverted = series.git("rev-parse", "HEAD~1")
    series.mvc("revert", "HEAD~1")
    assert series.files() == {"a": "1", "b": "1", "c": "1"}
    assert series.git("log", "-1", "--format=%B") == f'Revert "change a"\n\nThis reverts commit {reverted}.'
    series.mvc("revert", "HEAD")
    assert series.subjects()[0] == 'Reapply "change a"'
    assert series.files() == {"a": "2", "b": "1", "c": "1"}


def test_revert_a_range_newest_first(series: World) -> None:
    series.mvc("switch", "topic")
    series.mvc("revert", "main..topic")
    assert series.files() == {"a": "1"}
    assert series.subjects()[:3] == ['Revert "add b"', 'Revert "change a"', 'Revert "add c"']


def test_revert_the_first_commit(world: World) -> None:
    world.commit("base", a="1")
    world.mvc("revert", "HEAD")
    assert world.files() == {}


def test_revert_that_conflicts(series: World) -> None:
    series.mvc("switch", "topic")
    series.commit("later", a="3")
    series.mvc("revert", "HEAD~2", code=1)
    assert series.status() == ["conflict a"]
    series.mvc("revert", "--abort")
    assert series.status() == [] and series.read("a") == "3"
    series.mvc("revert", "HEAD~2", code=1)
    series.write("a", "1")
    series.mvc("add", "a")
    series.mvc("revert", "--continue")
    assert series.subjects()[0] == 'Revert "change a"'


def test_a_merge_wants_a_mainline(series: World) -> None:
    series.commit("own", own="1")
    series.mvc("merge", "topic")
    assert "-m 1" in series.mvc("revert", "HEAD", code=5).err
    series.mvc("revert", "-m", "1", "HEAD")
    assert series.files() == {"a": "1", "own": "1"}
    assert "reversing" in series.git("log", "-1", "--format=%b")


def test_json(clashing: World) -> None:
    found = clashing.mvc("cherry-pick", "main~1..topic", "--json", code=1).json
    assert [one["summary"] for one in found["made"]] == ["add b"]
    assert found["remaining"] == 1 and found["conflicts"][0]["path"] == "a"
