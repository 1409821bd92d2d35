"""Chunks that stand in files which an earlier `get` put down: they need not come again, nor what rests on them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mvc.errors import MvcError
from mvc.fsio import Buffer, RandomFile
from mvc.hashing import ChunkNamer
from mvc.objects.manifest import is_manifest, parse
from mvc.objects.model import is_file
from mvc.ops.receipt import Receipt
from mvc.repo.folders import Folders
from mvc.repo.tensors import file_chunks
from mvc.sync.view import View

_MOST = 2_000_000
"""Chunks that are remembered at the most: some 300 MB; of a larger model only the first files help."""


class Pieces:
    """Which file holds which chunk. Thread-safe; holds the files open, so that they can be replaced meanwhile.

    Nothing is believed: what is read is held against the chunk's name.
    """

    def __init__(self, namer: ChunkNamer) -> None:
        self._namer = namer
        self._places: dict[bytes, tuple[RandomFile, int, int]] = {}
        self._files: list[RandomFile] = []
        self._lock = threading.Lock()
        self.reused = 0
        """Bytes that were taken from files here."""

    def close(self) -> None:
        for file in self._files:
            file.close()

    def add(self, view: View, folder: Path, receipt: Receipt, paths: Iterable[str]) -> None:
        """The chunks of these files of a folder, as far as their manifests can be had."""
        wanted = [path for path in paths if path in receipt.files and is_file(receipt.files[path].item.mode)]
        with suppress(MvcError, OSError), Folders(folder) as folders:
            view.bring_objects([receipt.files[path].item.id for path in wanted])
            for path in wanted:
                with suppress(MvcError, OSError):
                    self._add_file(view, folders, path, receipt.files[path].item.id)

    def _add_file(self, view: View, folders: Folders, path: str, blob_id: str) -> None:
        blob = view.objects.blob(blob_id)
        if not is_manifest(blob) or len(self._places) >= _MOST:
            return
        file = RandomFile(path, fd=folders.open_file(path))
        self._files.append(file)
        size = os.fstat(file.fileno()).st_size
        for offset, ref, _ in file_chunks(view.chunks, parse(blob)):
            if offset + ref.size <= size:
                self._places.setdefault(ref.name, (file, offset, ref.size))

    def __contains__(self, name: bytes) -> bool:
        """Whether a file here should hold the chunk; it is not read."""
        return name in self._places

    def __call__(self, name: bytes) -> Buffer | None:
        """The chunk's raw bytes, or None."""
        place = self._places.get(name)
        if place is None:
            return None
        file, offset, size = place
        data = file.read_at(offset, size)
        if len(data) != size or self._namer(data) != name:
            self._places.pop(name, None)
            return None
        with self._lock:
            self.reused += size
        return data
