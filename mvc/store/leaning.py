"""Which repositories lean on a shared store: `repositories/<id>`, a file each. See docs/format/sharedstore.md.

A list for people, and of remotes to ask before something goes. Nothing is kept or removed on its word alone.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from mvc import fsio
from mvc.errors import IntegrityError
from mvc.hashing import digest

_FOLDER = "repositories"
_MAGIC = b"mvc-repository 1"
_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Leaning:
    """A repository: its `.mvc`, the space that it reads, who told of it (user id), and the file that tells."""

    path: Path
    space: str
    uid: int
    file: Path

    @property
    def is_mine(self) -> bool:
        """Whether this process's user told of it, and owns it: another's config may name any remote to be asked."""
        me = os.geteuid() if hasattr(os, "geteuid") else self.uid
        try:
            return self.uid == me == self.path.stat().st_uid
        except OSError:
            return False

    @property
    def is_gone(self) -> bool:
        """Whether nothing stands there any more."""
        try:
            os.lstat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        return False


def register(root: Path, repository: Path, space: str) -> None:
    """Tell that a repository (its `.mvc`) leans on the store. Raises OSError."""
    name = os.fsencode(repository)
    text = b"%s\npath %s\nspace %s\n" % (_MAGIC, quote_from_bytes(name).encode(), space.encode())
    place = root / _FOLDER / digest(name).hex()[:32]
    with contextlib.suppress(FileNotFoundError, IntegrityError):
        if fsio.read_small(place, _LIMIT) == text:
            return
    fsio.make_dirs(place.parent)
    fsio.write_atomic(place, text, sync=False)


def registered(root: Path) -> list[Leaning]:
    """All that told, by path. What makes no sense is left out."""
    found: list[Leaning] = []
    try:
        names = os.listdir(root / _FOLDER)
    except (FileNotFoundError, NotADirectoryError):
        return found
    for name in names:
        file = root / _FOLDER / name
        with contextlib.suppress(OSError, IntegrityError, ValueError):
            first, path, space = fsio.read_small(file, _LIMIT).decode("ascii").splitlines()
            if first.encode() == _MAGIC and path.startswith("path ") and space.startswith("space "):
                place = Path(os.fsdecode(unquote_to_bytes(path[5:])))
                found.append(Leaning(place, space[6:], os.lstat(file).st_uid, file))
    return sorted(found, key=lambda one: one.path)
