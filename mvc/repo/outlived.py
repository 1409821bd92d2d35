"""Large files that were replaced or removed, kept alive until it costs nobody's time that they are freed.

The last one to close a file that has no name waits until its blocks are freed, and whoever syncs a
file meanwhile waits too. Where blocks are discarded at once (ext4 without a journal, mounted with
`discard`, as cloud machines have it) that takes 1.4 s a GB, measured. So such files are held open until
the change is complete and durable; and then the last to close them is a process of its own, which has
nothing else to do than to end.
"""

from __future__ import annotations

import atexit
import os
from contextlib import suppress

_SHELL = "/bin/sh"
_MANY = 64
"""So many are held at most: descriptors are few."""

_held: list[int] = []
_started: list[int] = []


def keep(fd: int) -> None:
    """Take over a descriptor of a file that has lost its name, until `release`."""
    if not _held and not _started:
        atexit.register(release)
    _held.append(fd)
    if len(_held) >= _MANY:
        release()


def release() -> None:
    """Let the files go. Called when the lock of the stage is given back, and at the end of the process."""
    _reap()
    if not _held:
        return
    files, _held[:] = _held.copy(), []
    begin, end = os.pipe()
    top = max(*files, begin, end)
    try:
        # Inherited is what is put onto a number; all else is closed, so that nobody waits for a pipe of ours.
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_DUP2, begin, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_DUP2, fd, top + 1 + number) for number, fd in enumerate(files)),
        ]
        with suppress(OSError):  # then this process waits
            _started.append(os.posix_spawn(_SHELL, [_SHELL, "-c", "read end"], {}, file_actions=actions))
    finally:
        for fd in (begin, *files):
            os.close(fd)
        os.close(end)  # that process ends now: after us, so that it is the last


def _reap() -> None:
    """Take notice of the processes that have ended, so that none stays on the system's list. Never waits."""
    for process in _started.copy():
        with suppress(ChildProcessError):
            if os.waitpid(process, os.WNOHANG) == (0, 0):
                continue
        _started.remove(process)
