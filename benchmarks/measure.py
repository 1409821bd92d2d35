"""Runs a command and says what it took. Linux and macOS: what a process took comes from `wait4`."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
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


_SPAWN = """
import json, os, sys, time
log, *argv = sys.argv[1:]
onto = os.open(log, os.O_WRONLY | os.O_APPEND)
nothing = os.open(os.devnull, os.O_RDONLY)
actions = [(os.POSIX_SPAWN_DUP2, nothing, 0), (os.POSIX_SPAWN_DUP2, onto, 1), (os.POSIX_SPAWN_DUP2, onto, 2)]
begin = time.perf_counter()
pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - begin
print(json.dumps([wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, status]))
"""
"""Runs argv[2:] with its output at the end of the file argv[1]; prints what it took."""


def run(steps: Iterable[Step], log: Path) -> Took:
    """Run the steps one after the other; their output goes to the end of `log`. Raises StepFailed."""
    total = Took(0.0, 0.0, 0)
    for step in steps:
        total += _run(step, log)
    return total


def _run(step: Step, log: Path) -> Took:
    with log.open("ab") as out:
        out.write(f"$ {' '.join(step.argv)}\n".encode())
    # Started by a small process: Linux counts what its parent had in memory towards a process's own peak.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _SPAWN, str(log.resolve()), *step.argv],
        cwd=step.cwd,
        env=os.environ | dict(step.env),
        stdout=subprocess.PIPE,
        check=True,
    )
    wall, cpu, peak, status = json.loads(done.stdout)
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        tail = log.read_bytes()[-2000:].decode(errors="replace")
        raise StepFailed(f"{' '.join(step.argv)} ended with {code}:\n{tail}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Took(wall, cpu, peak * unit)


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
