"""Paths as bytes and as text: what Git's trees hold, what the operating system takes, and the order between them.

A path in mvc is text: UTF-8 with surrogate escapes, so that any bytes go through it and come
back. On POSIX a file's name is bytes; where Python would decode them by another encoding than
UTF-8 (an old locale), they go to the system as bytes.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable

_SYSTEM_IS_UTF8 = sys.platform == "win32" or sys.getfilesystemencoding().lower() in ("utf-8", "utf8")


def encode(path: str) -> bytes:
    """The bytes of a path, as a tree holds them."""
    return path.encode("utf-8", "surrogateescape")


def decode(raw: bytes) -> str:
    """The text of a path's bytes; `encode` gives them back."""
    return raw.decode("utf-8", "surrogateescape")


def in_order(paths: Iterable[str]) -> list[str]:
    """Paths sorted by their bytes, which is the order of the stage.

    UTF-8 orders as its code points do, so text is compared as it is, but where bytes that are not
    UTF-8 occur: their escapes (U+DC80 and up) would sort elsewhere.
    """
    found = list(paths)
    try:
        "\0".join(found).encode()
    except UnicodeEncodeError:
        return sorted(found, key=encode)
    return sorted(found)


def to_system(path: str) -> str | bytes:
    """A path as the system's calls take it."""
    return path if _SYSTEM_IS_UTF8 else encode(path)


def list_kinds(folder: str | int) -> list[tuple[str, int]]:
    """The names in a folder, in no order, each with what it is (stat.S_IFMT: S_IFDIR, S_IFREG, S_IFLNK; 0 if none
    of these). Most file systems tell it with the name, so nothing is stat'ed."""
    found: list[tuple[str, int]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name if _SYSTEM_IS_UTF8 else decode(os.fsencode(entry.name))
            found.append((name, _kind(entry)))
    return found


def _kind(entry: os.DirEntry[str]) -> int:
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFLNK if entry.is_symlink() else 0


def list_names(folder: str | int) -> list[str]:
    """The names in a folder, given as path or descriptor, in no order."""
    if _SYSTEM_IS_UTF8:
        return os.listdir(folder)
    if isinstance(folder, int):
        return [decode(os.fsencode(name)) for name in os.listdir(folder)]
    return [decode(name) for name in os.listdir(encode(folder))]
