"""Killed at every step that changes the disk, and at random moments: the repository stays whole, a repeat completes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mvc import renaming
from mvc.ops.fsck import fsck
from mvc.repo import replacing
from mvc.repo.ignore import LEFTOVER_PREFIX
from mvc.repo.repository import Repository
from tests import forked, points
from tests.models import fine_tuned, layers, to_bf16, write_model

pytestmark = pytest.mark.skipif(not hasattr(forked.os, "fork"), reason="needs fork")

REFUSED = 5


@pytest.fixture(autouse=True)
def every_file_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that files take others' places as large ones do (mvc.repo.replacing)."""
    monkeypatch.setattr(replacing, "_LARGE", 1)


@dataclass(frozen=True)
class Scenario:
    """A repository ready for `arguments`, and what must hold after that has been completed."""

    arguments: tuple[str, ...]
    prepare: Callable[[Path], None]
    expect: Callable[[Path], None]


def _mvc(work: Path, *arguments: str) -> None:
    assert forked.run(arguments, work) == 0, forked.output()


def _begin(work: Path) -> None:
    work.mkdir(parents=True)
    _mvc(work, "init", "-q")
    _mvc(work, "config", "user.name", "A Tester")
    _mvc(work, "config", "user.email", "tester@example.org")
    write_model(work / "model.safetensors", layers())
    (work / "notes.txt").write_text("one\n")
    (work / "folder").mkdir()
    (work / "folder/old.txt").write_text("old\n")


def _change(work: Path) -> None:
    write_model(work / "model.safetensors", fine_tuned(layers()))
    write_model(work / "cast.safetensors", {name: to_bf16(array) for name, array in layers().items()})
    (work / "notes.txt").write_text("two\n")
    (work / "folder/old.txt").unlink()
    (work / "new.txt").write_text("new\n")


def _first(work: Path) -> None:
    _begin(work)
    _mvc(work, "add", ".")
    _mvc(work, "commit", "-q", "-m", "one")
    _mvc(work, "tag", "v1")


def _changed(work: Path) -> None:
    _first(work)
    _change(work)


def _staged(work: Path) -> None:
    _changed(work)
    _mvc(work, "add", "-A")


def _second(work: Path) -> None:
    _staged(work)
    _mvc(work, "commit", "-q", "-m", "two")


def _garbage(work: Path) -> None:
    _second(work)
    _mvc(work, "reset", "-q", "--hard", "v1")
    _mvc(work, "reflog", "expire", "--expire=now", "--all")


def _log(work: Path) -> list[str]:
    git = ["git", f"--git-dir={work / '.mvc'}", "log", "--format=%s"]
    return subprocess.run(git, check=True, capture_output=True, text=True).stdout.split()


def _files(work: Path) -> dict[str, bytes]:
    paths = [path for path in work.rglob("*") if path.is_file() and ".mvc" not in path.parts]
    return {path.relative_to(work).as_posix(): path.read_bytes() for path in paths}


def _is_first(work: Path) -> None:
    assert set(_files(work)) == {"model.safetensors", "notes.txt", "folder/old.txt"}
    assert _files(work)["notes.txt"] == b"one\n"


def _is_second(work: Path) -> None:
    assert _log(work) == ["two", "one"]
    _mvc(work, "status", "--porcelain")
    assert forked.output() == ""


def _is_staged(work: Path) -> None:
    _mvc(work, "commit", "-q", "-m", "two")
    _is_second(work)


SCENARIOS = {
    "add": Scenario(("add", "-A"), _changed, _is_staged),
    "commit": Scenario(("commit", "-q", "-m", "two"), _staged, _is_second),
    "commit -a": Scenario(("commit", "-q", "-a", "-m", "two"), _changed, lambda work: None),
    "checkout": Scenario(("checkout", "-q", "v1"), _second, _is_first),
    "reset": Scenario(("reset", "-q", "--hard", "v1"), _second, _is_first),
    "gc": Scenario(("gc", "-q", "--prune=now", "--yes"), _garbage, _is_first),
}


@pytest.fixture(scope="module", params=list(SCENARIOS))
def scenario(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Scenario, Path]]:
    chosen = SCENARIOS[request.param]
    ready = tmp_path_factory.mktemp("ready") / "work"
    chosen.prepare(ready)
    yield chosen, ready


def _copy(ready: Path, tmp_path: Path, name: object) -> Path:
    work = tmp_path / str(name) / "work"
    shutil.copytree(ready, work, symlinks=True)
    return work


