"""The files that `ingest` reads: of a worktree, or any that the caller names; and what describes them from beside."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from mvc.formats.base import ReadAt
from mvc.formats.beside import Beside
from mvc.fsio import RandomFile


class Opened(Protocol):
    """A file that can be read at any place. `mvc.fsio.RandomFile` is one."""

    def __enter__(self) -> Opened: ...

    def __exit__(self, *exc: object) -> None: ...

    def stat(self) -> os.stat_result: ...

    def read_at(self, offset: int, length: int) -> bytes: ...

    def read_into(self, offset: int, out: memoryview) -> int: ...


class SourceFiles(Protocol):
    """Files by tree path. `mvc.repo.place.Placer` is one for a worktree: it follows no link."""

    def lstat(self, path: str) -> os.stat_result | None: ...

    def open_read(self, path: str) -> int: ...

    def open_known(self, path: str) -> tuple[int, os.stat_result]:
        """As `open_read`, with the stat of what was opened."""

    def open_file(self, path: str) -> Opened:
        """To be read at any place, and from its beginning to its end. A file that changed may be opened again."""

    def readlink(self, path: str) -> bytes: ...

    def names(self, folder: str) -> Sequence[str]:
        """The bare names of what is in a folder ("" is the top), in no order; none if it cannot be read."""


class Further(Protocol):
    """Files beside those that are read, which are on no disk. `mvc.repo.describing.VersionFiles` is one."""

    def names(self, folder: str) -> Sequence[str]: ...

    def open(self, path: str) -> AbstractContextManager[tuple[ReadAt, int]]: ...


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

    def open_known(self, path: str) -> tuple[int, os.stat_result]:
        fd = self.open_read(path)
        return fd, os.fstat(fd)

    def open_file(self, path: str) -> RandomFile:
        return RandomFile(path, fd=self.open_read(path))

    def readlink(self, path: str) -> bytes:
        return os.fsencode(os.readlink(self._files[path]))

    def names(self, folder: str) -> Sequence[str]:
        return [path.rpartition("/")[2] for path in self._files if path.rpartition("/")[0] == folder]


class Surroundings:
    """The files beside each file, for formats whose tensors another file names. One `Beside` a folder.

    What lies there counts, not what is being added: where only the weights of an ONNX model changed, the
    `.onnx` that names them did not. `further` are looked at where the disk has none of a name.
    """

    def __init__(self, files: SourceFiles, further: Further | None = None) -> None:
        self._files = files
        self._further = further
        self._known: dict[str, Beside] = {}

    def of(self, path: str) -> Beside:
        folder = path.rpartition("/")[0]
        if folder not in self._known:
            names = list(self._files.names(folder))
            if self._further is not None:
                names = list({*names, *self._further.names(folder)})
            self._known[folder] = Beside(names, lambda name: self._open(f"{folder}/{name}" if folder else name))
        return self._known[folder]

    @contextmanager
    def _open(self, path: str) -> Iterator[tuple[ReadAt, int]]:
        if self._further is not None and self._files.lstat(path) is None:
            with self._further.open(path) as found:
                yield found
            return
        with self._files.open_file(path) as file:
            yield file.read_at, file.stat().st_size
