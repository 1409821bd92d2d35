"""The folder that `mvc get` fills, and what it keeps in it for itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mvc import fsio
from mvc.errors import Refused
from mvc.ops.receipt import HOME
from mvc.repo.place import Placer
from mvc.repo.repository import MVC_DIR


def check_target(target: Path) -> None:
    """Raises Refused for a folder that is something else."""
    if os.path.lexists(target) and not target.is_dir():
        raise Refused(f"'{target}' is not a folder")
    inner = target / MVC_DIR
    if inner.is_file() or (inner / "HEAD").exists() or inner.is_symlink():
        raise Refused(f"'{target}' is a repository", hint="there: mvc pull, or mvc checkout")
    if target.is_dir() and os.path.samefile(target, Path(target.anchor)):
        raise Refused("files of a version do not go to the top of the file system")


def hide(folder: Path) -> None:
    """In a Git project, what `get` keeps for itself is none of Git's business."""
    path = folder / MVC_DIR / ".gitignore"
    if not path.exists():
        fsio.write_atomic(path, b"*\n", tmp_dir=folder / HOME, sync=False)


def tidy(placer: Placer, paths: Iterable[str]) -> None:
    """Remove what killed runs left, but for files that are to go on."""
    top = placer.folders.top
    for left in (top / HOME).glob("tmp-*"):
        fsio.unlink(left, missing_ok=True)
    for above in {path.rpartition("/")[0] for path in paths}:
        placer.remove_leftovers(above)


def clock(folder: Path) -> int:
    """The time by the clock of the folder's file system."""
    probe = folder / HOME / "clock"
    with suppress(OSError):
        probe.write_bytes(b"")
        return probe.stat().st_mtime_ns
    return time.time_ns()
