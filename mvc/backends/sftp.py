"""A folder behind SFTP: a key is a path under it. No mvc is needed there.

    sftp://[user@]host[:port]/path      sftp://host/~/path: from the home folder on

It is laid out as mvc/backends/folder.py does it, so the same folder may also be used as a path, or behind ssh://. Files
are written to `.tmp/`, synced, and then get their name. SFTP itself (version 3) promises too little for that: neither
that a rename replaces, nor that one that must not replace is atomic. So three of OpenSSH's extensions are needed to
write, and a server without them can be read and no more: posix-rename, which replaces in one step; hardlink, which is
link(2) there, and is all that keeps two pushes apart; fsync. The file is synced once more under its new name, for that
is what puts the name on the disk where a file system keeps a journal: a folder cannot be synced by SFTP.
"""

from __future__ import annotations

import contextlib
import stat
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncssh

from mvc import fsio
from mvc.backends.base import Capabilities, Entry, Report, Source, Streamed, check_key, check_prefix, check_range
from mvc.backends.sftp_address import SftpAddress
from mvc.backends.sftp_line import Alive, Client, Line, Result, Work, translated
from mvc.backends.sftp_listing import listed
from mvc.errors import FileChanged, MvcError, NetworkError, NotFound, RemoteUnavailable, Unsupported
from mvc.fsio import Buffer

_CAPABILITIES = Capabilities(
    put_if_absent=True, atomic_put=True, ranges=True, list_after=True, parallel=8, part=8 << 20
)
_BLOCK = 1 << 20
"""Written at once. asyncssh cuts it into what the server takes, and sends that without waiting in between."""
_ABANDONED_SECONDS = 3 * 86400
"""A file in `.tmp/` that was not written to for so long belongs to nobody any more."""


