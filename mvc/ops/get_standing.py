"""What stands in a folder that `mvc get` is to fill: what is right, whose it is, and what is in the way."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mvc.errors import UnsafePath
from mvc.objects.model import EXEC, TreeItem, is_link
from mvc.objects.paths import parents
from mvc.ops.get_files import Wanted
from mvc.ops.receipt import Receipt
from mvc.repo.content import Content, holds, link_holds
from mvc.repo.folders import Folders
from mvc.repo.place import Placer


def holds_wanted(placer: Placer, path: str, wanted: Wanted) -> bool:
    """Whether what stands is just this."""
    item, size, blake3 = wanted
    content = Content(item.id, size, blake3)
    try:
        if is_link(item.mode):
            return link_holds(placer.readlink(path), content)
        fd, found = placer.open_known(path)
    except (OSError, UnsafePath):
        return False
    try:
        return mode_fits(found, item) and holds(fd, content)
    finally:
        os.close(fd)


def mode_fits(found: os.stat_result, item: TreeItem) -> bool:
    """Whether it can be run just if it should."""
    return os.name == "nt" or bool(found.st_mode & stat.S_IXUSR) == (item.mode == EXEC)


def twin(siblings: list[tuple[Path, Receipt]], path: str, item: TreeItem) -> Path | None:
    """A file of another version here that is the same, and was not touched since it was put there."""
    if is_link(item.mode):
        return None
    for folder, receipt in siblings:
        noted = receipt.files.get(path)
        if noted is not None and noted.item == item:
            with suppress(OSError), Folders(folder) as folders:
                found = folders.lstat(path)
                if found is not None and receipt.vouches(path, item, found) and mode_fits(found, item):
                    return folder / path
    return None


def clashes(path: str, items: Mapping[str, TreeItem]) -> bool:
    """Whether a file is where a folder is to be, or the other way round."""
    return any(folder in items for folder in parents(path)) or any(one.startswith(path + "/") for one in items)


def in_the_way(placer: Placer, path: str, old: Receipt) -> list[str]:
    """What did not come by `get` of what stands at a path: the file, or of a folder what is in it."""
    found = placer.lstat(path)
    if found is None or path in old.files:
        return []
    if not stat.S_ISDIR(found.st_mode):
        return [path]
    return [one for name in placer.names(path) for one in in_the_way(placer, f"{path}/{name}", old)]


def on_the_way(placer: Placer, paths: list[str], old: Receipt) -> list[str]:
    """Files and links of others that stand where a folder is needed."""
    folders = {folder for path in paths for folder in parents(path)}
    found = ((folder, placer.lstat(folder)) for folder in sorted(folders))
    return [folder for folder, one in found if one and not stat.S_ISDIR(one.st_mode) and folder not in old.files]