def _check(work: Path, chosen: Scenario, before: list[str], where: object) -> None:
    """After the crash: sound; the old or the new; and the repeat completes."""
    repo = Repository.discover(work)
    assert not fsck(repo).findings, where
    log = _log(work)
    assert log in (before, ["two", *before], before[1:]), where
    code = forked.run(chosen.arguments, work)
    landed = chosen.arguments[0] == "commit" and log != before
    assert code == 0 or (landed and code == REFUSED), (where, forked.output())
    chosen.expect(work)
    assert not fsck(Repository.discover(work)).findings, where
    assert not _leftovers(work), where


def _leftovers(work: Path) -> dict[str, bytes]:
    return {name: data for name, data in _files(work).items() if name.startswith(LEFTOVER_PREFIX)}


@pytest.mark.slow
@pytest.mark.skipif(renaming._renameat2 is None, reason="no exchange of names here")
@pytest.mark.parametrize(
    "arguments",
    [
        ("checkout", "-q", "v1"),
        ("switch", "-q", "--detach", "v1"),
        ("reset", "-q", "--hard", "v1"),
        ("restore", "--source", "v1", "model.safetensors", "notes.txt"),
        ("restore", "--source", "v1", "--staged", "--worktree", "model.safetensors", "notes.txt"),
        ("stash", "-q"),
    ],
    ids=" ".join,
)
def test_killed_between_the_exchange_of_names_and_the_removal(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """The old file is left under another name, which nobody sees; the next run removes it."""
    work = tmp_path / "work"
    _first(work)
    first = _files(work)
    if arguments[0] != "stash":
        _change(work)
        for each in (("add", "-A"), ("commit", "-q", "-m", "two")):
            _mvc(work, *each)
    else:
        write_model(work / "model.safetensors", fine_tuned(layers()))
    second = _files(work)

    def hook(operation: str, path: str) -> None:
        if operation == "unlink" and path.startswith(LEFTOVER_PREFIX):
            os.kill(os.getpid(), signal.SIGKILL)

    runs = 0
    while forked.run(arguments, work, hook) == forked.KILLED:
        runs += 1
        found = _leftovers(work)
        assert len(found) == 1, "what the run before left is gone"
        (left,) = found.values()
        name = "model.safetensors" if len(left) > 1000 else "notes.txt"
        assert left == second[name] and _files(work)[name] == first[name]
        assert not fsck(Repository.discover(work)).findings
        _mvc(work, "status", "--porcelain")
        assert LEFTOVER_PREFIX not in forked.output()
    assert _files(work)["model.safetensors"] == first["model.safetensors"]
    assert runs == (1 if arguments[0] == "stash" else 2)
    if arguments[0] == "stash":
        _mvc(work, "stash", "pop", "-q")  # a repeat had nothing to do
    assert not _leftovers(work)
    assert not fsck(Repository.discover(work)).findings


@pytest.mark.slow
def test_killed_at_every_step(scenario: tuple[Scenario, Path], tmp_path: Path) -> None:
    chosen, ready = scenario
    before = _log(ready)
    counted = _copy(ready, tmp_path, "count")
    every = forked.steps_of(chosen.arguments, counted)
    steps = len(every)
    assert steps > 4
    for step in points.of_each_kind(every, counted):
        work = _copy(ready, tmp_path, step)
        # Threads may order their steps otherwise this time: the last ones need not come.
        if forked.run(chosen.arguments, work, forked.killer(step)) == forked.KILLED:
            _check(work, chosen, before, f"killed before step {step} of {steps}")
        shutil.rmtree(work.parent)


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    """200 times, over the verbs; a kill that comes too late counts as a run."""
    rng = random.Random(20261121)
    ready: dict[str, tuple[Path, list[str]]] = {}
    for number in range(200):
        name = rng.choice(["add", "commit", "checkout", "gc"])
        chosen = SCENARIOS[name]
        if name not in ready:
            folder = tmp_path / f"ready-{name}" / "work"
            chosen.prepare(folder)
            ready[name] = (folder, _log(folder))
        work = _copy(ready[name][0], tmp_path, number)
        after = rng.uniform(0.0, 0.12)
        if forked.run(chosen.arguments, work, kill_after=after) == forked.KILLED:
            _check(work, chosen, ready[name][1], f"{name} killed after {after:.4f} s")
        shutil.rmtree(work.parent)
