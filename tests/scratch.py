"""Folders that modules of tests share, and what removes them.

Not `tempfile.TemporaryDirectory`: the workers of pytest-xdist end without the clean-up that it hopes for.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
_made: list[tuple[Path, int]] = []


def make(*, in_memory: bool = False) -> Path:
    """A new folder, which is there until the tests, or the process that made it, end. `in_memory`: where that can be
    (ext4 takes a hundredth of the writes a second, of a file that is emptied and written anew)."""
    folder = Path(tempfile.mkdtemp(prefix="mvc-test-", dir=_MEMORY if in_memory else None))
    _made.append((folder, os.getpid()))
    return folder


@atexit.register
def remove_all() -> None:
    """A forked child removes nothing of its parent's."""
    for folder, owner in _made:
        if owner == os.getpid():
            shutil.rmtree(folder, ignore_errors=True)
