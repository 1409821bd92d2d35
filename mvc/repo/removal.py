"""Removing a folder of the repository's own, so that after a crash it is there or not there."""

from __future__ import annotations

import os
from pathlib import Path

from mvc.fsio import fsync_dir, make_dirs, replace
from mvc.lazy import load

TREES = {"remove": "shutil:rmtree"}
"""Seldom needed, and slow to load."""


def remove_tree(folder: Path, tmp_dir: Path) -> None:
    """Remove `folder` and all in it: in one step it goes to `tmp_dir`, where gc would find what a crash leaves."""
    make_dirs(tmp_dir)
    doomed = tmp_dir / f"removed-{os.urandom(8).hex()}"
    try:
        replace(folder, doomed)
    except FileNotFoundError:
        return
    fsync_dir(folder.parent)
    load(TREES["remove"])(doomed, ignore_errors=True)
