"""A rename that replaces nothing, for file systems without hard links (FAT, exFAT, some network shares).

Linux: renameat2 with RENAME_NOREPLACE; macOS: renamex_np with RENAME_EXCL; Windows: every rename is one. All are atomic
where the file system takes them, and an error where it does not.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

from mvc import fsio
from mvc.fsio import PathLike

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCL = 4

_Call = Callable[[bytes, bytes], int]


def _find() -> _Call | None:
    """The system's call as (old, new) -> 0 or -1 with errno, or None where there is none."""
    if sys.platform == "win32":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if hasattr(library, "renameat2"):
        renameat2 = library.renameat2
        renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
        return lambda old, new: int(renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE))
    if hasattr(library, "renamex_np"):
        renamex = library.renamex_np
        renamex.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint)
        return lambda old, new: int(renamex(old, new, _RENAME_EXCL))
    return None


_call = _find()


def rename_new(source: PathLike, target: PathLike) -> None:
    """Rename, unless something is at `target` (FileExistsError).

    Raises NotImplementedError where the system has no such call, OSError (EINVAL, mostly) where the file system
    does not take it.
    """
    fsio.step("rename", target)
    if sys.platform == "win32":
        os.rename(source, target)
        return
    if _call is None:
        raise NotImplementedError("no rename without replacing")
    if _call(os.fsencode(source), os.fsencode(target)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), os.fspath(target))
