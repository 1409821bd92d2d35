"""Runs of `mvc`, or of a function, in a forked child: it can be killed at any step or moment; no Python starts."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from mvc import fsio
from mvc.cli.main import main
from tests import scratch

KILLED = -signal.SIGKILL
_OUTPUT = scratch.make() / "output"

Hook = Callable[[str, str], None]


def run(arguments: Sequence[str], cwd: Path, hook: Hook | None = None, *, kill_after: float | None = None) -> int:
    """The exit code of `mvc ARGUMENTS` in `cwd`, or KILLED. `hook` is installed as fsio's fault hook.

    What it prints is `output()` afterwards. With `kill_after` it is killed so many seconds after it began.
    """
    return _exit_code(_fork(lambda: _inside(arguments, cwd, hook, kill_after)))


def begin(act: Callable[[], object], hook: Hook | None = None) -> int:
    """Begin a process that does this, under that fault hook; returns its id. It exits with 0, or 99 if `act` raised."""

    def inside() -> int:
        fsio.fault_hook = hook
        act()
        return 0

    return _fork(inside)


def in_child(act: Callable[[], object], hook: Hook | None = None) -> int:
    """Do this in a process of its own, under that fault hook; its exit code: 0, 99 if `act` raised, or KILLED."""
    return _exit_code(begin(act, hook))


def output() -> str:
    """What the last run printed."""
    return _OUTPUT.read_text(errors="replace")


def steps_of(arguments: Sequence[str], cwd: Path) -> list[tuple[str, str]]:
    """Run to the end, and return the steps that changed the disk: (operation, path) each."""
    with tempfile.TemporaryFile() as noted:

        def hook(operation: str, path: str) -> None:
            os.write(noted.fileno(), os.fsencode(f"{operation}\t{path}\0"))

        code = run(arguments, cwd, hook)
        assert code == 0, output()
        noted.seek(0)
        lines = os.fsdecode(noted.read()).split("\0")[:-1]
    return [(operation, path) for operation, _, path in (line.partition("\t") for line in lines)]


def killer(step: int) -> Hook:
    """A hook that kills the process right before its step number `step`, counted from 1."""
    lock = threading.Lock()
    count = 0

    def hook(_operation: str, _path: str) -> None:
        nonlocal count
        with lock:
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def _fork(inside: Callable[[], int]) -> int:
    """The id of a child that exits with what this returns, or 99 if it raises."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = inside()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def _exit_code(child: int) -> int:
    """Of a child that is waited for; negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _inside(arguments: Sequence[str], cwd: Path, hook: Hook | None, kill_after: float | None) -> int:
    os.chdir(cwd)
    out = os.open(_OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    if kill_after is not None:
        timer = threading.Timer(kill_after, lambda: os.kill(os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    fsio.fault_hook = hook
    code = main(list(arguments))
    sys.stdout.flush()
    sys.stderr.flush()
    return code
