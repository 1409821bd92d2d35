"""All Git objects of a remote, brought whole and verified: for gc and fsck of the remote, which believe no idx."""

from __future__ import annotations

import os
import shutil
from collections.abc import Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from pathlib import Path
from types import TracebackType

from mvc import fsio
from mvc.errors import IntegrityError, MvcError, NetworkError, NotFound
from mvc.objects.database import Objects
from mvc.objects.packindex import Row
from mvc.objects.packwriter import PackWriter
from mvc.objects.receive import Incoming
from mvc.objects.repack import copy
from mvc.progress import SILENT, Progress
from mvc.sync import keys
from mvc.sync.remotes import Remote
from mvc.sync.state import GitPack

_PART = 8 * 1024 * 1024


class RemoteGit:
    """The objects of some of a remote's Git packs, in a folder of their own that goes at the end of a `with` block.

    Nothing of the local repository shows through: what is not in the remote is not here.
    """

    def __init__(self, remote: Remote, progress: Progress = SILENT) -> None:
        self._remote, self._progress = remote, progress
        self._folder = remote.repo.tmp_dir / f"remote-{os.urandom(8).hex()}"
        fsio.make_dirs(self._folder / "objects" / "pack")
        fsio.make_dirs(self._folder / "tmp")
        self.objects = Objects(self._folder / "objects", tmp_dir=self._folder / "tmp")
        self.held: dict[GitPack, list[Row]] = {}
        """What an idx says of each pack: id (20 bytes), CRC-32, offset of its objects."""
        self.broken: dict[GitPack, str] = {}
        """Packs that are missing or damaged, and why (with `tolerant`)."""
        self.moved = 0

    def __enter__(self) -> RemoteGit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.objects.close()
        fsio.step("rmtree", self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)

    def bring(self, packs: Iterable[GitPack], *, tolerant: bool = False) -> None:
        """Bring those of the packs that are not here, the large ones first. With `tolerant` a bad one is noted, else
        raises IntegrityError. Raises NetworkError, AuthError."""
        wanted = sorted((pack for pack in packs if pack not in self.held), key=lambda pack: (-pack.size, pack.id))
        if not wanted:
            return
        self._progress.begin("history", sum(pack.size for pack in wanted))
        jobs = max(1, self._remote.backend.capabilities.parallel)
        try:
            with ThreadPoolExecutor(jobs, thread_name_prefix="history") as pool, Incoming(self.objects) as incoming:
                for first in range(0, len(wanted), 4 * jobs):
                    some = wanted[first : first + 4 * jobs]
                    for pack, path in zip(some, pool.map(self._download, some), strict=True):
                        self._take(incoming, pack, path, tolerant)
                incoming.seal()
        finally:
            self._progress.end()

    def _take(self, incoming: Incoming, pack: GitPack, path: Path | MvcError, tolerant: bool) -> None:
        try:
            if isinstance(path, MvcError):
                raise path
            rows: list[Row] = []
            try:
                incoming.take(path, listed=rows.append)
            finally:
                fsio.unlink(path, missing_ok=True)
            self.held[pack] = rows
        except NetworkError:
            raise
        except MvcError as error:
            self.broken[pack] = error.message
            self.held[pack] = []
            if not tolerant:
                where = f"{self._remote.backend.url} '{keys.git_pack(pack.id)}'"
                raise IntegrityError(f"{where}: {error.message}", hint="mvc remote fsck") from error

    def _download(self, pack: GitPack) -> Path | MvcError:
        """The pack as a file; its bytes are those that it is named by."""
        key = keys.git_pack(pack.id)
        digest = sha1(usedforsecurity=False)
        tail = b""
        try:
            with fsio.DurableFile(self._folder / "tmp") as out:
                while out.size < pack.size:
                    part = self._remote.backend.get(key, out.size, min(_PART, pack.size - out.size))
                    if not part:
                        break
                    out.write(part)
                    digest.update((tail + part)[:-20])
                    tail = (tail + part)[-20:]
                    self.moved += len(part)
                    self._progress.advance(len(part))
                if out.size != pack.size or tail != digest.digest() or tail.hex() != pack.id:
                    return IntegrityError("it has not the bytes that it is named by")
                path = out.path.with_name(f"{pack.id}.pack")
                out.commit(path, sync=False)
            return path
        except NotFound:
            return IntegrityError("it is not there")
        except MvcError as error:
            return error

    def ids(self, pack: GitPack) -> set[bytes]:
        """The ids (20 bytes) of a pack's objects."""
        return {row[0] for row in self.held.get(pack, ())}

    def writer(self, wanted: Container[bytes], folder: Path) -> PackWriter:
        """A new Git pack, not sealed yet, of those of the objects that are `wanted` (20 bytes each)."""
        writer = PackWriter(folder, self._remote.repo.tmp_dir)
        try:
            for pack in self.objects.packs.packs():
                copy(pack, writer, wanted.__contains__)
        except BaseException:
            writer.discard()
            raise
        return writer
