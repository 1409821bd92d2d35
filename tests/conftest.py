"""For all tests: what is left to chance, what a disk takes its time for, and how large the process is that forks.

The examples of hypothesis are the same in each run, so that a change fails by what it changes; MVC_TEST_RANDOM=1 looks
for new ones. What hypothesis may take is no measure of mvc on a machine that is busy with something else.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys

from hypothesis import HealthCheck, settings

from tests import scratch

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
RANDOM = bool(os.environ.get("MVC_TEST_RANDOM"))

settings.register_profile(
    "mvc",
    deadline=None,
    derandomize=not RANDOM,
    suppress_health_check=[*CHECKS, HealthCheck.function_scoped_fixture],
)
settings.load_profile("mvc")


_fsync = os.fsync
_seen: set[tuple[str, int]] = set()


def _fsync_once(fd: int) -> None:
    """Each line that syncs does so once; from then on it is only asked whether there is such a file.

    No test cuts the power, so none could tell (what comes before what is checked by `fsio.hooked`); but the disk would
    take most of their time. What tests start as a process of its own syncs always.
    """
    caller = sys._getframe(1)
    line = (caller.f_code.co_filename, caller.f_lineno)
    if line in _seen:
        os.fstat(fd)
    else:
        _fsync(fd)
        _seen.add(line)


os.fsync = _fsync_once


def pytest_sessionfinish() -> None:
    scratch.remove_all()


def pytest_collection_finish() -> None:
    """Thousands of collected tests stay to the end: nobody has to look through them for garbage, a fork least of all,
    for which each object that is looked at is a page to be copied."""
    gc.collect()
    gc.freeze()


_C = ctypes.CDLL(None) if os.name == "posix" else None
if hasattr(_C, "mallopt"):
    # glibc has a heap for each thread that ever ran, and what is left of them is never given back: half of all memory.
    _M_ARENA_MAX = -8
    _C.mallopt(_M_ARENA_MAX, 1)
_trim = getattr(_C, "malloc_trim", None)
_trimmed = False


def pytest_runtest_setup() -> None:
    global _trimmed
    _trimmed = False


def _give_back() -> None:
    """Before a test's first fork, which costs what the process holds: what earlier tests have let go."""
    global _trimmed
    if _trim is not None and not _trimmed:
        _trim(0)
        _trimmed = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_give_back)
