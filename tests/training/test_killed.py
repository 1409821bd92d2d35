"""A training that is killed, again and again, at any moment: what it was told is stored is there."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import numpy as np

import mvc
from mvc.ops.runfiles import load_log, run_folder
from mvc.ops.runs import list_runs
from mvc.repo.repository import Repository
from tests.training.weights import assert_sound, read_safetensors, steps_of

KILLS = 32
EVERY = 3


def train(acknowledged: int, last_step: int | None = None) -> None:
    """Train on from the last checkpoint. Each step is told to the parent once `run` has taken it."""
    with mvc.start_run({"lr": 1}, name="a", repo="repo", resume=True) as run:
        last = run.last
        step = last.step if last is not None else 0
        while last_step is None or step < last_step:
            step += 1
            run.log(step=step, loss=float(step))
            os.write(acknowledged, f"log {step}\n".encode())
            if step % EVERY == 0:
                weights = np.full(20_000, step, np.float32)
                np.save("weights.npy", weights)
                in_memory = step % (2 * EVERY) == 0
                run.checkpoint(step, {"w.safetensors": {"w": weights}} if in_memory else {"w.npy": "weights.npy"})
                os.write(acknowledged, f"{'memory' if in_memory else 'disk'} {step}\n".encode())


def killed_after(seconds: float, acknowledged: int, steps: int) -> bool:
    """Killed so many seconds after it has acknowledged so much. Whether the child lived to be killed."""
    before = os.fstat(acknowledged).st_size
    child = os.fork()
    if child == 0:
        try:
            train(acknowledged)
        finally:
            os._exit(1)
    while os.fstat(acknowledged).st_size - before < steps * len("log 1\n") and not os.waitid(
        os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT
    ):
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_killed_at_any_moment(repo: Repository, tmp_path: Path) -> None:
    told = tmp_path / "told"
    chance = random.Random(7)
    with told.open("ab", buffering=0) as file:
        for number in range(20 * KILLS):
            if number >= KILLS and len(steps_of(repo, "a")) > KILLS / 4:
                break  # a machine that is slow kills more of what is in memory alone: then it takes more lives
            steps = chance.randrange(3 * EVERY) if number else 1
            assert killed_after(chance.uniform(0, 0.05), file.fileno(), steps)
            rows = [line.split() for line in told.read_text().splitlines()]
            found = load_log(repo, "a")
            assert not found.skipped
            assert {int(step) for kind, step in rows if kind == "log"} <= found.points.keys()
        assert [run.status for run in list_runs(repo)] == ["killed"]
        train(file.fileno(), last_step=max(int(step) for _, step in rows) + EVERY)
    stored = set(steps_of(repo, "a"))
    assert {int(step) for kind, step in rows if kind == "disk"} <= stored
    # Of those in memory at most the last of each life may be lost; training that resumes makes it anew.
    assert {int(step) for kind, step in rows if kind == "memory"} <= stored
    assert [run.status for run in list_runs(repo)] == ["finished"]
    assert not list((run_folder(repo, "a") / "spool").iterdir()) and len(stored) > KILLS / 4
    reader = mvc.Repo.open("repo")
    for step in sorted(stored)[:: max(1, len(stored) // 20)]:
        if step % (2 * EVERY):
            array = reader.read_tensor(f"refs/runs/a/{step}", "w.npy", "array")
        else:
            Path("back.safetensors").write_bytes(reader.read_file(f"refs/runs/a/{step}", "w.safetensors"))
            array = read_safetensors(Path("back.safetensors"))["w"]
        assert (array == step).all()
    assert_sound(repo)
