"""The Git pack that is to go to a remote: sealed beside first, so that its name is known before it is put."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType

from mvc import fsio
from mvc.lazy import load
from mvc.objects.encoding import raw_object_id
from mvc.objects.pack import Pack
from mvc.objects.packwriter import PackWriter
from mvc.sync import keys
from mvc.sync.remotes import Remote
from mvc.sync.state import GitPack

_LEFT_SECONDS = 24 * 3600.0
_COPY = "mvc.objects.repack:copy"


def outgoing_folder(remote: Remote) -> Path:
    """Where Git packs lie on their way."""
    return remote.memory / "outgoing"


class SealedGit:
    """The Git pack of a push, beside; removed at the end of a `with` block."""

    def __init__(self, remote: Remote, writer: PackWriter) -> None:
        self._remote = remote
        self._folder = outgoing_folder(remote)
        for left in self._folder.glob("pack-*"):
            if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
                fsio.unlink(left, missing_ok=True)  # of a push that was killed
        self._seal(writer)

    def _seal(self, writer: PackWriter) -> None:
        self._idx_path = writer.seal(None)
        self._path = self._idx_path.with_suffix(".pack")
        self.pack = git_pack_of(self._path, self._idx_path)

    def __enter__(self) -> SealedGit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._idx_path, self._path):
            fsio.unlink(one, missing_ok=True)

    @property
    def keys(self) -> tuple[str, str]:
        return keys.git_pack(self.pack.id), keys.git_idx(self.pack.id)

    def rename(self) -> None:
        """Give it another name: gc is about to remove one of the same bytes. A blob that nothing names does it."""
        writer = PackWriter(self._folder, self._remote.repo.tmp_dir)
        load(_COPY)(Pack(self._idx_path), writer, lambda _raw_id: True)
        chance = os.urandom(16)
        writer.add(raw_object_id("blob", chance), "blob", chance)
        self.__exit__(None, None, None)
        self._seal(writer)

    def put(self) -> None:
        """Upload pack and idx."""
        for one in self.puts():
            one()

    def puts(self) -> tuple[Callable[[], None], ...]:
        """What uploads the pack, and what uploads its idx: in any order, or both at once."""
        backend = self._remote.backend
        return (
            partial(backend.put, keys.git_pack(self.pack.id), self._path),
            partial(backend.put, keys.git_idx(self.pack.id), self._idx_path),
        )


def git_pack_of(path: Path, idx_path: Path) -> GitPack:
    """A Git pack by its checksum."""
    with fsio.RandomFile(path) as file:
        size = file.stat().st_size
        return GitPack(file.read_exact(size - 20, 20).hex(), size, idx_path.stat().st_size)
