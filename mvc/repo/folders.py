"""The folders of a worktree, entered one by one without following a link.

A path in a tree comes from others. If `models` is a link to `/etc`, then writing `models/passwd`
by its path writes outside. So each folder on the way is opened by name, relative to the one
above and with O_NOFOLLOW, and all that happens to a file happens relative to its folder's descriptor
(openat(2)). Nothing can be swapped in between.

Where the system has no such calls (Windows), each folder is checked by lstat just before it is
used: links and junctions that stand there are refused, but one that another process puts there
between check and use is not noticed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Protocol

from mvc.errors import UnsafePath, WouldOverwrite
from mvc.fsio import step
from mvc.repo.pathbytes import encode, list_kinds, list_names, to_system

HAS_DESCRIPTORS = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW") and hasattr(os, "O_DIRECTORY")

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_AS_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NOFOLLOW | _CLOEXEC
_BINARY = getattr(os, "O_BINARY", 0)
_TO_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
_NOT_A_FOLDER = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
"""What opening a link or file as a folder gives (EMLINK on FreeBSD)."""
_REPARSE_POINT = getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0x400)


class Folder(Protocol):
    """An open folder of the worktree. Every `name` is one component; no call follows a link."""

    def enter(self, name: str) -> Folder:
        """The folder in it; raises FileNotFoundError, or NotADirectoryError for a link or file."""

    def close(self) -> None:
        """Give the descriptor back."""

    def names(self) -> list[str]:
        """What is in it, in no order."""

    def kinds(self) -> list[tuple[str, int]]:
        """As `names`, each with its S_IFMT (0 for what is neither file, folder nor link)."""

    def lstat(self, name: str) -> os.stat_result:
        """Raises FileNotFoundError."""

    def open(self, name: str, flags: int, mode: int = 0o666) -> int:
        """A descriptor, as os.open; a link as `name` is an OSError."""

    def mkdir(self, name: str) -> None: ...
    def unlink(self, name: str) -> None: ...
    def rmdir(self, name: str) -> None: ...
    def symlink(self, target: bytes, name: str) -> None: ...
    def readlink(self, name: str) -> bytes: ...
    def rename(self, old: str, new: str) -> None: ...
    def move(self, old: str, other: Folder, new: str) -> None:
        """Rename into another folder of the same kind."""

    def link_descriptor(self, fd: int, name: str) -> None:
        """Give a nameless file (O_TMPFILE) a name."""

    def open_nameless(self, mode: int) -> int:
        """A new file in this folder's file system that has no name yet (O_TMPFILE); OSError where that cannot be."""


