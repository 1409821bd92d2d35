"""Where the files of a store lie, and its packs that are open for reading."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from mvc.errors import IntegrityError, Refused
from mvc.store.packfile import PackFile, pack_path
from mvc.store.reading import PackGone
from mvc.store.records import MAX_RAW, Location

_OPEN_PACKS = 64
_USE_STEP = 600.0
"""Seconds: the time of a pack that was used within is left as it is."""
_MAX_OFFSET = 1 << 62


@dataclass(frozen=True, slots=True)
class StorePaths:
    """The folders and fixed files of a store (docs/format/repository.md)."""

    chunks: Path
    tmp: Path
    locks: Path
    intents: Path
    shared: bool = False
    """Whether it is a cache that others write to as well: a pack's time then tells when it was used last."""

    @property
    def packs(self) -> Path:
        return self.chunks / "packs"

    @property
    def idx(self) -> Path:
        return self.chunks / "idx"

    @property
    def condemned(self) -> Path:
        """The packs that a gc is about to remove: see intents.py."""
        return self.chunks / "condemned"

    @property
    def idx_lock(self) -> Path:
        """Held while idx files are removed (by a merge, by gc). Adding one takes no lock."""
        return self.locks / "idx.lock"

    @property
    def sweep_lock(self) -> Path:
        """Held while packs are removed."""
        return self.locks / "sweep.lock"

    def pack(self, pack_id: bytes) -> Path:
        return pack_path(self.packs, pack_id)

    def check_folder(self, folder: Path) -> None:
        """To be called before a file is made in, or removed from, a folder of a shared store.

        Raises Refused unless it is a folder, and all above it up to the store's own are, and no links: who may
        write to the store could else have others write and remove elsewhere.
        """
        home = self.chunks.parent
        while self.shared:
            if not stat.S_ISDIR(os.lstat(folder).st_mode):
                raise Refused(f"the shared store is not as it must be: {folder} is no folder")
            if folder == home:
                return
            folder = folder.parent


def note_use(file: PackFile) -> None:
    """Tell those who make room in a shared store that this pack is in use, where that is permitted."""
    if time.time() - file.stat().st_mtime > _USE_STEP:
        with contextlib.suppress(OSError):
            os.utime(file.fileno() if os.utime in os.supports_fd else file.path)


class OpenPacks:
    """The packs that were read last stay open. Thread-safe."""

    def __init__(self, paths: StorePaths) -> None:
        self._paths = paths
        self._lock = threading.Lock()
        self._files: OrderedDict[bytes, PackFile] = OrderedDict()

    def fetch(self, location: Location) -> bytes:
        """The whole record at `location`. Raises PackGone, or IntegrityError where the pack ends before."""
        if location.offset > _MAX_OFFSET or location.stored_size > MAX_RAW:
            raise IntegrityError("the idx tells of a record that no pack can hold")
        try:
            return self.open(location.pack).read(location.offset, location.record_size)
        except OSError as error:
            raise self._gone(location, error) from error

    def lead(self, location: Location) -> bytes:
        """What stands before the payload of the record at `location`. Raises as `fetch`."""
        return self.fetch(location._replace(stored_size=0))

    def fetch_into(self, location: Location, out: memoryview) -> None:
        """The whole record at `location`, into `out`, which has just its size. Raises as `fetch`."""
        try:
            if self.open(location.pack).read_into(location.offset, out) != len(out):
                raise IntegrityError(f"pack {location.pack.hex()} is cut short")
        except OSError as error:
            raise self._gone(location, error) from error

    def lying(self, location: Location) -> PackFile:
        """The pack, open, which has the whole record at `location`. Raises as `fetch`."""
        try:
            file = self.open(location.pack)
            if file.stat().st_size < location.offset + location.record_size:
                raise IntegrityError(f"pack {location.pack.hex()} is cut short")
        except OSError as error:
            raise self._gone(location, error) from error
        return file

    def _gone(self, location: Location, error: OSError) -> Exception:
        """What the system's error comes to."""
        if error.errno not in (errno.ENOENT, errno.ESTALE):
            return error
        self.forget(location.pack)
        return PackGone(f"pack {location.pack.hex()} is missing", hint="mvc fsck")

    def open(self, pack_id: bytes) -> PackFile:
        """The pack, open. Raises FileNotFoundError."""
        with self._lock:
            file = self._files.get(pack_id)
            if file is not None:
                self._files.move_to_end(pack_id)
                return file
        file = PackFile(self._paths.pack(pack_id))
        if self._paths.shared:
            note_use(file)
        with self._lock:
            self._files[pack_id] = file
            if len(self._files) > _OPEN_PACKS:
                self._files.popitem(last=False)
        return file

    def forget(self, pack_id: bytes) -> None:
        """Close it when nobody reads from it any more."""
        with self._lock:
            self._files.pop(pack_id, None)

    def close(self) -> None:
        """Close all that nobody reads from."""
        with self._lock:
            self._files.clear()
