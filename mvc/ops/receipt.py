"""What `mvc get` remembers of a folder that it filled: which version, and each file as it was put there.

It stands in `.mvc/get/receipt`: no file of a version can have that name, as the guard of trees refuses it.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mvc import fsio
from mvc.errors import MvcError, ParseError
from mvc.objects.model import TreeItem
from mvc.objects.paths import check_path

HOME = ".mvc/get"
"""The folder for what `get` keeps for itself."""
_SCHEMA = 1
_MAX = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Noted:
    """A file or link as it was put: its item in the tree, its size in bytes, and its stat.

    `inode` 0: the stat proves nothing, as it was not known, or so young that a later change could look the same."""

    item: TreeItem
    size: int
    mtime_ns: int = 0
    inode: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """`files`: what is there by `get`'s doing. `complete`: all of `commit` is there, and nothing else of ours."""

    url: str = ""
    commit: str = ""
    selection: str = ""
    """Which files of it were asked for: the same text for the same question."""
    complete: bool = False
    files: Mapping[str, Noted] = field(default_factory=dict)

    def vouches(self, path: str, item: TreeItem, found: os.stat_result) -> bool:
        """Whether the file that stands is this item, by its stat alone."""
        noted = self.files.get(path)
        return (
            noted is not None
            and noted.item == item
            and noted.inode != 0
            and stat.S_ISREG(found.st_mode)
            and (noted.size, noted.mtime_ns, noted.inode) == (found.st_size, found.st_mtime_ns, found.st_ino)
        )


def read_receipt(folder: Path) -> Receipt:
    """That of a folder; an empty one where there is none that makes sense (then all files are looked at)."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, MvcError, RecursionError):
        path = folder / HOME / "receipt"
        if path.stat().st_size <= _MAX:
            return _parse(json.loads(path.read_bytes()))
    return Receipt()


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Replace it, durably."""
    files = {
        path: [noted.item.mode, noted.item.id, noted.size, noted.mtime_ns, noted.inode]
        for path, noted in receipt.files.items()
    }
    document = {
        "schema": _SCHEMA,
        "url": receipt.url,
        "commit": receipt.commit,
        "selection": receipt.selection,
        "complete": receipt.complete,
        "files": files,
    }
    fsio.write_atomic(folder / HOME / "receipt", json.dumps(document, indent=1).encode("ascii"))


def _parse(document: dict[str, Any]) -> Receipt:
    if document["schema"] != _SCHEMA:
        raise ParseError("a receipt of another mvc")
    files: dict[str, Noted] = {}
    for path, (mode, object_id, size, mtime_ns, inode) in document["files"].items():
        check_path(path)
        files[path] = Noted(TreeItem(int(mode), str(object_id)), int(size), int(mtime_ns), int(inode))
    return Receipt(
        str(document["url"]),
        str(document["commit"]),
        str(document["selection"]),
        document["complete"] is True,
        files,
    )
