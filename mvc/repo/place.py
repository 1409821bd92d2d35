"""Safe writes into a worktree: nothing outside is ever touched, no link followed.

A file is written beside its place, then renamed over what stands there: whoever has the old file
open or mapped keeps it. A large one has no name at all until it is whole (O_TMPFILE, on Linux), so
that a killed checkout leaves nothing of it; elsewhere a name that begins with `.mvc-tmp-`. Under such a name, too,
the old file stands for a moment where a large one takes its place (see `replacing`). `status` does not show
them, and the next run that has to do there removes them. Nothing is fsynced: the repository holds it all.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mvc.errors import UnsafePath, WouldOverwrite
from mvc.fsio import RandomFile, step
from mvc.objects.model import EXEC, LINK, is_file
from mvc.objects.paths import check_path
from mvc.repo.folders import HAS_DESCRIPTORS, Folder, Folders
from mvc.repo.ignore import LEFTOVER_PREFIX
from mvc.repo.replacing import drop_cached, is_large, remove, rename_over
from mvc.repo.stage import Stat, stat_of

Buffer = bytes | bytearray | memoryview

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
"""What O_TMPFILE gives on a file system or kernel without it."""
_CAN_LINK = os.path.isdir("/proc/self/fd")
"""A nameless file gets its name through /proc."""


class Placer:
    """Writes files of one worktree. Thread-safe; holds a few folders open. Use as a context manager.

    Each path is checked (mvc.objects.paths.check_path: UnsafePath), each folder on the way opened
    without following links. What stands where a folder is needed, or a folder that is not empty where a
    file is to be, raises WouldOverwrite; with `force` a link or file on the way is removed first.
    `roomy`: the disk has room to spare, so nobody waits until what is replaced or removed is freed.
    """

    def __init__(
        self, worktree: Path, *, force: bool = False, roomy: bool = False, by_descriptor: bool = HAS_DESCRIPTORS
    ) -> None:
        self._folders = Folders(worktree, by_descriptor=by_descriptor)
        self._top = str(worktree)
        self._force = force
        self._roomy = roomy
        self._prefix = _temporary_name()
        self._number = 0

    def __enter__(self) -> Placer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._folders.close()

    @property
    def folders(self) -> Folders:
        """The same worktree for reading."""
        return self._folders

    def small(self, path: str, data: Buffer, mode: int) -> Stat:
        """Write a whole file, or with mode 0o120000 a link whose target is `data`."""
        self._check(path, mode)
        with self._folders.lock:
            above, _, name = path.rpartition("/")
            folder = self._folders.make(above, force=self._force)
            self._number += 1
            temporary = f"{self._prefix}-{self._number}"
            step("create", f"{self._top}/{path}")
            try:
                if mode == LINK:
                    folder.symlink(bytes(data), temporary)
                else:
                    _write_new(folder, temporary, data, mode)
                if is_large(folder, name):
                    return self._rename(folder, temporary, path)
                step("rename", f"{self._top}/{path}")
                self._rename_plainly(folder, temporary, name, path)
                return stat_of(folder.lstat(name))
            except BaseException:
                with suppress(OSError):
                    folder.unlink(temporary)
                raise

    def begin(self, path: str, mode: int, size: int, *, reading: bool = False) -> PlacedFile:
        """A file of `size` bytes to be written at any offsets from several threads, then committed or discarded.

        Bytes that are not written are zero. Room on the disk is not reserved (see NoSpace in materialize).
        `reading`: the caller reads what stands there meanwhile, so it stays in the system's cache.
        """
        self._check(path, mode)
        if mode == LINK:
            raise UnsafePath(f"{path}: a link is placed whole")
        with self._folders.lock:
            folder = self._folders.make(path.rpartition("/")[0], force=self._force)
            step("create", f"{self._folders.top}/{path}")
            if not reading:
                drop_cached(folder, path.rpartition("/")[2])
            return self._begin(folder, path, _permissions(mode), size)

    def _begin(self, folder: Folder, path: str, permissions: int, size: int) -> PlacedFile:
        if _CAN_LINK:
            try:
                return PlacedFile(self, path, folder.open_nameless(permissions), None, size)
            except OSError as error:
                if error.errno not in _NO_NAMELESS:
                    raise
        temporary = _temporary_name()
        return PlacedFile(self, path, folder.open(temporary, _CREATE, permissions), temporary, size)

    def chmod(self, path: str, mode: int) -> Stat:
        """Give the file that stands the executable bit, or take it. Where reading is allowed, so is executing then."""
        self._check(path, mode)
        fd = self._folders.open_file(path)
        try:
            if hasattr(os, "fchmod"):
                old = stat.S_IMODE(os.fstat(fd).st_mode)
                new = old | (old & 0o444) >> 2 if mode == EXEC else old & ~0o111
                step("chmod", f"{self._folders.top}/{path}")
                os.fchmod(fd, new)
            return stat_of(os.fstat(fd))
        finally:
            os.close(fd)

    def remove(self, path: str, *, keep_folders: bool = False) -> bool:
        """Remove the file or link, and (unless kept) the folders that are empty then. Returns whether it was there.

        A folder at `path` is left, and so is what lies behind a link or file on the way.
        """
        self._check(path, None)
        with self._folders.lock:
            try:
                folder, name = self._folders.parent(path)
                if stat.S_ISDIR(folder.lstat(name).st_mode):
                    return False
                step("unlink", f"{self._folders.top}/{path}")
                remove(folder, name, wait=not self._roomy)
            except (FileNotFoundError, NotADirectoryError):
                return False
            if not keep_folders:
                self.prune(path.rpartition("/")[0])
        return True

    def prune(self, path: str) -> None:
        """Remove the folder `path` and those above it, as far as they are empty."""
        while path and self.remove_folder(path):
            path = path.rpartition("/")[0]

    def remove_folder(self, path: str) -> bool:
        """Remove the folder if it is empty; returns whether it is gone by that."""
        self._check(path, None)
        above, _, name = path.rpartition("/")
        with self._folders.lock:
            step("rmdir", f"{self._folders.top}/{path}")
            try:
                self._folders.get(above).rmdir(name)
            except OSError:
                return False
            self._folders.forget(path)
        return True

    def move(self, old: str, new: str) -> None:
        """Rename a file, link or folder. A file or link at `new` is replaced.

        Raises FileNotFoundError, NotADirectoryError where `old` or the folder of `new` are not there (or
        behind a link); WouldOverwrite if a folder that is not empty stands at `new`.
        """
        for path in (old, new):
            self._check(path, None)
        with self._folders.lock:
            self._folders.forget(old)
            self._folders.forget(new)
            source, old_name = self._folders.parent(old)
            target, new_name = self._folders.parent(new)
            step("rename", f"{self._folders.top}/{new}")
            try:
                source.move(old_name, target, new_name)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR):
                    raise WouldOverwrite(f"{new} is a folder that is not empty", paths=[new]) from error
                raise

    def remove_leftovers(self, folder: str) -> None:
        """Remove what a killed run left in a folder of the worktree. The caller holds the worktree's lock,
        so nothing of the kind is in use."""
        with self._folders.lock, suppress(OSError):
            place = self._folders.get(folder)
            for name in place.names():
                if name.startswith(LEFTOVER_PREFIX):
                    step("unlink", f"{self._folders.top}/{folder}/{name}")
                    with suppress(OSError):  # it may be a folder, somebody's
                        place.unlink(name)

    def lstat(self, path: str) -> os.stat_result | None:
        """Of what stands at `path`, no link on the way followed; None if nothing (or a link or file is on the way)."""
        return self._folders.lstat(path)

    def open_read(self, path: str) -> int:
        """A descriptor for reading a regular file, no link followed.

        Raises FileNotFoundError, NotADirectoryError, UnsafePath.
        """
        return self._folders.open_file(path)

    def open_known(self, path: str) -> tuple[int, os.stat_result]:
        """As `open_read`, with the stat of what was opened."""
        return self._folders.open_known(path)

    def open_file(self, path: str) -> RandomFile:
        """As `open_read`, to be read at any place."""
        return RandomFile(path, fd=self.open_read(path))

    def readlink(self, path: str) -> bytes:
        """A link's target; OSError if there is none."""
        return self._folders.read_link(path)

    def names(self, folder: str) -> list[str]:
        """What is in a folder, in no order; nothing if it cannot be read."""
        with self._folders.lock, suppress(OSError):
            return self._folders.get(folder).names()
        return []

    def _check(self, path: str, mode: int | None) -> None:
        """Refuse what must never be written. A folder's name is looked at once."""
        if mode is not None and mode != LINK and not is_file(mode):
            raise UnsafePath(f"{path}: mode {mode:o} is not a file's")
        check_path(path)

    def _rename(self, folder: Folder, temporary: str, path: str) -> Stat:
        """Put what is whole in its place."""
        name = path.rpartition("/")[2]
        step("rename", f"{self._folders.top}/{path}")
        try:
            rename_over(folder, temporary, name, wait=not self._roomy)
        except OSError as error:
            if not self._clear_folder(folder, name, path, error):
                raise
            folder.rename(temporary, name)
        # Not before: a rename moves the ctime.
        return stat_of(folder.lstat(name))

    def _rename_plainly(self, folder: Folder, temporary: str, name: str, path: str) -> None:
        try:
            folder.rename(temporary, name)
        except OSError as error:
            if not self._clear_folder(folder, name, path, error):
                raise
            folder.rename(temporary, name)

    def _clear_folder(self, folder: Folder, name: str, path: str, error: OSError) -> bool:
        """Remove an empty folder that stands where a file is to be; False if `error` came from something else."""
        try:
            if not stat.S_ISDIR(folder.lstat(name).st_mode):
                return False
            self._folders.forget(path)
            folder.rmdir(name)
            return True
        except FileNotFoundError:
            return False
        except OSError:
            raise WouldOverwrite(f"{path} is a folder that is not empty", paths=[path]) from error


