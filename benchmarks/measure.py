"""Runs a command and says what it took. Linux and macOS: what a process took comes from `wait4`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Step:
    """A command to run: its arguments, its folder, what it needs in the environment beside the usual."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of wall and of CPU (with all child processes), and the largest process's peak memory in bytes."""

    wall: float
    cpu: float
    rss: int

    def __add__(self, other: Took) -> Took:
        return Took(self.wall + other.wall, self.cpu + other.cpu, max(self.rss, other.rss))

    def as_json(self) -> dict[str, float]:
        return {key: round(value, 4) for key, value in asdict(self).items()}


class StepFailed(Exception):
    """A command ended with an error; the message holds the end of what it said."""


def run(steps: Iterable[Step], log: Path) -> Took:
    """Run the steps one after the other; their output goes to the end of `log`. Raises StepFailed."""
    total = Took(0.0, 0.0, 0)
    for step in steps:
        total += _run(step, log)
    return total


def _run(step: Step, log: Path) -> Took:
    with log.open("ab") as out:
        out.write(f"$ {' '.join(step.argv)}\n".encode())
        out.flush()
        begin = time.perf_counter()
        process = subprocess.Popen(
            step.argv, cwd=step.cwd, env=os.environ | dict(step.env), stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        tail = log.read_bytes()[-2000:].decode(errors="replace")
        raise StepFailed(f"{' '.join(step.argv)} ended with {process.returncode}:\n{tail}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Took(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def median(runs: Sequence[Took]) -> Took:
    """The median of each figure by itself; of memory the largest."""
    return Took(
        statistics.median(took.wall for took in runs),
        statistics.median(took.cpu for took in runs),
        max(took.rss for took in runs),
    )


def tree_bytes(*roots: Path) -> int:
    """The sum of the sizes of all files under `roots`."""
    return sum(
        os.lstat(os.path.join(folder, name)).st_size
        for root in roots
        for folder, _, names in os.walk(root)
        for name in names
    )