class SftpBackend:
    """Objects as files under a folder, which the first write makes (its parent must be there)."""

    def __init__(self, address: SftpAddress, *, line: Line | None = None) -> None:
        self.url = address.url
        self.capabilities = _CAPABILITIES
        self._root = _path_there(address.place.path)
        self._line = line or Line(address)
        self._mode: int | None = None
        """Of the remote's own folder, once a write has asked."""
        self._made: set[str] = set()
        """Folders that are known to be there."""

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        check_range(offset, length)
        path = self._path(key)

        async def work(client: Client, alive: Alive) -> bytes:
            async with client.open(path, "rb") as file:
                status = await file.stat()
                if not stat.S_ISREG(status.permissions or 0):
                    raise NotFound(f"'{key}' is not in {self.url}")
                left = max(0, (status.size or 0) - offset)
                return await _read(file, offset, left if length is None else min(left, length), alive)

        return self._done(work, key)

    def size(self, key: str) -> int | None:
        path = self._path(key)

        async def work(client: Client, _: Alive) -> Any:
            return await client.stat(path)

        try:
            found = self._done(work, key)
        except NotFound:
            return None
        return int(found.size or 0) if stat.S_ISREG(found.permissions or 0) else None

    def put(self, key: str, source: Source, *, progress: Report | None = None) -> None:
        path = self._path(key)
        with contextlib.ExitStack() as stack:
            if isinstance(source, Streamed):
                blocks = _gathered(source)
            elif isinstance(source, Path):
                blocks = _blocks_of(stack.enter_context(fsio.RandomFile(source)))
            else:
                blocks = _blocks(memoryview(source).cast("B"))
            file, name = stack.enter_context(self._temporary(key, path))
            self._fill(file, blocks, key, progress)

            async def rename(client: Client, _: Alive) -> None:
                await client.posix_rename(name, path)
                await file.fsync()

            self._written(rename, key)

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        path = self._path(key)
        if self._stands(path, key):
            return False
        with self._temporary(key, path) as (file, name):
            self._fill(file, _blocks(memoryview(data).cast("B")), key, None)

            async def link(client: Client, _: Alive) -> bool:
                try:
                    await client.link(name, path)
                except asyncssh.SFTPFailure:
                    return False  # EEXIST, or no links: SFTP does not tell
                await file.fsync()
                return True

            if self._written(link, key):
                return True
        if self._stands(path, key):
            return False
        raise Unsupported(
            f"{self.url} lies on a file system without hard links, so two who push at once could lose a version",
            hint="keep the remote on another file system, or serve it by mvc",
        )

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        check_prefix(prefix)

        async def work(client: Client, alive: Alive) -> Sequence[Entry]:
            return await listed(client, self._root, prefix, after, alive)

        return iter(sorted(self._done(work, prefix), key=lambda entry: entry.key))

    def delete(self, keys: Iterable[str]) -> None:
        paths = {key: self._path(key) for key in keys}

        def remove(key: str) -> None:
            async def work(client: Client, _: Alive) -> None:
                await client.remove(paths[key])

            with contextlib.suppress(NotFound):
                self._done(work, key)

        with ThreadPoolExecutor(max(1, min(self.capabilities.parallel, len(paths)))) as pool:
            list(pool.map(remove, paths))

    def close(self) -> None:
        self._line.close()

    # ---- requests

    def _done(self, work: Work[Result], key: str) -> Result:
        try:
            return self._line.run(work, key)
        except asyncssh.SFTPError as error:
            raise translated(error, self.url, key) from None

    def _written(self, work: Work[Result], key: str) -> Result:
        """As `_done`, for a step of a write: there a missing file is a folder that was removed meanwhile."""
        try:
            return self._line.run(work, key)
        except asyncssh.SFTPOpUnsupported:
            raise Unsupported(
                f"{self.url} lacks OpenSSH's extensions of SFTP, so two who push at once could lose a version",
                hint="it can be read from; to write, reach that folder in another way (docs/remotes/)",
            ) from None
        except asyncssh.SFTPNoSuchFile:
            self._made.clear()
            self._mode = None
            raise RemoteUnavailable(f"{self.url}: the folder of '{key}' was removed meanwhile") from None
        except asyncssh.SFTPFailure as error:
            if self._is_full():
                raise NetworkError(f"there is no space left at {self.url}") from None
            raise translated(error, self.url, key) from None
        except asyncssh.SFTPError as error:
            raise translated(error, self.url, key) from None

    def _is_full(self) -> bool:
        async def work(client: Client, _: Alive) -> bool:
            status = await client.statvfs(self._root)
            return bool(status.bavail * status.frsize < _BLOCK)

        with contextlib.suppress(MvcError, asyncssh.SFTPError):
            return self._line.run(work, "")
        return False

    def _path(self, key: str) -> str:
        return f"{self._root}/{check_key(key)}"

    def _stands(self, path: str, key: str) -> bool:
        """Whether anything has that name, be it a link to nowhere."""

        async def work(client: Client, _: Alive) -> None:
            await client.lstat(path)

        try:
            self._done(work, key)
        except NotFound:
            return False
        return True

    # ---- writing

    @contextlib.contextmanager
    def _temporary(self, key: str, path: str) -> Iterator[tuple[Any, str]]:
        """A new file in `.tmp/`, and its name. What is left of it is removed with the block."""
        mode = self._make_root(key)
        first = f"{self._root}/.tmp" not in self._made
        for folder in (f"{self._root}/.tmp", path.rpartition("/")[0]):
            self._make_folder(folder, mode, key)
        name = f"{self._root}/.tmp/{uuid.uuid4().hex}"

        async def create(client: Client, _: Alive) -> Any:
            file = await client.open(name, "xb")
            if mode & stat.S_IWGRP:  # under any umask
                await file.chmod(0o640 | mode & 0o064)
            return file

        file = self._written(create, key)
        try:
            if first:
                self._sweep(name)
            yield file, name
        finally:

            async def remove(client: Client, _: Alive) -> None:
                await file.close()
                with contextlib.suppress(asyncssh.SFTPNoSuchFile):  # it was renamed
                    await client.remove(name)

            with contextlib.suppress(MvcError, asyncssh.SFTPError):
                self._line.run(remove, key)

    def _fill(self, file: Any, blocks: Iterator[bytes], key: str, progress: Report | None) -> None:
        offset = 0
        for block in blocks:

            async def write(_: Client, __: Alive, block: bytes = block, offset: int = offset) -> None:
                await file.write(block, offset)

            self._written(write, key)
            offset += len(block)
            if progress is not None:
                progress(len(block))

        async def sync(_: Client, __: Alive) -> None:
            await file.fsync()

        self._written(sync, key)

    def _make_root(self, key: str) -> int:
        """Make the remote's own folder, if need be; returns its mode."""
        if self._mode is None:
            found = self._mode_of(self._root, key)
            if found is None:
                above = self._root.rpartition("/")[0] or ("/" if self._root.startswith("/") else ".")
                # Not its parents: what is missing may be a disk that is not mounted.
                if self._mode_of(above, key) is None:
                    raise NotFound(
                        f"{self.url}: the folder above it is not there", hint="is its disk mounted? if so, make it"
                    )
                self._make_folder(self._root, 0, key)
                found = self._mode_of(self._root, key) or 0
            self._mode = found
        return self._mode

    def _make_folder(self, folder: str, mode: int, key: str) -> None:
        if folder in self._made or (folder == self._root and self._mode is not None):
            return
        if self._mode_of(folder, key) is None:
            if folder != self._root:
                self._make_folder(folder.rpartition("/")[0], mode, key)

            async def make(client: Client, _: Alive) -> None:
                with contextlib.suppress(asyncssh.SFTPFailure):  # another has just made it
                    await client.mkdir(folder)
                    if mode & stat.S_IWGRP:
                        await client.chmod(folder, 0o700 | stat.S_IMODE(mode) & (stat.S_ISGID | 0o077))

            self._written(make, key)
        self._made.add(folder)

    def _mode_of(self, folder: str, key: str) -> int | None:
        async def work(client: Client, _: Alive) -> Any:
            return await client.stat(folder)

        try:
            return int(self._done(work, key).permissions or 0)
        except NotFound:
            return None

    def _sweep(self, mark: str) -> None:
        """Remove what killed writers left, by the clock there: that of the file `mark`, which is new."""

        async def work(client: Client, alive: Alive) -> None:
            now = (await client.stat(mark)).mtime or time.time()
            for entry in await client.readdir(f"{self._root}/.tmp"):
                if stat.S_ISREG(entry.attrs.permissions or 0) and now - (entry.attrs.mtime or now) > _ABANDONED_SECONDS:
                    with contextlib.suppress(asyncssh.SFTPNoSuchFile):  # its writer has just named it
                        await client.remove(f"{self._root}/.tmp/{entry.filename}")
                alive()

        with contextlib.suppress(MvcError, asyncssh.SFTPError):
            self._line.run(work, ".tmp")


