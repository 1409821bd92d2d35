"""The guard of tree entries: names that must never reach a worktree, on any system.

A tree that holds `.git/config` or `.mvc/config` under some disguise runs code when it is checked
out. The disguises: file systems that fold case (NTFS, APFS, ext4 with casefold) or Unicode forms
(HFS+, APFS, ZFS), that ignore code points (HFS+, ext4), that strip trailing dots and spaces, that
give short names and streams (NTFS). The rules are at least those of Git's `verify_path`,
`is_ntfs_dotgit` and `is_hfs_dotgit` (path.c, utf8.c; CVE-2014-9390, CVE-2019-1352, -1353).
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator

from mvc.errors import UnsafePath
from mvc.objects.model import EXEC, FILE, LINK, METADATA_DIR, TREE, TreeEntry

_MODES = frozenset((FILE, EXEC, LINK, TREE))
_RESERVED = frozenset((".git", ".mvc", METADATA_DIR))
_HARMLESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@,() -]*\Z").match
"""Names that need no second look: no dot in front, nothing that a file system folds into another form."""

_SHORT_NAME = re.compile(r"(?:git|mvc|mvcmet|gi[0-9a-f]{4}|mv[0-9a-f]{4})~[0-9]+\Z")
"""What NTFS may call `.git`, `.mvc` and `.mvcmeta` too (8.3 names; the forms with four digits are hashed)."""

_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Default_Ignorable_Code_Point of Unicode, which includes what HFS+ ignores."""


def check_name(name: str) -> None:
    """One component of a path. Raises UnsafePath (see `check_path`)."""
    if _HARMLESS(name) is None:
        _check(name, name)


def check_path(path: str) -> None:
    """A whole path, relative to the root of a tree, "/"-separated. Raises UnsafePath.

    Refused: the empty path, an absolute one, empty, `.` and `..` components, NUL, and a component
    that some file system folds to `.git`, `.mvc` or `.mvcmeta`. A backslash divides components for
    this purpose; where it does so for the system too (Windows), it is refused, and so is a colon.
    """
    for name in path.split("/"):
        if _HARMLESS(name) is None:
            _check(name, path)


def check_entries(entries: Iterable[TreeEntry], *, root: bool) -> None:
    """The entries of one tree. Raises UnsafePath for an unsafe name, a name that occurs twice, a mode
    that is no file's, link's or folder's. `.mvcmeta`, so spelt, is allowed at the root if it is a folder."""
    seen: set[str] = set()
    count = 0
    for name, mode, _ in entries:
        if _HARMLESS(name) is None and not (root and name == METADATA_DIR and mode == TREE):
            _check(name, name)
            if "/" in name:
                raise UnsafePath(f"{name!r} holds a slash")
            if mode == LINK and fold(name) == ".gitmodules":
                raise UnsafePath(f"{name!r} must not be a symbolic link: Git would follow it")
        if mode not in _MODES:
            raise UnsafePath(f"{name!r} has the mode {mode:o}: only files, symbolic links and folders are allowed")
        seen.add(name)
        count += 1
    if len(seen) != count:
        raise UnsafePath("a name occurs twice in a tree")


def _check(name: str, path: str) -> None:
    if "\0" in name:
        raise UnsafePath(f"{path!r} holds a NUL")
    if os.name == "nt" and ("\\" in name or ":" in name):
        raise UnsafePath(f"{path!r} holds a backslash or colon, which Windows takes for more than a name")
    for part in name.split("\\"):
        if part in {".", ".."} or (not part and part == name):
            raise UnsafePath(f"{path!r} has an empty, '.' or '..' component")
        folded = fold(part)
        if folded in _RESERVED or _SHORT_NAME.match(folded):
            raise UnsafePath(f"{path!r} is, or folds on some file system to, a name reserved for mvc or Git")


def fold(name: str) -> str:
    """The least that distinguishes a name on any file system: no case, one Unicode form, no ignorable code
    points, no stream, no dots or spaces at the end."""
    if not name.isascii():
        name = _IGNORABLE.sub("", unicodedata.normalize("NFKC", name))
        name = unicodedata.normalize("NFKC", name.casefold()).replace("\u0131", "i").replace("i\u0307", "i")
    return name.lower().split(":", 1)[0].rstrip(". ") or name[:2]


def folds_alike(name: str) -> str:
    """The form in which names that one folder cannot hold at once, on a file system that folds case, are equal."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def parents(path: str) -> Iterator[str]:
    """The folders above a path, the nearest first: `a/b/c` gives `a/b`, `a`."""
    at = path.rfind("/")
    while at > 0:
        yield path[:at]
        at = path.rfind("/", 0, at)
