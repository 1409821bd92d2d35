"""Verbs of history, killed before each step that changes the disk: sound afterwards, and a repeat completes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mvc.ops.fsck import fsck
from tests import points
from tests.forked import KILLED, in_child, killer
from tests.ops.world import World

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]


@dataclass(frozen=True)
class Scenario:
    """`arguments` end with `code`, and then the worktree holds `files` and the history `subjects`."""

    prepare: Callable[[World], None]
    arguments: tuple[str, ...]
    files: dict[str, str]
    subjects: list[str]
    code: int = 0
    landed: int = 0
    """The code of a repeat where the killed run had done all but the cleaning up."""
    edited: bool = True
    """An edit of `keep` is there before, and must be there afterwards."""


def _forked(world: World) -> None:
    world.commit("base", a="1", b="1", keep="1")
    world.mvc("switch", "-c", "topic")
    world.commit("t1", b="t", x="1")
    world.commit("t2", y="1")
    world.mvc("switch", "main")
    world.commit("m1", n="1")


def _clashing(world: World) -> None:
    _forked(world)
    world.commit("m2", b="m")


def _on_topic(world: World) -> None:
    _forked(world)
    world.mvc("switch", "topic")


def _clashing_on_topic(world: World) -> None:
    _clashing(world)
    world.mvc("switch", "topic")


def _resolved_merge(world: World) -> None:
    _clashing(world)
    world.mvc("merge", "topic", code=1)
    world.write("b", "both")
    world.mvc("add", "b")


def _resolved_rebase(world: World) -> None:
    _clashing_on_topic(world)
    world.mvc("rebase", "main", code=1)
    world.write("b", "both")
    world.mvc("add", "b")


def _stopped_rebase(world: World) -> None:
    _clashing_on_topic(world)
    world.mvc("rebase", "main", code=1)


def _dirty(world: World) -> None:
    _forked(world)
    world.write("a", "2")
    world.write("b", "2")
    world.mvc("add", "b")
    world.write("new", "n")


def _stashed(world: World) -> None:
    _dirty(world)
    world.mvc("stash", "-u")


BASE = {"a": "1", "b": "1"}
MERGED = {"a": "1", "b": "t", "n": "1", "x": "1", "y": "1"}
OURS = {**MERGED, "b": "m"}
BOTH = {**MERGED, "b": "both"}
MAIN = ["m1", "base"]

SCENARIOS = {
    "merge": Scenario(_forked, ("merge", "topic", "-m", "joined"), MERGED, ["joined", "m1", "t2", "t1", "base"]),
    "merge --ff": Scenario(
        lambda world: (_forked(world), world.mvc("switch", "-c", "behind", "main~1"))[0],
        ("merge", "topic"),
        {"a": "1", "b": "t", "x": "1", "y": "1"},
        ["t2", "t1", "base"],
    ),
    "merge, conflict": Scenario(_clashing, ("merge", "topic"), OURS, ["m2", *MAIN], code=1),
    "commit of a merge": Scenario(
        _resolved_merge, ("commit", "-m", "joined"), BOTH, ["joined", "m2", "m1", "t2", "t1", "base"], landed=5
    ),
    "merge --abort": Scenario(
        _resolved_merge, ("merge", "--abort"), {**BASE, "b": "m", "n": "1"}, ["m2", *MAIN], landed=5
    ),
    "cherry-pick": Scenario(_forked, ("cherry-pick", "main..topic"), MERGED, ["t2", "t1", *MAIN], landed=1),
    "cherry-pick, conflict": Scenario(
        _clashing, ("cherry-pick", "main..topic"), {**BASE, "b": "m", "n": "1", "x": "1"}, ["m2", *MAIN], code=1
    ),
    "revert": Scenario(_forked, ("revert", "topic~2"), {"n": "1"}, ['Revert "base"', *MAIN], landed=1, edited=False),
    "rebase": Scenario(_on_topic, ("rebase", "main"), MERGED, ["t2", "t1", *MAIN], edited=False),
    "rebase, conflict": Scenario(
        _clashing_on_topic,
        ("rebase", "main"),
        {"a": "1", "b": "m", "n": "1", "x": "1"},
        ["m2", *MAIN],
        code=1,
        edited=False,
    ),
    "rebase --continue": Scenario(
        _resolved_rebase, ("rebase", "--continue"), BOTH, ["t2", "t1", "m2", *MAIN], landed=5, edited=False
    ),
    "rebase --abort": Scenario(
        _stopped_rebase,
        ("rebase", "--abort"),
        {"a": "1", "b": "t", "x": "1", "y": "1"},
        ["t2", "t1", "base"],
        landed=5,
        edited=False,
    ),
    "switch": Scenario(_forked, ("switch", "topic"), {"a": "1", "b": "t", "x": "1", "y": "1"}, ["t2", "t1", "base"]),
    "reset --hard": Scenario(
        _forked,
        ("reset", "--hard", "topic"),
        {"a": "1", "b": "t", "x": "1", "y": "1"},
        ["t2", "t1", "base"],
        edited=False,
    ),
    "stash": Scenario(_dirty, ("stash", "-u"), {**BASE, "n": "1"}, MAIN, edited=False),
    "stash pop": Scenario(
        _stashed, ("stash", "pop"), {**BASE, "a": "2", "b": "2", "n": "1", "new": "n"}, MAIN, landed=4, edited=False
    ),
}


def _run(world: World, arguments: tuple[str, ...], step: int) -> bool:
    """Run in a child that dies before its step number `step`; whether it came to that."""
    code = in_child(lambda: world.run(*arguments), killer(step))
    assert code in (0, KILLED)
    return code != 0


def _files(world: World) -> dict[str, str]:
    return {name: content for name, content in world.files().items() if name != "keep"}


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_every_step(name: str, tmp_path: Path) -> None:
    chosen = SCENARIOS[name]
    ready = World(tmp_path / "ready" / "work") if (tmp_path / "ready").mkdir() is None else None
    assert ready is not None
    chosen.prepare(ready)
    if chosen.edited:
        ready.write("keep", "edited")
    heads = {ready.git("rev-parse", ref) for ref in ("HEAD", "main", "topic")}
    for step in range(1, 1000, points.EVERY):
        folder = tmp_path / str(step)
        shutil.copytree(ready.path.parent, folder)
        world = World(folder / "work", new=False)
        killed = _run(world, chosen.arguments, step)
        where = f"{name}, killed before step {step}"
        assert not fsck(world.repo).findings, where
        assert "main" in world.git("branch", "--format=%(refname:short)").split(), where
        if not killed:
            break
        _repeat(world, chosen, where, heads)
        assert _files(world) == chosen.files, where
        assert sorted(world.subjects()) == sorted(chosen.subjects), where
        assert world.files().get("keep", "edited") == ("edited" if chosen.edited else "1") or "revert" in name, where
        assert not fsck(world.repo).findings, where
        shutil.rmtree(folder)
    assert step > 4


def _repeat(world: World, chosen: Scenario, where: str, heads: set[str]) -> None:
    """The same again, and once more after what the verb's own messages propose."""
    verb = chosen.arguments[0]
    for attempt in range(3):
        ran = world.run(*chosen.arguments)
        if ran.code == chosen.code or (chosen.landed and ran.code == chosen.landed and _is_done(world, chosen)):
            return
        assert attempt < 2, (where, ran)
        if chosen.code == 1 and verb in ("merge", "cherry-pick", "rebase"):
            stopped = world.run(verb, "--abort")
            if stopped.code:
                keep = world.read("keep")
                world.mvc("reset", "--hard")
                world.write("keep", keep)
        elif verb == "stash":
            # The stash stands, or is half taken back: what is in the way is what it holds.
            world.mvc("reset", "--hard")
            for left in ("new",):
                (world.path / left).unlink(missing_ok=True)
        else:
            raise AssertionError((where, ran))


def _is_done(world: World, chosen: Scenario) -> bool:
    return _files(world) == chosen.files and sorted(world.subjects()) == sorted(chosen.subjects)
