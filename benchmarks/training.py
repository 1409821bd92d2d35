"""What a run costs the training: time that `log` and `checkpoint` hold the loop, and how far storing slows it down."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import mvc
from benchmarks.bench import Bench, say
from benchmarks.results import Figures
from mvc.training.run import Run

_CALLS = 20_000
_HUNDRED = 100_000_000
_AUTHOR = {"MVC_AUTHOR_NAME": "bench", "MVC_AUTHOR_EMAIL": "bench@example.org"}


def training(bench: Bench, real: Path) -> None:
    """The case: figures under "training"."""
    root = bench.work / "training"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    figures: Figures = {"log": _log(root), "plain log": _plain_log(root)}
    say(f"  log: {figures['log']['median']:.1f} µs, plain {figures['plain log']['median']:.1f} µs")
    weights = _weights(_HUNDRED)
    _file(root / "hundred.bin", weights)
    checkpoints = sorted((real / "ckpts").glob("*.pt"))
    for name, keep, files in (
        ("100 MB, state dict", "copy", [{"w.safetensors": {"w": weights + np.float32(k) * 1e-5}} for k in range(4)]),
        ("100 MB, a file copied", "copy", [root / "hundred.bin"] * 4),
        ("100 MB, a file linked", "link", [root / "hundred.bin"] * 4),
        ("real fine-tune, a file copied", "copy", [{"checkpoint.pt": path} for path in checkpoints]),
        ("real fine-tune, a file linked", "link", [{"checkpoint.pt": _near(path, root)} for path in checkpoints]),
    ):
        figures[name] = _checkpoint(root, keep, files)
        took = figures[name]
        say(f"  {name}: held {took['held'] * 1e3:.1f} ms, stored in {took['stored']:.2f} s")
    figures["plain copy of 100 MB"] = {"held": _best(lambda: shutil.copyfile(root / "hundred.bin", root / "copy.bin"))}
    figures["slowed"] = _slowed(root, checkpoints)
    say(f"  a loop in Python runs at {figures['slowed']['share']:.0%} of its speed while a checkpoint is stored")
    bench.results.put("training", "mvc", figures)
    shutil.rmtree(root)


@contextmanager
def _run(root: Path) -> Iterator[Run]:
    repo = root / "repo"
    shutil.rmtree(repo, ignore_errors=True)
    mvc.Repo.init(repo)
    with mvc.start_run({"lr": 1e-3}, name="bench", repo=repo, environment={**os.environ, **_AUTHOR}) as run:
        run.wait()
        yield run


def _log(root: Path) -> dict[str, float]:
    took = []
    with _run(root) as run:
        cpu = time.thread_time()
        for step in range(_CALLS):
            begun = time.perf_counter()
            run.log(step=step, loss=0.123456, acc=0.5, lr=1e-4)
            took.append(time.perf_counter() - begun)
        cpu = time.thread_time() - cpu
    return _spread(took, cpu)


def _plain_log(root: Path) -> dict[str, float]:
    """What anybody would write: a line of JSON, handed to the system."""
    took = []
    with (root / "plain.jsonl").open("w") as file:
        cpu = time.thread_time()
        for step in range(_CALLS):
            begun = time.perf_counter()
            file.write(json.dumps({"step": step, "loss": 0.123456, "acc": 0.5, "lr": 1e-4}) + "\n")
            file.flush()
            took.append(time.perf_counter() - begun)
        cpu = time.thread_time() - cpu
    return _spread(took, cpu)


def _spread(seconds: list[float], cpu: float) -> dict[str, float]:
    """In microseconds a call; `cpu`: the processor's seconds of all."""
    ordered = sorted(one * 1e6 for one in seconds)
    return {
        "cpu": cpu / len(seconds) * 1e6,
        "median": statistics.median(ordered),
        "p99": ordered[len(ordered) * 99 // 100],
        "max": ordered[-1],
    }


def _checkpoint(root: Path, keep: str, files: list[Any]) -> dict[str, Any]:
    """Seconds: that each call held the loop (the median; and the processor's), and until it was stored (the last, a
    small step)."""
    held, stored, busy = [], [], []
    with _run(root) as run:
        for step, each in enumerate(files):
            begun, cpu = time.perf_counter(), time.thread_time()
            run.checkpoint(step, each, keep=keep)  # type: ignore[arg-type]
            held.append(time.perf_counter() - begun)
            busy.append(time.thread_time() - cpu)
            run.wait()
            stored.append(time.perf_counter() - begun)
    return {
        "held": statistics.median(held),
        "held cpu": statistics.median(busy),
        "most": max(held),
        "first": stored[0],
        "stored": stored[-1],
    }


def _slowed(root: Path, checkpoints: list[Path]) -> dict[str, float]:
    """How many turns of a loop in pure Python a second, alone and while a checkpoint is stored."""
    with _run(root) as run:
        run.checkpoint(0, {"checkpoint.pt": checkpoints[0]})
        run.wait()
        end = time.perf_counter() + 1
        alone = _turns(lambda: time.perf_counter() < end)
        run.checkpoint(1, {"checkpoint.pt": checkpoints[1]})
        beside = _turns(lambda: run._storing.has_jobs)
    return {"alone": alone, "beside": beside, "share": beside / alone}


def _turns(goes_on: Callable[[], bool]) -> float:
    turns, begun = 0, time.perf_counter()
    while goes_on():
        sum(range(2000))
        turns += 1
    return turns / (time.perf_counter() - begun)


def _weights(size: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(size // 4, dtype=np.float32)


def _file(path: Path, weights: np.ndarray[Any, Any]) -> None:
    path.write_bytes(weights.tobytes())


def _near(path: Path, root: Path) -> Path:
    """A copy on the disk of the repository, where it can be linked."""
    target = root / path.name
    shutil.copyfile(path, target)
    return target


def _best(call: Callable[[], object]) -> float:
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        call()
        took.append(time.perf_counter() - begun)
    return min(took)
