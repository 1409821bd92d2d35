"""State files of an unfinished operation, as a damaged or hostile repository may hold them: one clear error."""

from __future__ import annotations

import pytest

from tests.ops.world import World

NONSENSE = (
    b"",
    b"\n",
    b"\0",
    b"\xff\xfe",
    b"x" * 5000,
    b"9" * 5000,
    b"-1",
    b"\xd9\xa1\xd9\xa2",
    b"refs/../../../etc/passwd",
)
REBASE = ("git-rebase-todo", "opts", "msgnum", "end", "head-name", "onto", "orig-head", "abort-safety", "stopped-sha")
SEQUENCER = ("todo", "opts", "head", "abort-safety")
OPTS = (b"favour = nobody\n", b"mainline = x\n", b"mainline = " + b"9" * 5000 + b"\n", b"mainline = -7\n", b"=\n=")
TODO = (b"pick x y\n", b"pick " + b"z" * 40 + b" s\n", b"pick " + b"1" * 40 + b" s\n", b"exec rm -rf /\n")


def conflict(world: World) -> None:
    world.commit("1", a="1\n", c="1\n")
    world.mvc("branch", "topic")
    world.commit("2", a="2\n")
    world.mvc("switch", "-q", "topic")
    world.commit("3", a="3\n")
    world.commit("4", c="4\n")


def look(world: World, verb: str) -> None:
    """Whatever is asked: an exit code for it, never 70 (`World.run` raises then), and --quit ends it."""
    for arguments in (["status"], [verb, "--continue"], [verb, "--abort"], ["commit", "-m", "x", "--no-environment"]):
        ran = world.run(*arguments)
        assert "Traceback" not in ran.err
        assert ran.err.count("error: ") <= 1, ran
    world.run(verb, "--quit")


@pytest.mark.parametrize("name", REBASE)
def test_rebase(world: World, name: str) -> None:
    conflict(world)
    for content in (*NONSENSE, *(OPTS if name == "opts" else TODO if name == "git-rebase-todo" else ())):
        world.mvc("reset", "-q", "--hard")
        world.mvc("checkout", "-q", "--force", "topic")
        world.run("rebase", "main")
        place = world.repo.git_dir / "rebase-merge" / name
        if place.parent.is_dir():
            place.write_bytes(content)
        look(world, "rebase")


@pytest.mark.parametrize("verb", ["cherry-pick", "revert"])
@pytest.mark.parametrize("name", SEQUENCER)
def test_cherry_pick_and_revert(world: World, verb: str, name: str) -> None:
    conflict(world)
    world.mvc("switch", "-q", "main")
    for content in (*NONSENSE, *(OPTS if name == "opts" else TODO if name == "todo" else ())):
        world.mvc("reset", "-q", "--hard")
        world.run(verb, "topic~1", "topic")
        place = world.repo.git_dir / "sequencer" / name
        if place.parent.is_dir():
            place.write_bytes(content)
        look(world, verb)


def test_it_is_told_what_makes_no_sense(world: World) -> None:
    conflict(world)
    world.run("rebase", "main")
    (world.repo.git_dir / "rebase-merge/opts").write_text("favour = nobody\n")
    ran = world.mvc("rebase", "--continue", code=6)
    assert "opts makes no sense: 'nobody'" in ran.err and "mvc rebase --quit" in ran.err


@pytest.mark.parametrize("name", ["MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "ORIG_HEAD"])
def test_merge(world: World, name: str) -> None:
    conflict(world)
    for content in NONSENSE:
        world.mvc("reset", "-q", "--hard")
        world.run("merge", "main")
        (world.repo.git_dir / name).write_bytes(content)
        look(world, "merge")
        for left in ("MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "ORIG_HEAD"):
            (world.repo.git_dir / left).unlink(missing_ok=True)


@pytest.mark.parametrize("name", ["START", "LOG", "TERMS", "EXPECTED_REV", "NAMES"])
def test_bisect(world: World, name: str) -> None:
    conflict(world)
    for content in NONSENSE:
        world.run("bisect", "start", "topic", "topic~2")
        (world.repo.git_dir / f"BISECT_{name}").write_bytes(content)
        for arguments in (["status"], ["bisect", "log"], ["bisect", "good"], ["bisect", "bad"], ["bisect", "reset"]):
            ran = world.run(*arguments)
            assert "Traceback" not in ran.err and ran.err.count("error: ") <= 1, ran
        for left in world.repo.git_dir.glob("BISECT_*"):
            left.unlink()
        world.mvc("checkout", "-q", "--force", "topic")
