"""Writing large files of a version straight into a folder: by batches of chunks, resumed where a run was killed.

A file grows under `.mvc/get/partial/`, named by its hash; what is right of it already is known by the chunks' names.
Whole and held against its hash, it is made durable and gets its place.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from mvc.errors import IntegrityError, ParseError, WouldOverwrite
from mvc.fsio import RandomFile, fsync_dir, make_dirs, step
from mvc.hashing import FileHasher, chunk_namer, digest
from mvc.objects.manifest import Manifest, parse
from mvc.objects.model import EXEC
from mvc.ops.get_files import Wanted
from mvc.ops.get_pieces import Pieces
from mvc.ops.receipt import HOME
from mvc.ops.windows import Piece, windows
from mvc.progress import Progress
from mvc.repo.folders import Folders
from mvc.repo.tensors import file_chunks, read_chunk
from mvc.sync.view import View

PARTIAL = f"{HOME}/partial"
_GROUP = 16_384
"""Chunks whose places are looked up at once: those of 16 GiB."""
_BLOCK = 4 * 1024 * 1024
_OPEN = 3
"""Files that are under way at the most."""


class _File(NamedTuple):
    path: str
    fd: int
    partial: str
    manifest: Manifest
    mode: int
    resumed: bool


@dataclass(slots=True)
class _Running:
    file: _File
    batches: list[Future[None]]


class Writer:
    """Brings files into `folders`. Use as a context manager: what is unfinished stays for the next run."""

    def __init__(self, view: View, folders: Folders, pieces: Pieces, jobs: int, progress: Progress) -> None:
        self._view, self._folders, self._pieces = view, folders, pieces
        self._progress = progress
        self._namer = chunk_namer(view.naming)
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="get")
        self._room = threading.Semaphore(2 * jobs)
        self._running: deque[_Running] = deque()

    def run(self, files: Mapping[str, Wanted]) -> Iterator[str]:
        """Write these; gives the path of each that is in its place."""
        make_dirs(self._folders.top / PARTIAL)
        try:
            for path, wanted in files.items():
                self._running.append(self._start(path, wanted))
                if len(self._running) >= _OPEN:
                    yield self._finish()
            while self._running:
                yield self._finish()
        finally:
            self._stop()

    def _stop(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        for running in self._running:
            os.close(running.file.fd)
        self._running.clear()

    def _start(self, path: str, wanted: Wanted) -> _Running:
        file = self._begin(path, wanted)
        running = _Running(file, [])
        try:
            pieces = file_chunks(self._view.chunks, file.manifest)
            while group := list(islice(pieces, _GROUP)):
                if not file.resumed:  # else it may be that little is lacking
                    self._view.expect([ref.name for _, ref, _ in group if ref.name not in self._pieces])
                for batch in windows(group):
                    self._room.acquire()
                    future = self._pool.submit(self._batch, file, batch)
                    future.add_done_callback(lambda _: self._room.release())
                    running.batches = [one for one in running.batches if not _is_done(one)]
                    running.batches.append(future)
        except BaseException:
            self._running.append(running)  # its descriptor is closed once no batch uses it
            raise
        return running

    def _begin(self, path: str, wanted: Wanted) -> _File:
        try:
            manifest = parse(self._view.objects.blob(wanted.item.id))
        except ParseError as error:
            raise IntegrityError(f"the manifest of '{path}': {error.message}") from error
        # By content, so that what a run for another version left is not in the way; and one for each path.
        kind = "x" if wanted.item.mode == EXEC else "f"
        partial = f"{manifest.blake3.hex()}-{digest(path.encode('utf-8', 'surrogateescape')).hex()[:16]}-{kind}"
        mode = 0o777 if wanted.item.mode == EXEC else 0o666
        with self._folders.lock:
            folder = self._folders.get(PARTIAL)
            step("create", f"{self._folders.top}/{PARTIAL}/{partial}")
            fd = folder.open(partial, os.O_RDWR | os.O_CREAT, mode)
        resumed = os.fstat(fd).st_size > 0
        if os.fstat(fd).st_size != manifest.size:
            os.ftruncate(fd, manifest.size)
        return _File(path, fd, partial, manifest, wanted.item.mode, resumed)

    def _batch(self, file: _File, pieces: Sequence[Piece]) -> None:
        """Write what of these pieces is not there yet."""
        out = RandomFile(file.path, fd=file.fd)
        if file.resumed:
            left = [one for one in pieces if self._namer(out.read_at(one[0], one[1].size)) != one[1].name]
            self._progress.advance(sum(one[1].size for one in pieces) - sum(one[1].size for one in left))
            pieces = left
        if not pieces:
            return
        with self._view.batch([ref.name for _, ref, _ in pieces], self._pieces) as records:
            for offset, ref, segment in pieces:
                data = memoryview(read_chunk(records, ref, segment, file.path)).cast("B")
                step("write", f"{self._folders.top}/{PARTIAL}/{file.partial}")
                while data:
                    done = os.pwrite(file.fd, data, offset)
                    data, offset = data[done:], offset + done
                self._progress.advance(ref.size)

    def _finish(self) -> str:
        """See the oldest file through: whole, verified, durable, in its place."""
        running = self._running[0]
        wait(running.batches)
        for batch in running.batches:
            batch.result()
        file = running.file
        where = f"{self._folders.top}/{PARTIAL}/{file.partial}"
        if _digest(file.fd) != file.manifest.blake3:
            step("unlink", where)
            with self._folders.lock, suppress(FileNotFoundError):
                self._folders.get(PARTIAL).unlink(file.partial)
            raise IntegrityError(f"{file.path}: its chunks do not make the file that was committed", hint="repeat it")
        step("fsync", where)
        os.fsync(file.fd)
        self._running.popleft()
        os.close(file.fd)
        self._place(file)
        return file.path

    def _place(self, file: _File) -> None:
        above, _, name = file.path.rpartition("/")
        with self._folders.lock:
            folder = self._folders.make(above, force=True)
            partial = self._folders.get(PARTIAL)
            step("rename", f"{self._folders.top}/{file.path}")
            try:
                partial.move(file.partial, folder, name)
            except IsADirectoryError as error:
                raise WouldOverwrite(f"{file.path} is a folder", paths=[file.path]) from error


def remove_partials(folders: Folders) -> None:
    """Remove what runs for other versions left."""
    with folders.lock, suppress(FileNotFoundError, NotADirectoryError):
        folder = folders.get(PARTIAL)
        for name in folder.names():
            step("unlink", f"{folders.top}/{PARTIAL}/{name}")
            with suppress(OSError):
                folder.unlink(name)


def sync_file(folders: Folders, path: str) -> None:
    """Make a file that was put down durable."""
    fd = folders.open_file(path)
    try:
        step("fsync", f"{folders.top}/{path}")
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folders(folder: Path, paths: Sequence[str]) -> None:
    """Make the names of these files durable."""
    for above in sorted({path.rpartition("/")[0] for path in paths} | {""}):
        with suppress(FileNotFoundError):
            fsync_dir(folder / above)


def _is_done(future: Future[None]) -> bool:
    """Whether it is over; raises what it failed with."""
    if not future.done():
        return False
    future.result()
    return True


def _digest(fd: int) -> bytes:
    file, hasher, offset = RandomFile("", fd=fd), FileHasher(), 0
    while block := file.read_at(offset, _BLOCK):
        hasher.update(block)
        offset += len(block)
    return hasher.digest()
