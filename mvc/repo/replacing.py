"""Putting a file in the place of a large one, or removing one, without the waits that file systems have for it.

ext4 sends a file that is renamed over another to the disk first (`auto_da_alloc`; 0.5 s a GB, measured):
so the two change names instead (`mvc.renaming`), and the old one goes. What freeing it takes is
`outlived`'s business. Elsewhere, and where the file system cannot do it, it is a rename like any other.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mvc.fsio import step
from mvc.renaming import exchange
from mvc.repo import outlived
from mvc.repo.folders import DescriptorFolder, Folder
from mvc.repo.pathbytes import encode

_LARGE = 64 * 1024 * 1024
"""What fewer bytes cost is little more than starting a process does."""
_AS_NAME = getattr(os, "O_PATH", 0) if hasattr(os, "posix_spawn") else 0


def rename_over(folder: Folder, new: str, name: str, *, wait: bool) -> None:
    """Rename `new` to `name`, where another file may stand: at each moment one of the two is there.

    Unless `wait`, the space of a large one comes free only some time after the return. Killed in
    between, the old file may be left under the name `new`. Raises OSError as rename(2) does.
    The caller has announced the change (`fsio.step`); the second step of an exchange is announced here.
    """
    with _outliving(folder, name, wait=wait) as large:
        if large and isinstance(folder, DescriptorFolder) and _exchange(folder, new, name):
            step("unlink", new)
            try:
                folder.unlink(new)
            except FileNotFoundError:
                return  # somebody has cleaned up
            except OSError as error:
                if error.errno not in (errno.EISDIR, errno.EPERM):
                    raise
                _exchange(folder, new, name)  # a folder has come there meanwhile
            else:
                return
        folder.rename(new, name)


def is_large(folder: Folder, name: str) -> bool:
    """Whether a file stands there of which `rename_over` takes care; no for a small one, or none."""
    try:
        return folder.lstat(name).st_size >= _LARGE
    except FileNotFoundError:
        return False


def remove(folder: Folder, name: str, *, wait: bool) -> None:
    """Unlink a file; `wait` as in `rename_over`."""
    with _outliving(folder, name, wait=wait):
        folder.unlink(name)


def drop_cached(folder: Folder, name: str) -> None:
    """Let the system take the memory in which it caches the file `name`, which is about to be replaced.

    So what is written now need not push out what others use, nor wait for memory that was never in use.
    """
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            fd = folder.open(name, os.O_RDONLY | os.O_NONBLOCK)
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)


@contextmanager
def _outliving(folder: Folder, name: str, *, wait: bool) -> Iterator[bool]:
    """Whether a large file stands there. Unless `wait`, it is kept alive meanwhile, then left to `outlived`."""
    fd = -1
    if _AS_NAME and isinstance(folder, DescriptorFolder):
        with suppress(OSError):
            fd = folder.open(name, _AS_NAME)
    if fd < 0:
        yield False
        return
    try:
        found = os.fstat(fd)
        large = stat.S_ISREG(found.st_mode) and found.st_blocks * 512 >= _LARGE
        if wait or not large or found.st_nlink > 1:
            os.close(fd)
            fd = -1
        yield large
    finally:
        if fd >= 0:
            outlived.keep(fd)


def _exchange(folder: DescriptorFolder, one: str, other: str) -> bool:
    return exchange(folder.fd, encode(one), encode(other))
