"""Chunks that come from remotes to be written into the worktree, and are stored nowhere (`pull --no-store`).

They come by windows, in the order in which they will be read: a window is fetched when the first of its chunks is read,
or when the one before it is half read. So what is in memory is bounded by a few windows.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace

from mvc.backends.metered import MeteredBackend
from mvc.errors import AuthError, MissingObject, MvcError, NetworkError, NotFound
from mvc.hashing import ChunkNamer, chunk_namer
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.store.chunkstore import ChunkStore
from mvc.store.reading import Nearby
from mvc.store.records import Buffer
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotes import Remote, RemoteConfig, configured
from mvc.sync.viewchunks import Records, RemoteChunks, Source
from mvc.sync.viewindex import ViewIndex

_WINDOW = 32 * 1024 * 1024
"""Bytes of the chunks of a window, and as much again of what they rest on."""
_HELD = 3
"""Windows in memory."""
_CACHE = 16 * 1024 * 1024


class Streamed:
    """What `Repository.streamed` is set to. Thread-safe. `opened` opens a remote; `close` closes them.

    `jobs`: how many ranges of packs are asked for at once; 0: as suits the remote.
    """

    def __init__(
        self,
        repo: Repository,
        opened: Callable[[RemoteConfig], Remote],
        *,
        jobs: int = 0,
        progress: Progress = SILENT,
    ) -> None:
        self._repo = replace(repo, missing_chunks=None, streamed=None)
        self._opened, self._jobs, self._progress = opened, jobs, progress
        self._here: ChunkStore = open_chunks(self._repo)
        self._namer = chunk_namer(repo.settings.store.naming)
        self._lock = threading.Lock()
        self._lanes: list[_Lane] = []
        self._lane_of: dict[bytes, _Lane] = {}
        self._asked = 0
        self._silent: list[MvcError] = []

    @property
    def moved(self) -> int:
        """Bytes that came so far."""
        return sum(lane.moved for lane in self._lanes)

    def expect(self, names: Iterable[bytes]) -> None:
        """Say that these will be read, in this order. Raises MissingObject, before anything is read, if no remote has
        one of them."""
        with self._lock:
            left = [name for name in dict.fromkeys(names) if name not in self._lane_of]
            for lane in self._lanes:
                left = self._take(lane, left)
            every = configured(self._repo.config)
            while left and self._asked < len(every):
                self._asked += 1
                try:
                    remote = self._opened(every[self._asked - 1])
                    self._lanes.append(_Lane(remote, self._namer, self._jobs, self._progress))
                except (NetworkError, AuthError, NotFound) as error:
                    self._silent.append(error)
                else:
                    left = self._take(self._lanes[-1], left)
            if left and self._silent:
                raise self._silent[0]
            if left:
                where = f"in {' or '.join(one.name for one in every)}" if every else "there is no remote to ask"
                raise MissingObject(f"chunk {min(left).hex()} is neither here nor {where}", hint="mvc whereis")

    def _take(self, lane: _Lane, names: list[bytes]) -> list[bytes]:
        """Give a lane what it has of these; returns the others."""
        mine = [name for name in names if lane.has(name)]
        lane.expect(mine)
        self._lane_of.update(dict.fromkeys(mine, lane))
        return [name for name in names if name not in self._lane_of]

    def read(self, name: bytes, nearby: Nearby | None = None) -> Buffer:
        """The chunk's raw bytes, verified. `nearby` may have it, or what it rests on."""
        if name not in self._lane_of:
            self.expect((name,))
        return self._lane_of[name].read(name, _Local(self._here, nearby, self._namer))

    def close(self) -> None:
        """Close the remotes that were opened."""
        with self._lock:
            for lane in self._lanes:
                lane.close()


class _Local:
    """Chunks at hand: here in the store, or nearby. Verified, and held, as they serve a whole window."""

    def __init__(self, here: ChunkStore, nearby: Nearby | None, namer: ChunkNamer) -> None:
        self._here, self._nearby, self._namer = here, nearby, namer
        self._found: dict[bytes, bytes] = {}

    def __call__(self, name: bytes) -> Buffer | None:
        found = self._found.get(name)
        if found is None and self._nearby is not None:
            raw = self._nearby(name)
            if raw is not None and self._namer(raw) == name:
                found = self._found[name] = bytes(raw)  # its buffer is another's soon
        if found is None and name in self._here:
            found = self._found[name] = bytes(self._here.read(name))
        return found

    def settle(self) -> None:
        """Who reads the window now has other files at hand."""
        self._nearby = None


class _Window:
    """Chunks that were fetched together."""

    def __init__(self, source: RemoteChunks, names: list[bytes], local: _Local) -> None:
        self._stack = ExitStack()
        self._records: Records = self._stack.enter_context(source.batch(names, local))
        local.settle()

    def read(self, name: bytes) -> Buffer:
        return self._records.read(name)


class _Lane:
    """What comes from one remote."""

    def __init__(self, remote: Remote, namer: ChunkNamer, jobs: int, progress: Progress) -> None:
        self._remote = remote
        self._meter = MeteredBackend(remote.backend)
        remote.backend = self._meter
        state = remote.state()
        self._index, _ = RemoteIndex.of(remote, state, progress)
        index = ViewIndex(self._meter, remote.memory, state)
        source = Source(self._meter, lambda: index, lambda: False, namer, jobs)
        self._source = RemoteChunks(source, cache_bytes=_CACHE)
        self._plan: list[list[bytes]] = []
        self._room = 0
        self._at: dict[bytes, tuple[int, int]] = {}
        """Of each chunk its window, and its place in that."""
        self._lock = threading.Lock()
        self._loading: dict[int, threading.Lock] = {}
        self._windows: OrderedDict[int, _Window] = OrderedDict()

    @property
    def moved(self) -> int:
        return self._meter.received

    def has(self, name: bytes) -> bool:
        return name in self._index

    def expect(self, names: list[bytes]) -> None:
        with self._lock:
            self._room = 0  # what was expected before may have been read
            for name in names:
                size = self._index.copies(name)[0].raw_size
                if size > self._room:
                    self._plan.append([])
                    self._room = _WINDOW
                self._room -= size
                self._at[name] = len(self._plan) - 1, len(self._plan[-1])
                self._plan[-1].append(name)

    def read(self, name: bytes, local: _Local) -> Buffer:
        number, place = self._at[name]
        raw = self._window(number, local).read(name)
        if 2 * place >= len(self._plan[number]) and number + 1 < len(self._plan):
            self._ahead(number + 1, local)
        return raw

    def _window(self, number: int, local: _Local) -> _Window:
        with self._lock:
            loading = self._loading.setdefault(number, threading.Lock())
        with loading:
            return self._loaded(number, local)

    def _ahead(self, number: int, local: _Local) -> None:
        """Fetch a window, unless another thread is at it."""
        with self._lock:
            loading = self._loading.setdefault(number, threading.Lock())
        if loading.acquire(blocking=False):
            try:
                self._loaded(number, local)
            finally:
                loading.release()

    def _loaded(self, number: int, local: _Local) -> _Window:
        with self._lock:
            found = self._windows.get(number)
        if found is None:
            found = _Window(self._source, self._plan[number], local)
            with self._lock:
                self._windows[number] = found
                while len(self._windows) > _HELD:
                    self._windows.popitem(last=False)
        return found

    def close(self) -> None:
        self._remote.close()
