"""A remote's Git packs, brought whole: several at once, held against their names."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from itertools import islice
from pathlib import Path

from mvc import fsio
from mvc.errors import IntegrityError, MvcError, NotFound
from mvc.progress import Progress
from mvc.sync import keys
from mvc.sync.remotes import Remote
from mvc.sync.state import GitPack

_PART = 8 * 1024 * 1024


class Downloads:
    """Brings packs, no more than `jobs` at once."""

    def __init__(self, remote: Remote, jobs: int, progress: Progress) -> None:
        self._remote, self._progress = remote, progress
        self._jobs = jobs or remote.backend.capabilities.parallel
        self._lock = threading.Lock()
        self.moved = 0
        """Bytes that came."""

    def place(self, pack: GitPack) -> str:
        """Where a pack is, for messages."""
        return f"{self._remote.backend.url} '{keys.git_pack(pack.id)}'"

    def run(self, packs: Sequence[GitPack]) -> Generator[tuple[GitPack, Path], None, None]:
        """The packs as files, in order; each file goes when the next is asked for. Raises IntegrityError."""
        with ThreadPoolExecutor(self._jobs, thread_name_prefix="history") as pool:
            left = iter(packs)
            running = deque((pack, pool.submit(self._download, pack)) for pack in islice(left, 2 * self._jobs))
            try:
                while running:
                    pack, future = running.popleft()
                    path = future.result()
                    try:
                        yield pack, path
                    finally:
                        fsio.unlink(path, missing_ok=True)
                    running.extend((one, pool.submit(self._download, one)) for one in islice(left, 1))
            finally:
                for _, future in running:
                    if not future.cancel():
                        with contextlib.suppress(MvcError, OSError):
                            fsio.unlink(future.result(), missing_ok=True)

    def _download(self, pack: GitPack) -> Path:
        """A Git pack as temporary file; its bytes are those that it is named by."""
        digest = sha1(usedforsecurity=False)
        tail = b""
        with fsio.DurableFile(self._remote.repo.tmp_dir) as out:
            while out.size < pack.size:
                try:
                    part = self._remote.backend.get(keys.git_pack(pack.id), out.size, min(_PART, pack.size - out.size))
                except NotFound as error:
                    raise IntegrityError(f"{self.place(pack)} is not there", hint="repeat it") from error
                if not part:
                    break
                out.write(part)
                # All but the last 20 bytes are hashed: those are the hash.
                digest.update((tail + part)[:-20])
                tail = (tail + part)[-20:]
                self._progress.advance(len(part))
                with self._lock:
                    self.moved += len(part)
            if out.size != pack.size or tail != digest.digest() or tail.hex() != pack.id:
                raise IntegrityError(f"{self.place(pack)} has not the bytes that it is named by")
            path = out.path.with_name(out.path.name + ".pack")
            out.commit(path, sync=False)
        return path
