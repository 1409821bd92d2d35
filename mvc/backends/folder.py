"""A backend in a folder of this machine, or of a disk that several share (NFS): a key is a path under it.

Files are written to `.tmp/` (no key begins with a dot), synced, and then get their name: what stands under a key is
whole, after a crash too. `put_if_absent` gives the name by link(2), which is atomic on every file system that has
links, NFS too; where there are none, by a rename that replaces nothing (mvc/renaming.py). Where that cannot be
had either, it raises Unsupported: a file made with O_EXCL and filled afterwards would show half an object, and stay
half when its writer is killed.

New files and folders get the group's rights of the remote's own folder, under any umask: one that a group may write
stays so.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from mvc import fsio
from mvc.backends.base import (
    Capabilities,
    Entry,
    Report,
    Source,
    Streamed,
    check_key,
    check_prefix,
    check_range,
    is_key,
)
from mvc.errors import FileChanged, NotFound, Refused, RemoteUnavailable, Unsupported
from mvc.fsio import Buffer, PathLike
from mvc.lazy import load

_CAPABILITIES = Capabilities(
    put_if_absent=True, atomic_put=True, ranges=True, list_after=True, parallel=4, part=8 << 20
)
_START_WRITEBACK = "mvc.writeback:start_writeback"
_RENAME_NEW = "mvc.renaming:rename_new"
_BEHIND = 8 << 20
"""Bytes after which the kernel is told to begin writing, so that the fsync at the end waits for little."""

_NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV))
"""What link(2) gives on a file system without hard links."""
_ABSENT = frozenset((errno.ENOENT, errno.ENOTDIR, errno.EISDIR))
_PASSING = frozenset(getattr(errno, name, 0) for name in ("ESTALE", "ETIMEDOUT", "EHOSTDOWN", "ENOTCONN")) - {0}
"""What a network file system gives for a while."""
_BLOCK = 4 << 20
_ABANDONED_SECONDS = 3 * 86400
"""A file in `.tmp/` that was not written to for so long belongs to nobody any more."""
_DEEPEST = 16


def refuse_repository(folder: Path, shown: str) -> None:
    """Raises Refused for a repository that somebody works in, or its `.mvc`: a push would put its packs among the files
    that are worked on. One that is a remote as well, by an older mvc, goes on as it is."""
    works = (folder / ".mvc").is_dir() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())
    if works and not (folder / "mvc-remote").is_file():
        raise Refused(
            f"'{shown}' is a repository that somebody works in, and no remote",
            hint="push to a folder beside it: what is pushed there can be pulled here",
        )


class FolderBackend:
    """Objects as files under `root`, which the first write makes (its parent must be there)."""

    def __init__(self, root: Path, *, url: str | None = None) -> None:
        self.root = root
        self.url = url or os.fspath(root)
        self.capabilities = _CAPABILITIES
        self._tmp = root / ".tmp"
        self._swept = False

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        check_range(offset, length)
        with self._errors(key), fsio.RandomFile(self._path(key)) as file:
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            left = max(0, status.st_size - offset)
            return file.read_at(offset, left if length is None else min(length, left))

    def size(self, key: str) -> int | None:
        try:
            with self._errors(key):
                status = self._path(key).stat()
        except NotFound:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def put(self, key: str, source: Source, *, progress: Report | None = None) -> None:
        target = self._path(key)
        with self._writing(key), self._new_file(target) as out:
            if isinstance(source, Streamed):
                _pass_on(source.blocks(), out, progress)
            elif isinstance(source, Path):
                _copy(source, out, progress)
            else:
                _write(source, out, progress)
            out.commit(target)

    def path(self, key: str) -> Path:
        """Where an object lies: for a server on this machine, which sends files as the system does it best."""
        return self._path(key)

    def incoming(self, key: str) -> fsio.DurableFile:
        """A temporary file for `key`, which `commit(path(key))` gives its name once all of it came."""
        return self._new_file(self._path(key))

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        target = self._path(key)
        if os.path.lexists(target):
            return False
        with self._writing(key), self._new_file(target) as out:
            out.write(data)
            try:
                out.commit_new(target, give=self._give)
            except FileExistsError:
                return False
        return True

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        return self._walk(prefix[: prefix.rfind("/") + 1], prefix, after, 0)

    def delete(self, keys: Iterable[str]) -> None:
        folders: set[Path] = set()
        for key in keys:
            path = self._path(key)
            with contextlib.suppress(NotFound), self._errors(key):
                fsio.unlink(path)
                folders.add(path.parent)
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):
                fsio.fsync_dir(folder)

    def close(self) -> None:
        pass

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _new_file(self, target: Path) -> fsio.DurableFile:
        """A temporary file for `target`, whose folder is there afterwards."""
        mode = self._make_root()
        self._make_folder(self._tmp, mode)
        self._make_folder(target.parent, mode)
        if not self._swept:
            self._swept = True
            self._sweep()
        shared = bool(mode & stat.S_IWGRP)
        return fsio.DurableFile(self._tmp, mode=0o640 | mode & 0o064 if shared else 0o666, masked=not shared)

    def _make_root(self) -> int:
        """Make the remote's own folder, if need be; returns its mode."""
        try:
            return self.root.stat().st_mode
        except FileNotFoundError:
            # Not its parents: what is missing may be a disk that is not mounted.
            if not self.root.parent.is_dir():
                raise NotFound(
                    f"the folder '{self.root.parent}' is not there", hint="is its disk mounted? if so, make the folder"
                ) from None
            fsio.make_dirs(self.root)
            return self.root.stat().st_mode

    def _make_folder(self, folder: Path, mode: int) -> None:
        if folder == self.root or folder.is_dir():
            return
        self._make_folder(folder.parent, mode)
        fsio.make_dirs(folder)
        if mode & stat.S_IWGRP:
            with contextlib.suppress(PermissionError):  # another user has just made it
                folder.chmod(stat.S_IMODE(folder.stat().st_mode | mode & (stat.S_ISGID | stat.S_IRWXG)))

    def _sweep(self) -> None:
        """Remove what killed writers left, by the file system's clock."""
        with contextlib.suppress(OSError), fsio.DurableFile(self._tmp) as mark:
            now = os.fstat(mark.fileno()).st_mtime
            with os.scandir(self._tmp) as found:
                for entry in found:
                    with contextlib.suppress(FileNotFoundError):  # its writer has just named it
                        if entry.name.startswith("tmp-") and now - entry.stat().st_mtime > _ABANDONED_SECONDS:
                            fsio.unlink(entry.path, missing_ok=True)

    def _give(self, source: PathLike, target: PathLike) -> None:
        """Name a file, if nothing has that name (FileExistsError)."""
        try:
            fsio.link(source, target)
            return
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        try:
            load(_RENAME_NEW)(source, target)
        except FileExistsError:
            raise
        except (OSError, NotImplementedError) as error:
            raise Unsupported(
                f"{self.url} lies on a file system that has neither hard links nor a rename that replaces nothing, so "
                "two who push at once could lose a version",
                hint="keep the remote on another file system, or serve it by mvc",
            ) from error

    def _walk(self, folder: str, prefix: str, after: str, depth: int) -> Iterator[Entry]:
        """What is under `folder` ("" or ending in "/"), in order of the keys' bytes."""
        try:
            with self._errors(folder), os.scandir(self.root / folder) as found:
                # A folder's keys go on with "/", which sorts behind "." and "-".
                names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in found)
        except NotFound:
            return
        for name in names:
            key = folder + name
            if not is_key(key.removesuffix("/")):
                continue
            if name.endswith("/"):
                wanted = key.startswith(prefix) or prefix.startswith(key)
                if wanted and depth < _DEEPEST and (key > after or after.startswith(key)):
                    yield from self._walk(key, prefix, after, depth + 1)
            elif key > after and key.startswith(prefix):
                with contextlib.suppress(FileNotFoundError):
                    status = (self.root / key).stat()
                    if stat.S_ISREG(status.st_mode):
                        yield Entry(key, status.st_size, status.st_mtime)

    @contextlib.contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """What the system says of a file, as the contract's errors."""
        try:
            yield
        except OSError as error:
            if error.errno in _ABSENT:
                raise NotFound(f"'{key}' is not in {self.url}") from None
            if error.errno in _PASSING:
                raise RemoteUnavailable(f"{self.url}: {error.strerror}") from error
            raise

    @contextlib.contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        """As `_errors`, for a write: there a missing file is the caller's own, or a folder removed meanwhile."""
        try:
            yield
        except OSError as error:
            if error.errno in _PASSING:
                raise RemoteUnavailable(f"{self.url}: {error.strerror}") from error
            raise


def _write(data: Buffer, out: fsio.DurableFile, progress: Report | None) -> None:
    view = memoryview(data).cast("B")
    for start in range(0, len(view), _BLOCK):
        done = out.write(view[start : start + _BLOCK])
        if progress is not None:
            progress(done)


def _pass_on(blocks: Iterator[Buffer], out: fsio.DurableFile, progress: Report | None) -> None:
    told = 0
    for block in blocks:
        done = out.write(block)
        if out.size - told >= _BEHIND:
            load(_START_WRITEBACK)(out.fileno(), told, out.size - told)
            told = out.size
        if progress is not None:
            progress(done)


def _copy(source: Path, out: fsio.DurableFile, progress: Report | None) -> None:
    """Write what is in the file `source`, a block at a time; raises FileChanged if it gets shorter meanwhile."""
    with fsio.RandomFile(source) as file:
        size = file.stat().st_size
        buffer = bytearray(min(_BLOCK, size))
        for offset in range(0, size, _BLOCK):
            view = memoryview(buffer)[: min(_BLOCK, size - offset)]
            if file.read_into(offset, view) != len(view):
                raise FileChanged(f"'{source}' became shorter while it was read")
            out.write(view)
            if progress is not None:
                progress(len(view))
