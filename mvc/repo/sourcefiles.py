"""The files that `ingest` reads: of a worktree, or any that the caller names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mvc.formats.base import ReadAt
from mvc.formats.beside import Beside
from mvc.fsio import RandomFile


class SourceFiles(Protocol):
    """Files by tree path. `mvc.repo.place.Placer` is one for a worktree: it follows no link."""

    def lstat(self, path: str) -> os.stat_result | None: ...

    def open_read(self, path: str) -> int: ...

    def readlink(self, path: str) -> bytes: ...


class NamedFiles:
    """Files anywhere on the disk, under the tree paths that a caller gives them."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def lstat(self, path: str) -> os.stat_result | None:
        try:
            return os.lstat(self._files[path])
        except (FileNotFoundError, KeyError):
            return None

    def open_read(self, path: str) -> int:
        return os.open(self._files[path], os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))

    def readlink(self, path: str) -> bytes:
        return os.fsencode(os.readlink(self._files[path]))


class Surroundings:
    """The files beside each file, for formats whose tensors another file names. One `Beside` a folder."""

    def __init__(self, files: SourceFiles, paths: Mapping[str, list[str]]) -> None:
        """`paths` maps a folder ("" is the top) to the names of the files in it that may describe others."""
        self._files = files
        self._names = paths
        self._known: dict[str, Beside] = {}

    def of(self, path: str) -> Beside | None:
        folder = path.rpartition("/")[0]
        if folder not in self._known:
            names = self._names.get(folder)
            if not names:
                return None
            self._known[folder] = Beside(names, lambda name: self._open(f"{folder}/{name}" if folder else name))
        return self._known[folder]

    @contextmanager
    def _open(self, path: str) -> Iterator[tuple[ReadAt, int]]:
        with RandomFile(path, fd=self._files.open_read(path)) as file:
            yield file.read_at, file.stat().st_size
