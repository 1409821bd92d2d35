"""Two renames that `os` does not know, atomic where the file system takes them and an error where it does not.

`exchange` lets two entries of a folder change names (Linux: renameat2 with RENAME_EXCHANGE). `rename_new` replaces
nothing, for file systems without hard links (FAT, exFAT, some network shares): Linux: RENAME_NOREPLACE; macOS:
renamex_np with RENAME_EXCL; Windows: every rename is one.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

from mvc.fsio import PathLike, step

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_RENAME_EXCL = 4

_Between = Callable[[int, bytes, int, bytes, int], int]
_Plain = Callable[[bytes, bytes, int], int]


def _call(name: str, *arguments: type) -> Callable[..., int] | None:
    """The C library's call, which returns 0, or -1 and sets errno; None where it has none."""
    if sys.platform == "win32":
        return None
    try:
        found = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    found.argtypes = arguments
    found.restype = ctypes.c_int
    return lambda *given: int(found(*given))


_renameat2: _Between | None = _call(
    "renameat2", ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)
_renamex_np: _Plain | None = _call("renamex_np", ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint)


def exchange(folder: int, one: bytes, other: bytes) -> bool:
    """Let two entries of a folder, given by its descriptor, change names; False if that could not be done.

    It announces no step: that is the caller's, who knows what it is for.
    """
    return _renameat2 is not None and _renameat2(folder, one, folder, other, _RENAME_EXCHANGE) == 0


def rename_new(source: PathLike, target: PathLike) -> None:
    """Rename, unless something is at `target` (FileExistsError).

    Raises NotImplementedError where the system has no such call, OSError (EINVAL, mostly) where the file system
    does not take it.
    """
    step("rename", target)
    old, new = os.fsencode(source), os.fsencode(target)
    if sys.platform == "win32":
        os.rename(source, target)
        return
    if _renameat2 is not None:
        failed = _renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE)
    elif _renamex_np is not None:
        failed = _renamex_np(old, new, _RENAME_EXCL)
    else:
        raise NotImplementedError("no rename without replacing")
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), os.fspath(target))
