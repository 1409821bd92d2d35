"""Durable file operations: every byte that mvc writes for good goes through here.

Each step that changes the disk first calls `fault_hook`, so that a test can crash the
process at any of them. The order that makes a crash harmless is the callers' business
(see docs/architecture.md, "Writing"); here is what each single step promises.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mvc.errors import IntegrityError

Buffer = bytes | bytearray | memoryview
PathLike = str | Path

fault_hook: Callable[[str, str], None] | None = None
"""Called with (operation, path) before each step that changes the disk. None but in tests."""

_IOV_MAX = 1024
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_HAS_PREAD = hasattr(os, "pread")
NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)
"""To open a file for reading without waiting for a writer, should it turn out to be a pipe."""

_shared: tuple[str, ...] = ()


def step(operation: str, path: PathLike) -> None:
    """Announce a step that changes the disk; call it for a change made without this module."""
    if fault_hook is not None:
        fault_hook(operation, os.fspath(path))


def share(root: PathLike) -> None:
    """From now on whatever is made below `root` may be used by whom the folder that it is made in is for.

    Files get the folder's mode (less the right to execute) and group, folders also its setgid bit: whatever
    the umask, as with git's core.sharedRepository. Holds for this process, and cannot be taken back.
    """
    global _shared
    prefix = os.fspath(root).rstrip(os.sep) + os.sep
    if prefix not in _shared:
        _shared = (*_shared, prefix)


def fit_folder(target: int | PathLike, folder: PathLike) -> None:
    """Give a new file (a descriptor) or folder (a path) the mode and group of the shared `folder` that it is for.

    Does nothing in a folder that is not shared.
    """
    if not os.path.join(folder, "").startswith(_shared or "\0"):
        return
    model = os.stat(folder)
    mode = model.st_mode & 0o777
    if isinstance(target, int):
        mode &= 0o666
    elif mode & 0o020:
        mode |= stat.S_ISGID
    if hasattr(os, "chown") and os.stat(target).st_gid != model.st_gid:
        with contextlib.suppress(PermissionError):  # it is not a group of ours: then it stays as it is
            os.chown(target, -1, model.st_gid)
    if not isinstance(target, int) or hasattr(os, "fchmod"):
        os.chmod(target, mode)


def read_small(path: PathLike, limit: int) -> bytes:
    """A regular file of at most `limit` bytes. Raises IntegrityError if it is longer or something else.

    For what others may have put there: a pipe makes nobody wait.
    """
    with RandomFile(path) as file:
        if not stat.S_ISREG(file.stat().st_mode):
            raise IntegrityError(f"'{path}' is no regular file")
        data = file.read_at(0, limit + 1)
    if len(data) > limit:
        raise IntegrityError(f"'{path}' is longer than it can be")
    return data


def fsync_dir(path: PathLike) -> None:
    """Make the entries of a folder durable (a no-op where folders cannot be synced)."""
    if sys.platform == "win32":
        return
    step("fsync-dir", path)
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_dirs(path: PathLike) -> None:
    """Make a folder and its parents, and make their entries durable. It may stand already."""
    target = Path(path)
    missing: list[Path] = []
    while not target.is_dir():
        missing.append(target)
        target = target.parent
    for folder in reversed(missing):
        step("mkdir", folder)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            fit_folder(folder, folder.parent)
        fsync_dir(folder.parent)


class DurableFile:
    """A new file, written from front to back, that gets its name only when it is whole.

    Written as `<tmp_dir>/tmp-<random>`; `commit` syncs it, renames it to `target` and syncs
    the folder. Leaving the `with` block without a commit removes it.
    """

    def __init__(self, tmp_dir: PathLike, *, mode: int = 0o666, masked: bool = True) -> None:
        """`mode` is what it has when it gets its name; less the umask, if `masked`."""
        make_dirs(tmp_dir)
        step("create", tmp_dir)
        self._fd, self.path = _open_new(Path(tmp_dir))
        self._mode = mode & ~_umask() if masked else mode
        self._folder = tmp_dir
        self._open = True
        self.size = 0

    def __enter__(self) -> DurableFile:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._open:
            self.discard()

    def write(self, data: Buffer) -> int:
        """Append all of `data`; returns its length."""
        step("write", self.path)
        view = memoryview(data).cast("B")
        total = len(view)
        while view:
            view = view[os.write(self._fd, view) :]
        self.size += total
        return total

    def write_all(self, parts: Sequence[Buffer]) -> int:
        """Append all of `parts` in a row, in one system call where there is one; returns their length."""
        if not hasattr(os, "writev"):
            return self.write(b"".join(parts))
        step("write", self.path)
        views = [memoryview(part).cast("B") for part in parts if len(part)]
        total = sum(map(len, views))
        while views:
            done = os.writev(self._fd, views[:_IOV_MAX])
            while views and done >= len(views[0]):
                done -= len(views.pop(0))
            if done:
                views[0] = views[0][done:]
        self.size += total
        return total

    def fileno(self) -> int:
        """The descriptor, for `pread` of what is written already."""
        return self._fd

    def commit(self, target: PathLike, *, sync: bool = True) -> None:
        """Sync, close, rename to `target` (replacing what is there), sync the folder."""
        self._finish(sync)
        try:
            replace(self.path, target)
        except BaseException:
            self.discard()
            raise
        if sync:
            fsync_dir(Path(target).parent)

    def commit_new(self, target: PathLike, *, give: Callable[[PathLike, PathLike], None] | None = None) -> None:
        """As `commit`, but raises FileExistsError if something is at `target`: of several writers one wins.

        `give(self.path, target)` gives the name; `link` unless told otherwise, which also works on NFS.
        """
        self._finish(sync=True)
        try:
            try:
                (give or link)(self.path, target)
            except FileExistsError:
                # NFS repeats a request whose answer was lost, and then tells of our own file.
                if not _same(self.path, target):
                    raise
            fsync_dir(Path(target).parent)
        finally:
            self.discard()

    def _finish(self, sync: bool) -> None:
        if hasattr(os, "fchmod"):
            os.fchmod(self._fd, self._mode)
        fit_folder(self._fd, self._folder)
        if sync:
            step("fsync", self.path)
            os.fsync(self._fd)
        self._close()

    def discard(self) -> None:
        """Close and remove it."""
        self._close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._fd)


def _open_new(tmp_dir: Path) -> tuple[int, Path]:
    """A new file of a random name, open for reading and writing by its owner alone.

    (As `tempfile.mkstemp`; but importing that costs every command several milliseconds.)
    """
    while True:
        path = tmp_dir / f"tmp-{os.urandom(8).hex()}"
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o600), path
        except FileExistsError:
            continue


def write_atomic(
    target: PathLike, data: Buffer, *, tmp_dir: PathLike | None = None, mode: int = 0o666, sync: bool = True
) -> None:
    """Replace `target` by `data` in one step: after a crash it is the old one or the new one."""
    with DurableFile(tmp_dir or Path(target).parent, mode=mode) as out:
        out.write(data)
        out.commit(target, sync=sync)


def append(path: PathLike, data: Buffer, *, beginning: bytes, most: int) -> bool:
    """Add `data` to the end of a file in one write, unsynced: for what is derived, and can be lost.

    False, and nothing is done, where what stands there is no regular file, does not begin so, or is larger than `most`.
    Raises FileNotFoundError if nothing stands there.
    """
    step("append", path)
    fd = os.open(path, os.O_RDWR | os.O_APPEND | NO_WAIT | _NO_LINK | _BINARY)
    try:
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode) or state.st_size > most or os.read(fd, len(beginning)) != beginning:
            return False
        return os.write(fd, data) == len(data)
    finally:
        os.close(fd)


def create_exclusive(path: PathLike, data: Buffer, *, sync: bool = True) -> None:
    """Create `path` with `data` if nothing is there; raises FileExistsError otherwise.

    Without `sync` it need not survive a crash of the machine (locks, whose holder would not either).
    """
    step("create", path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        fit_folder(fd, os.path.dirname(path))
        view = memoryview(data).cast("B")
        while view:
            view = view[os.write(fd, view) :]
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def _same(path: PathLike, other: PathLike) -> bool:
    """Whether both are one file. What is gone again, as a lock is that was let go just now, was another's."""
    try:
        return os.path.samefile(path, other)
    except FileNotFoundError:
        return False


