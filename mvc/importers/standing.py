"""What stands on this machine of a source's files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def file_size(paths: Iterable[str | Path], *, follow: bool) -> int | None:
    """The bytes of the first of `paths` that is a regular file; None where none is.

    `follow`: symbolic links, which are no files else. Raises the OSErrors of what is there and cannot be looked at.
    """
    for path in paths:
        with suppress(FileNotFoundError, NotADirectoryError):
            found = os.stat(path, follow_symlinks=follow)
            if stat.S_ISREG(found.st_mode):
                return found.st_size
    return None