def open_sftp(address: SftpAddress) -> SftpBackend:
    """The backend at an address. Connects to nothing yet."""
    return SftpBackend(address)


def _path_there(path: str) -> str:
    """As SFTP has it, where a relative path starts from the home folder."""
    if path == "~" or path.startswith("~/"):
        return path[2:].rstrip("/") or "."
    return "/" + path.strip("/") if path.startswith("/") else path.rstrip("/")


async def _read(file: Any, offset: int, length: int, alive: Alive) -> bytes:
    """Exactly these bytes of a file that has them. Pieces come in any order."""
    pieces: dict[int, bytes] = {}
    async for at, data in await file.read_parallel(length, offset):
        pieces[at] = data
        alive()
    parts, end = [], offset
    for at, data in sorted(pieces.items()):
        if at != end:
            break
        parts.append(data)
        end += len(data)
    if end != offset + length:
        raise asyncssh.SFTPConnectionLost("the answer was cut")
    return b"".join(parts)


def _blocks(view: memoryview) -> Iterator[bytes]:
    for at in range(0, len(view), _BLOCK):
        yield bytes(view[at : at + _BLOCK])


def _gathered(source: Streamed) -> Iterator[bytes]:
    """What is made meanwhile, in blocks of our size: each is a wait for the server."""
    held: list[bytes] = []
    size = 0
    for block in source.blocks():
        held.append(bytes(block))
        size += len(held[-1])
        if size >= _BLOCK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _blocks_of(file: fsio.RandomFile) -> Iterator[bytes]:
    size = file.stat().st_size
    for offset in range(0, size, _BLOCK):
        data = file.read_at(offset, min(_BLOCK, size - offset))
        if len(data) != min(_BLOCK, size - offset):
            raise FileChanged(f"'{file.path}' became shorter while it was read")
        yield data