def replace(source: PathLike, target: PathLike) -> None:
    """Rename over whatever `target` is."""
    step("rename", target)
    os.replace(source, target)


def link(source: PathLike, target: PathLike) -> None:
    """Give the file `source` the name `target` too; raises FileExistsError if something has it."""
    step("link", target)
    os.link(source, target)


def unlink(path: PathLike, *, missing_ok: bool = False) -> None:
    """Remove a file."""
    step("unlink", path)
    try:
        os.unlink(path)
    except FileNotFoundError:
        if not missing_ok:
            raise


class RandomFile:
    """A file open for positioned reads from several threads (`pread`, never mapped)."""

    def __init__(self, path: PathLike, *, fd: int | None = None) -> None:
        self.path = Path(path)
        self._fd = os.open(path, os.O_RDONLY | NO_WAIT | _BINARY) if fd is None else fd
        self._lock = threading.Lock()

    def __enter__(self) -> RandomFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def stat(self) -> os.stat_result:
        return os.fstat(self._fd)

    def fileno(self) -> int:
        return self._fd

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end of the file."""
        first = os.pread(self._fd, length, offset) if _HAS_PREAD else self._pread(length, offset)
        if len(first) == length:
            return first
        parts = [first]
        offset += len(first)
        length -= len(first)
        while length > 0:
            part = self._pread(length, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def read_into(self, offset: int, out: memoryview) -> int:
        """Fill `out` from `offset`, as far as the file goes; returns how many bytes that was."""
        done = 0
        while done < len(out):
            if hasattr(os, "preadv"):
                count = os.preadv(self._fd, [out[done:]], offset + done)
            else:
                part = self._pread(len(out) - done, offset + done)
                count = len(part)
                out[done : done + count] = part
            if not count:
                break
            done += count
        return done

    def read_exact(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; raises IntegrityError where the file ends before."""
        data = self.read_at(offset, length)
        if len(data) != length:
            raise IntegrityError(f"{self.path} ends at {offset + len(data)}, before {offset + length}")
        return data

    def _pread(self, length: int, offset: int) -> bytes:
        if _HAS_PREAD:
            return os.pread(self._fd, length, offset)
        with self._lock:
            os.lseek(self._fd, offset, os.SEEK_SET)
            return os.read(self._fd, length)

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


@contextlib.contextmanager
def hooked(hook: Callable[[str, str], None]) -> Iterator[None]:
    """Install a fault hook for the length of a `with` block (tests)."""
    global fault_hook
    before, fault_hook = fault_hook, hook
    try:
        yield
    finally:
        fault_hook = before


_umask_lock = threading.Lock()
_known_umask: int | None = None


def _umask() -> int:
    """The process's umask, read once: reading it means setting it, which other threads would see."""
    global _known_umask
    with _umask_lock:
        if _known_umask is None:
            _known_umask = os.umask(0o077)
            os.umask(_known_umask)
        return _known_umask
