"""A link that `mvc get --atomic` turns from version to version, and the folders that it can lead to."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from mvc import fsio
from mvc.ops.receipt import HOME, read_receipt

VERSIONS = ".versions"
"""Behind a link's name: the folder of the versions that it can be turned to."""


def version_of(link: Path, versions: Path) -> Path | None:
    """The version that the link leads to; None if it leads elsewhere, or is not there."""
    try:
        target = link.parent / os.readlink(link)
    except OSError:
        return None
    return versions / target.name if target.parent == versions else None


def turn(link: Path, target: str) -> None:
    """Make the link lead to `target`, in one step."""
    beside = link.parent / f".{link.name}.mvc-tmp-{os.urandom(6).hex()}"
    fsio.step("create", beside)
    os.symlink(target, beside)
    try:
        fsio.replace(beside, link)
    except BaseException:
        fsio.unlink(beside, missing_ok=True)
        raise
    fsio.fsync_dir(link.parent)


def _age(version: Path) -> int:
    """When a version was completed, or looked at last."""
    with suppress(OSError):
        return (version / HOME / "receipt").stat().st_mtime_ns
    return 0


def prune(versions: Path, stay: set[str], keep: int, link: Path) -> None:
    """Remove all versions but those that stay and the `keep` that were completed last; and what killed runs left."""
    rows: list[tuple[bool, int, str]] = []
    for one in versions.iterdir():
        if one.is_dir() and not one.is_symlink() and one.name not in stay:
            receipt = read_receipt(one)
            rows.append((receipt.complete, _age(one), one.name))
    rows.sort(reverse=True)
    kept = [name for complete, _, name in rows if complete][:keep]
    for _, _, name in rows:
        if name not in kept:
            fsio.step("rmtree", versions / name)
            shutil.rmtree(versions / name, ignore_errors=True)
    for left in link.parent.glob(f".{link.name}.mvc-tmp-*"):
        fsio.unlink(left, missing_ok=True)