class PlacedFile:
    """A file on its way into the worktree. `discard` (or leaving the `with` block) removes it unless committed."""

    def __init__(self, placer: Placer, path: str, fd: int, temporary: str | None, size: int) -> None:
        self._placer = placer
        self._path = path
        self._fd = fd
        self._temporary = temporary
        """Its name until it is committed; None where it has none."""
        self._size = size

    def __enter__(self) -> PlacedFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    def fileno(self) -> int:
        """The descriptor, for writes at an offset by other means."""
        return self._fd

    def pwrite(self, data: Buffer, offset: int) -> None:
        """All of `data` at `offset`. From any thread."""
        view = memoryview(data).cast("B")
        step("write", f"{self._placer.folders.top}/{self._path}")
        while view:
            written = _write_at(self._fd, view, offset, self._placer.folders.lock)
            view = view[written:]
            offset += written

    def commit(self) -> Stat:
        """Give it its name and mode; what was there before is replaced, never written to."""
        placer, folders = self._placer, self._placer.folders
        # Not before it is written: a file that grows as it is written comes out of a power failure shorter than
        # the stage says it is, as file systems have it; one of the full size could come out as zeros unnoticed.
        if os.fstat(self._fd).st_size != self._size:
            os.ftruncate(self._fd, self._size)
        with folders.lock:
            folder = folders.make(self._path.rpartition("/")[0], force=placer._force)
            if self._temporary is None:
                self._temporary = _link(folder, self._fd)
            if os.name == "nt":
                self._close()
            result = placer._rename(folder, self._temporary, self._path)
            self._temporary = ""
            self._close()
        return result

    def discard(self) -> None:
        """Remove it, unless it was committed."""
        self._close()
        if self._temporary:
            with self._placer.folders.lock, suppress(OSError):
                folder = self._placer.folders.get(self._path.rpartition("/")[0])
                folder.unlink(self._temporary)
        self._temporary = ""

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _permissions(mode: int) -> int:
    """What the system takes off by the user's umask."""
    return 0o777 if mode == EXEC else 0o666


def _temporary_name() -> str:
    return f"{LEFTOVER_PREFIX}{os.getpid()}-{os.urandom(6).hex()}"


def _link(folder: Folder, fd: int) -> str:
    name = _temporary_name()
    folder.link_descriptor(fd, name)
    return name


def _write_new(folder: Folder, name: str, data: Buffer, mode: int) -> None:
    fd = folder.open(name, _CREATE, _permissions(mode))
    try:
        done = os.write(fd, data)
        if done < len(data):
            view = memoryview(data).cast("B")[done:]
            while view:
                view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def _pwrite(fd: int, data: memoryview, offset: int, _lock: object) -> int:
    return os.pwrite(fd, data, offset)


def _seek_and_write(fd: int, data: memoryview, offset: int, lock: object) -> int:
    with lock:  # type: ignore[attr-defined]
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, data)


_write_at: Callable[[int, memoryview, int, object], int] = _pwrite if hasattr(os, "pwrite") else _seek_and_write
