"""Large files that were replaced or removed, kept alive until it costs nobody's time that they are freed.

The last one to close a file that has no name waits until its blocks are freed, and whoever syncs a
file meanwhile waits too. Where blocks are discarded at once (ext4 without a journal, mounted with
`discard`, as cloud machines have it) that takes 1.4 s a GB, measured. So such files are held open until
the change is complete and durable; and then the last to close them is a process of its own, which has
nothing else to do than to end. Where none can be started, this process closes them itself, and waits.
"""

from __future__ import annotations

import atexit
import os
from contextlib import suppress
from threading import Lock

_SHELL = "/bin/sh"
_MANY = 64
"""So many are held at most: descriptors are few."""
_STANDARD = 3
"""The descriptors below are standard input, output and errors."""

_lock = Lock()
_held: list[int] = []
_started: list[int] = []


def keep(fd: int) -> None:
    """Take over a descriptor of a file that has lost its name, until `release`. From any thread."""
    with _lock:
        _held.append(fd)
        many = len(_held) >= _MANY
    atexit.unregister(release)
    atexit.register(release)
    if many:
        release()


def release() -> None:
    """Let the files go. Called when the lock of the stage is given back, and at the end of the process. Never fails."""
    with _lock:
        _reap()
        files, _held[:] = _held.copy(), []
    end = -1
    try:
        if files:
            process, end = _start(files)
            with _lock:
                _started.append(process)
    except OSError:
        pass  # then this process waits
    finally:
        for fd in files:
            os.close(fd)
        if end >= 0:
            os.close(end)  # that process ends now: after us, so that it is the last


def _start(files: list[int]) -> tuple[int, int]:
    """Start a process that has the files open until the descriptor which is returned is closed: (its id, that)."""
    begin, end = os.pipe()
    try:
        first = max(*files, begin, end, _STANDARD - 1) + 1
        # It shall have the files and nothing else of ours: whoever reads from a pipe waits until all have closed it.
        # Python's own descriptors are not inherited; what was handed to this process by its parent would be.
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
            *((os.POSIX_SPAWN_DUP2, fd, first + number) for number, fd in enumerate(files)),
            (os.POSIX_SPAWN_DUP2, begin, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inherited() if not first <= fd < first + len(files)),
        ]
        return os.posix_spawn(_SHELL, [_SHELL, "-c", "read end"], {}, file_actions=actions), end
    except BaseException:
        os.close(end)
        raise
    finally:
        os.close(begin)


def _inherited() -> list[int]:
    """Open descriptors above the standard ones that a process started from here would have."""
    found: list[int] = []
    with suppress(OSError):
        for name in os.listdir("/dev/fd"):
            with suppress(OSError):  # that of the folder itself is closed by now
                if int(name) >= _STANDARD and os.get_inheritable(int(name)):
                    found.append(int(name))
    return found


def _reap() -> None:
    """Take notice of the processes that have ended, so that none stays on the system's list. Never waits."""
    for process in _started.copy():
        with suppress(ChildProcessError):
            if os.waitpid(process, os.WNOHANG) == (0, 0):
                continue
        _started.remove(process)
