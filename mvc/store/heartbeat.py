"""Signs of life: while a lock or intent is held, its file's time is renewed.

One daemon thread for the whole process, begun with the first file. Holders on this machine are
judged by whether they run; only those on other machines by how old their sign of life is.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

BEAT_SECONDS = 20.0
STALE_SECONDS = 600.0
"""Thirty beats missed: then a lock that another machine holds may be broken."""

_files: set[Path] = set()
_guard = threading.Lock()
_thread: threading.Thread | None = None


def watch(path: Path) -> None:
    """Renew the time of `path` from now on."""
    global _thread
    with _guard:
        _files.add(path)
        if _thread is None or not _thread.is_alive():  # not alive in a process that was forked
            _thread = threading.Thread(target=_run, name="mvc-heartbeat", daemon=True)
            _thread.start()


def forget(path: Path) -> None:
    """Renew it no more."""
    with _guard:
        _files.discard(path)


def beat() -> None:
    """Renew all files now."""
    with _guard:
        files = list(_files)
    for path in files:
        with contextlib.suppress(OSError):  # one that is gone was broken: its holder finds out by `check`
            os.utime(path)


def _run() -> None:
    while True:
        time.sleep(BEAT_SECONDS)
        beat()


def _after_fork() -> None:
    """A child holds nothing of what its parent holds."""
    global _guard, _thread
    _guard = threading.Lock()
    _files.clear()
    _thread = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
