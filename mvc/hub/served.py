"""One repository that is being served: its newest state, where its chunks lie, what it holds."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mvc import fsio
from mvc.backends.folder import refuse_repository
from mvc.backends.probe import probe, require
from mvc.errors import IntegrityError, NotFound
from mvc.hashing import digest
from mvc.hub.limits import Limits
from mvc.hub.replies import Absent
from mvc.hub.storage import Storage
from mvc.repo.filesystem import is_network
from mvc.store.idx import Idx
from mvc.sync import keys
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotelog import RemoteLog, format_of
from mvc.sync.state import State

_FRESH_SECONDS = 2.0
_REPAIR_SECONDS = 600.0
_SWEEP_SECONDS = 12 * 3600.0
PART = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Listed:
    """A state, and the keys of what it lists with their sizes in bytes."""

    state: State
    sizes: Mapping[str, int]


class Served:
    """Thread-safe. `txn_lock` is held by who appends an entry, for as long as that takes."""

    def __init__(self, storage: Storage, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.storage, self.limits, self._clock = storage, limits, clock
        self.backend = storage.backend
        self.txn_lock = threading.Lock()
        self._lock = threading.RLock()
        self._memory_is_ours: bool | None = None
        self._log: RemoteLog | None = None
        self._listed = Listed(State(), {})
        self._read_at = -1e9
        self._idx: dict[str, Idx] = {}
        self._index: tuple[State, RemoteIndex] | None = None
        self._naming: str | None = None
        self._probed = False
        self._repaired = self._swept = -1e9

    # ---- what there is

    def naming(self) -> str:
        """How chunks are named. Raises NotFound for a repository that nobody has made."""
        if self._naming is None:
            text = self._get(keys.FORMAT)
            found = format_of(text) if text is not None else None
            if text is not None and found is None:
                raise IntegrityError(f"{self.backend.url} is no remote of format 1")
            if found is None:
                raise Absent("there is no such repository")
            self._naming = found
        return self._naming

    def listed(self, *, fresh: bool = False, least: int = 0) -> Listed:
        """The newest state; without `fresh` one read a moment ago will do, if its seq is not below `least`."""
        with self._lock:
            young = self._clock() - self._read_at < _FRESH_SECONDS
            if not fresh and young and self._listed.state.seq >= least:
                return self._listed
            return self._take(self.log.latest())

    @property
    def log(self) -> RemoteLog:
        """For who holds `guarded`."""
        if self._log is None:
            self._log = RemoteLog(self.backend, self._own("log"), None)
        return self._log

    @contextlib.contextmanager
    def guarded(self) -> Iterator[RemoteLog]:
        """The log, for one thread at a time; what is known of the state follows."""
        with self._lock:
            log = self.log
            try:
                yield log
            finally:
                state = log.remembered()
                if state is not None:
                    self._take(state)

    def holds(self, key: str) -> int | None:
        """Bytes of what the newest entry lists under `key`, or None.

        What was listed once does until a newer state is read: it cannot have changed, at most be gone.
        """
        size = self._listed.sizes.get(key)
        return self.listed(fresh=True).sizes.get(key) if size is None else size

    def _take(self, state: State) -> Listed:
        if state is not self._listed.state:
            self._listed = Listed(state, _sizes(state))
        self._read_at = self._clock()
        return self._listed

    def _get(self, key: str) -> bytes | None:
        try:
            return self.backend.get(key, 0, 4096)
        except NotFound:
            return None

    # ---- chunks

    def index(self, state: State) -> RemoteIndex:
        """Where the chunks of a state lie."""
        with self._lock:
            if self._index is not None and self._index[0].chunk_packs == state.chunk_packs:
                return self._index[1]
            wanted = {pack.idx_id: pack.idx_size for pack in state.chunk_packs}
            idx = {idx_id: self._idx.get(idx_id) or self.open_idx(idx_id, size) for idx_id, size in wanted.items()}
            self._idx = idx
            made = RemoteIndex(state, list(idx.values()))
            self._index = state, made
            return made

    def open_idx(self, idx_id: str, size: int) -> Idx:
        """An idx of the store: where it lies, or a copy. Raises IntegrityError, NotFound."""
        if self.storage.folder is not None:
            path = self.storage.folder.path(keys.chunk_idx(idx_id))
            with self._missing(path):
                return Idx(path, mapped=not is_network(path.parent))
        path = self.own("idx") / f"{idx_id}.idx"
        if not path.exists():
            copied = self.copy(keys.chunk_idx(idx_id), size, "idx")
            try:
                idx = Idx(copied, mapped=False)
                with memoryview(idx.data) as view:
                    sound = digest(view[: idx.at.id]).hex() == idx_id
                if not sound:
                    raise IntegrityError(f"idx {idx_id} has not the bytes that it is named by")
                fsio.replace(copied, path)
            except BaseException:
                fsio.unlink(copied, missing_ok=True)
                raise
        with self._missing(path):
            return Idx(path)

    @contextlib.contextmanager
    def _missing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise NotFound(f"'{path.name}' is not there") from None

    def may_repair(self) -> bool:
        """Whether all Git packs may be read again, as what was made of them may have lost something. Seldom: it is
        long work, and whoever pushes nonsense asks for it."""
        with self._lock:
            now = self._clock()
            if now - self._repaired < _REPAIR_SECONDS:
                return False
            self._repaired = now
            return True

    def is_time_to_sweep(self) -> bool:
        """Whether to look for what nobody will need any more: once in a while."""
        with self._lock:
            now = self._clock()
            if now - self._swept < _SWEEP_SECONDS:
                return False
            self._swept = now
            return True

    # ---- files

    def own(self, name: str) -> Path:
        """A folder for derived data, made if need be."""
        folder = self._own(name) or self.storage.memory / name
        fsio.make_dirs(folder)
        return folder

    def _own(self, name: str) -> Path | None:
        """The same, None where nothing can be written (a reader over ssh)."""
        if self._memory_is_ours is None:
            memory = self.storage.memory
            there = memory if memory.exists() else memory.parent if memory.parent.exists() else memory.parent.parent
            self._memory_is_ours = os.access(there, os.W_OK | os.X_OK)
        return self.storage.memory / name if self._memory_is_ours else None

    def copy(self, key: str, size: int, name: str) -> Path:
        """An object of just that size as a temporary file of that name. Raises IntegrityError, NotFound."""
        folder = self.own("tmp")
        with fsio.DurableFile(folder) as out:
            while out.size < size:
                part = self.backend.get(key, out.size, min(PART, size - out.size))
                if not part:
                    raise IntegrityError(f"'{key}' is shorter than its size")
                out.write(part)
            target = folder / f"{out.path.name}-{name}"
            out.commit(target, sync=False)
        return target

    @contextlib.contextmanager
    def readable(self, key: str, size: int) -> Iterator[Path]:
        """An object as a file to read for the length of a `with` block. Raises IntegrityError, NotFound."""
        if self.storage.folder is not None:
            path = self.storage.folder.path(key)
            if not path.is_file():
                raise NotFound(f"'{key}' is not there")
            yield path
            return
        path = self.copy(key, size, "copy")
        try:
            yield path
        finally:
            fsio.unlink(path, missing_ok=True)

    # ---- before the first write

    def make(self, text: bytes) -> bool:
        """Make the repository; False if it is there."""
        folder = self.storage.folder
        if folder is not None and self.storage.top is not None:
            if not self.storage.top.is_dir():
                raise OSError(f"the folder {self.storage.top} is not there")
            refuse_repository(folder.root, folder.root.name)
            fsio.make_dirs(folder.root.parent)
        self.require_writable()
        return self.backend.put_if_absent(keys.FORMAT, text)

    def require_writable(self) -> None:
        """Raises Unsupported unless the store keeps two pushes apart. Found out once, and noted."""
        if self._probed:
            return
        note = self.own("") / "probed"
        if not note.exists():
            require(self.backend, probe(self.backend))
            fsio.write_atomic(note, b"", sync=False)
        self._probed = True

    def close(self) -> None:
        """Let go of what is open."""
        self.backend.close()


def _sizes(state: State) -> dict[str, int]:
    found: dict[str, int] = {}
    for pack in state.chunk_packs:
        found[keys.chunk_pack(pack.id)] = pack.size
        found[keys.chunk_idx(pack.idx_id)] = pack.idx_size
    for git in state.git_packs:
        found[keys.git_pack(git.id)] = git.size
        found[keys.git_idx(git.id)] = git.idx_size
    return found
