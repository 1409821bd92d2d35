"""Straight to a remote: pushed in the background, tried again, and gone on with on another machine."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mvc
from mvc.errors import NotFound, RemoteUnavailable
from mvc.ops.runfiles import load_log
from mvc.ops.runs import list_runs
from mvc.repo.create import init
from mvc.repo.repository import Repository
from mvc.training.background import Problems, Pushing
from tests.training.weights import Weights, read_safetensors, steps_of

At = Callable[[int], Weights]


def test_pushed_as_it_goes_and_resumed_elsewhere(repo: Repository, weights: At, tmp_path: Path) -> None:
    remote = str(tmp_path / "remote")
    with mvc.start_run({"lr": 1}, name="a", repo="repo", remote=remote) as run:
        for step in range(6):
            run.log(step=step, loss=step)
            if step % 2 == 0:
                run.checkpoint(step, {"m.safetensors": weights(step)})
    assert run.problems.all == []
    with mvc.open(f"{remote}@refs/runs/a/4:m.safetensors") as file:
        assert file.read() == mvc.Repo.open("repo").read_file("refs/runs/a/4", "m.safetensors")
    other = init(tmp_path / "other")[0]
    with mvc.start_run(name="a", repo="other", remote=remote, resume="must") as run:
        assert run.restore("back").step == 4
        found = read_safetensors(Path("back/m.safetensors"))
        assert all((found[name] == value).all() for name, value in weights(4).items())
        run.log(step=5, loss=50)
        run.checkpoint(6, {"m.safetensors": weights(6)})
    assert run.problems.all == [] and steps_of(other, "a") == [0, 2, 4, 6]
    assert [values["loss"] for values in load_log(other, "a").points.values()] == [0, 1, 2, 3, 4, 50]
    assert list_runs(other)[0].metadata.params == {"lr": 1}
    with mvc.start_run(name="a", repo="repo", remote=remote, resume=True) as run:  # and back again
        assert run.last is not None and run.last.step == 6
        assert [point["loss"] for point in load_log(repo, "a").points.values()][-1] == 50
        assert run.restore("again").step == 6
        run.checkpoint(7, "again/m.safetensors")
    assert steps_of(repo, "a") == [0, 2, 4, 6, 7]
    shutil.rmtree(remote)
    with mvc.start_run(name="a", repo="repo", remote=remote, resume=True, push_wait=0) as run:
        assert run.last is not None and run.last.step == 7


def test_a_remote_that_is_away_holds_nobody_up(repo: Repository) -> None:
    began = time.monotonic()
    with mvc.start_run(name="a", repo="repo", remote="http://127.0.0.1:9/x", push_wait=0.5) as run:
        for step in range(20):
            run.log(step=step, loss=step)
            run.checkpoint(step, {"x": np.arange(step + 1).tobytes()})
        assert time.monotonic() - began < 300
    assert steps_of(repo, "a") == list(range(20)) and list_runs(repo)[0].status == "finished"
    assert "of the run's refs are not pushed" in run.problems.all[-1] and "mvc push http://" in run.problems.all[-1]


def test_a_push_that_fails_after_the_end_is_not_said_to_be_tried_again() -> None:
    problems, begun, goes_on = Problems(), threading.Event(), threading.Event()

    def push(_refs: list[str]) -> None:
        begun.set()
        goes_on.wait(300)
        raise RemoteUnavailable("away")

    pushing = Pushing(push, problems)
    pushing.start()
    pushing.give("refs/runs/a/1")
    assert begun.wait(300)
    assert pushing.drain(0) == ["refs/runs/a/1"]
    goes_on.set()
    pushing._thread.join(300)
    assert not pushing._thread.is_alive() and problems.all == []


def test_a_remote_that_comes_back(repo: Repository, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    remote.write_text("in the way")
    with mvc.start_run(name="a", repo="repo", remote=str(remote)) as run:
        run.checkpoint(1, {"x": b"1"})
        deadline = time.monotonic() + 300
        while not run.problems.all and time.monotonic() < deadline:
            time.sleep(0.01)
        remote.unlink()
    assert any("not pushed yet" in text for text in run.problems.all)
    assert mvc.open(f"{remote}@refs/runs/a/1:x").read() == b"1"


def test_a_remote_that_cannot_be_meant(repo: Repository) -> None:
    with pytest.raises(NotFound, match="no remote 'origin'"):
        mvc.start_run(name="a", repo="repo", remote="origin")
    assert list_runs(repo) == []
