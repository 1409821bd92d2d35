"""A training while others forget its checkpoints and collect: nothing that stays is harmed."""

from __future__ import annotations

import itertools
import os
import time
import traceback
from pathlib import Path

import numpy as np

import mvc
from mvc.errors import NotFound, Refused
from mvc.objects.model import Signature
from mvc.ops.caller import Caller
from mvc.ops.forget import Rules, forget
from mvc.ops.gc import gc
from mvc.ops.runs import list_runs
from mvc.repo.repository import Repository
from tests.training.weights import assert_sound, steps_of

LAST = 25


def train() -> None:
    weights = np.random.default_rng(0).standard_normal(60_000).astype(np.float32)
    with mvc.start_run(name="a", repo="repo") as run:
        for step in itertools.count(1):
            run.log(step=step, loss=1 / step)
            run.checkpoint(step, {"w.safetensors": {"w": weights + np.float32(step) * np.float32(1e-6)}})
            if step >= LAST and Path("enough").exists():
                break
    assert not run.problems.all, run.problems.all


def test_forget_and_gc_beside_a_training(repo: Repository, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            train()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    caller = Caller(Signature("Ann", "ann@example.org", 0, 0), wait=300)
    rounds, status = 0, None
    while status is None:
        try:
            forget(repo, ["a"], Rules(last=2), caller=caller)
            gc(Repository.open(tmp_path / "repo"), prune_after_days=0, caller=caller)
        except (NotFound, Refused):
            pass  # there is no run yet; or a ref moved in between
        rounds += 1
        if rounds == 4:
            Path("enough").touch()
        time.sleep(0.02)
        done, code = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if done else None
    assert status == 0
    found = steps_of(repo, "a")
    assert found[-1] >= LAST and list_runs(repo)[0].status == "finished"
    for step in found:
        mvc.Repo.open("repo").read_tensor(f"refs/runs/a/{step}", "w.safetensors", "w")
    assert_sound(repo)