class DescriptorFolder:
    """By descriptor: POSIX."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def at(cls, path: Path) -> DescriptorFolder:
        """A worktree's top. It may be reached by links: the user named it."""
        return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | _CLOEXEC))

    def enter(self, name: str) -> DescriptorFolder:
        try:
            return DescriptorFolder(os.open(to_system(name), _AS_FOLDER, dir_fd=self.fd))
        except OSError as error:
            if error.errno in _NOT_A_FOLDER:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name) from None
            raise

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def names(self) -> list[str]:
        return list_names(self.fd)

    def kinds(self) -> list[tuple[str, int]]:
        return list_kinds(self.fd)

    def lstat(self, name: str) -> os.stat_result:
        return os.lstat(to_system(name), dir_fd=self.fd)

    def open(self, name: str, flags: int, mode: int = 0o666) -> int:
        return os.open(to_system(name), flags | _NOFOLLOW | _CLOEXEC, mode, dir_fd=self.fd)

    def mkdir(self, name: str) -> None:
        os.mkdir(to_system(name), dir_fd=self.fd)

    def unlink(self, name: str) -> None:
        os.unlink(to_system(name), dir_fd=self.fd)

    def rmdir(self, name: str) -> None:
        os.rmdir(to_system(name), dir_fd=self.fd)

    def symlink(self, target: bytes, name: str) -> None:
        os.symlink(target, encode(name), dir_fd=self.fd)

    def readlink(self, name: str) -> bytes:
        return os.readlink(encode(name), dir_fd=self.fd)

    def rename(self, old: str, new: str) -> None:
        os.rename(to_system(old), to_system(new), src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def move(self, old: str, other: Folder, new: str) -> None:
        if not isinstance(other, DescriptorFolder):
            raise TypeError("folders of two kinds")
        os.rename(to_system(old), to_system(new), src_dir_fd=self.fd, dst_dir_fd=other.fd)

    def open_nameless(self, mode: int) -> int:
        return os.open(".", os.O_RDWR | _tmpfile() | _CLOEXEC, mode, dir_fd=self.fd)

    def link_descriptor(self, fd: int, name: str) -> None:
        os.link(f"/proc/self/fd/{fd}", to_system(name), dst_dir_fd=self.fd, follow_symlinks=True)


class CheckedFolder:
    """By path, checked before each use: Windows. See the module's docstring for what it cannot hold."""

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def at(cls, path: Path) -> CheckedFolder:
        return cls(os.fspath(path))

    def enter(self, name: str) -> CheckedFolder:
        inner = self._of(name)
        found = os.lstat(inner)
        reparse = getattr(found, "st_file_attributes", 0) & _REPARSE_POINT
        if not stat.S_ISDIR(found.st_mode) or reparse:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
        return CheckedFolder(inner)

    def close(self) -> None:
        pass

    def names(self) -> list[str]:
        return list_names(self.path)

    def kinds(self) -> list[tuple[str, int]]:
        return list_kinds(self.path)

    def lstat(self, name: str) -> os.stat_result:
        return os.lstat(self._of(name))

    def open(self, name: str, flags: int, mode: int = 0o666) -> int:
        path = self._of(name)
        if os.path.islink(path):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        return os.open(path, flags | _NOFOLLOW | _CLOEXEC | _BINARY, mode)

    def mkdir(self, name: str) -> None:
        os.mkdir(self._of(name))

    def unlink(self, name: str) -> None:
        os.unlink(self._of(name))

    def rmdir(self, name: str) -> None:
        os.rmdir(self._of(name))

    def symlink(self, target: bytes, name: str) -> None:
        os.symlink(os.fsdecode(target), self._of(name))

    def readlink(self, name: str) -> bytes:
        return os.fsencode(os.readlink(self._of(name)))

    def rename(self, old: str, new: str) -> None:
        os.replace(self._of(old), self._of(new))

    def move(self, old: str, other: Folder, new: str) -> None:
        if not isinstance(other, CheckedFolder):
            raise TypeError("folders of two kinds")
        os.replace(self._of(old), other._of(new))

    def open_nameless(self, mode: int) -> int:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def link_descriptor(self, fd: int, name: str) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def _of(self, name: str) -> str:
        if not name or name in (".", "..") or "/" in name or os.sep in name:
            raise UnsafePath(f"{name!r} is no name of a file")
        return os.path.join(self.path, name)


class Folders:
    """The folders below a worktree's top, each entered component by component; some are kept open.

    Thread-safe as far as a caller's use of a Folder ends before it asks for 64 others: use it as
    `with folders.lock:` around getting and using one.
    """

    _KEPT = 64

    def __init__(self, top: Path, *, by_descriptor: bool = HAS_DESCRIPTORS) -> None:
        self.top = top
        self.lock = RLock()
        self._root: Folder = DescriptorFolder.at(top) if by_descriptor else CheckedFolder.at(top)
        self._open: OrderedDict[str, Folder] = OrderedDict()

    def __enter__(self) -> Folders:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give all descriptors back."""
        with self.lock:
            self.forget("")
            self._root.close()

    def get(self, path: str) -> Folder:
        """The folder `path` ("" is the top); raises FileNotFoundError, or NotADirectoryError where a link
        or file stands on the way. Closed by `Folders`, not by the caller."""
        if not path:
            return self._root
        found = self._open.get(path)
        if found is not None:
            self._open.move_to_end(path)
            return found
        above, _, name = path.rpartition("/")
        return self._keep(path, self.get(above).enter(name))

    def make(self, path: str, *, force: bool = False) -> Folder:
        """As `get`, but folders that are not there are made. A link or file on the way raises
        WouldOverwrite; with `force` it is removed first (never what it points to)."""
        try:
            return self.get(path)
        except OSError as error:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                raise
        above, _, name = path.rpartition("/")
        folder = self.make(above, force=force)
        where = f"{self.top}/{path}"
        try:
            folder.lstat(name)
        except FileNotFoundError:
            pass
        else:
            if not force:
                raise WouldOverwrite(f"{path} stands where a folder is needed", paths=[path])
            step("unlink", where)
            folder.unlink(name)
        step("mkdir", where)
        with suppress(FileExistsError):
            folder.mkdir(name)
        return self._keep(path, folder.enter(name))

    def parent(self, path: str) -> tuple[Folder, str]:
        """The folder that holds `path`, and its name there; errors as `get`."""
        above, _, name = path.rpartition("/")
        return self.get(above), name

    def lstat(self, path: str) -> os.stat_result | None:
        """Of what stands at `path`; None if nothing does, or a link or file is on the way."""
        above, _, name = path.rpartition("/")
        with self.lock:
            try:
                return self.get(above).lstat(name)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def open_file(self, path: str) -> int:
        """A descriptor to read a regular file. Raises FileNotFoundError, NotADirectoryError; UnsafePath if
        something else stands there (opening a pipe would hang, so it is opened without waiting)."""
        return self.open_known(path)[0]

    def open_known(self, path: str) -> tuple[int, os.stat_result]:
        """As `open_file`, with the stat of what was opened."""
        above, _, name = path.rpartition("/")
        with self.lock:
            folder = self.get(above)
            try:
                fd = folder.open(name, _TO_READ)
            except OSError as error:
                if error.errno in _NOT_A_FOLDER:
                    raise UnsafePath(f"{path} is a link, not a file") from None
                raise
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise UnsafePath(f"{path} is not a regular file")
        return fd, found

    def read_file(self, path: str, limit: int) -> bytes | None:
        """Up to `limit` bytes of a regular file; None if none can be opened there."""
        try:
            fd = self.open_file(path)
        except (OSError, UnsafePath):
            return None
        with os.fdopen(fd, "rb", buffering=0) as file:
            return file.read(limit)

    def read_link(self, path: str) -> bytes:
        """A link's target; OSError if none stands there."""
        with self.lock:
            folder, name = self.parent(path)
            return folder.readlink(name)

    def forget(self, path: str) -> None:
        """Close what is kept open at and below `path`: it is about to be removed or replaced."""
        for kept in [name for name in self._open if not path or name == path or name.startswith(path + "/")]:
            self._open.pop(kept).close()

    def _keep(self, path: str, folder: Folder) -> Folder:
        self._open[path] = folder
        while len(self._open) > self._KEPT:
            self._open.popitem(last=False)[1].close()
        return folder


def _tmpfile() -> int:
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    return int(flag)
