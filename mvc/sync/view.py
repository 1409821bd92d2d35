"""A repository to read from, without a clone: a remote of which only what is asked for comes, or one on this disk."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Protocol

from mvc.backends.base import Backend
from mvc.backends.metered import MeteredBackend
from mvc.errors import NotFound
from mvc.hashing import chunk_namer, digest
from mvc.objects.database import Objects
from mvc.objects.partial import FixedRefs
from mvc.objects.refs import Refs
from mvc.objects.revparse import resolve_commit
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.tensors import ChunkSource
from mvc.settings import ChunkNaming
from mvc.sync.remotelog import RemoteLog
from mvc.sync.state import State
from mvc.sync.viewchunks import Local, Records, RemoteChunks, Source
from mvc.sync.viewindex import ViewIndex
from mvc.sync.viewobjects import RemoteObjects

_FULL_ID = re.compile(r"([0-9a-f]{40})(?:[~^].*)?\Z")


class View(Protocol):
    """What `get`, `open` and `safe_open` read from. Thread-safe but for `close`."""

    @property
    def url(self) -> str:
        """Where it is, for messages: without credentials."""

    @property
    def objects(self) -> Objects: ...

    @property
    def chunks(self) -> ChunkSource: ...

    def resolve(self, revision: str) -> str:
        """The commit that a revision names: the one function that turns names into versions. Raises NotFound."""

    def bring_objects(self, object_ids: Collection[str]) -> None:
        """Say that these Git objects will be read: where they are far, they come in few requests."""

    def expect(self, names: Collection[bytes]) -> None:
        """Say that these chunks will be read, in several batches: where they lie is looked up at once."""

    def batch(self, names: Collection[bytes], local: Local | None = None) -> AbstractContextManager[Records]:
        """Chunks that are read together; `local` knows files at hand that hold some of them."""

    @property
    def naming(self) -> ChunkNaming:
        """How chunks are named."""

    @property
    def moved(self) -> int:
        """Bytes that came from the remote so far."""

    @property
    def jobs(self) -> int:
        """How many batches at once make sense."""

    def close(self) -> None: ...


class LocalView:
    """A repository on this disk."""

    def __init__(self, repo: Repository) -> None:
        self.repo = repo
        self.url = str(repo.worktree or repo.common_dir)
        self.objects: Objects = repo.objects
        self.chunks: ChunkSource = open_chunks(repo)
        self.naming = repo.settings.store.naming
        self.moved = 0
        self.jobs = os.cpu_count() or 1

    def resolve(self, revision: str) -> str:
        return _resolve(self.objects, self.repo.refs, revision)

    def bring_objects(self, object_ids: Collection[str]) -> None:
        pass

    def expect(self, names: Collection[bytes]) -> None:
        pass

    @contextlib.contextmanager
    def batch(self, names: Collection[bytes], local: Local | None = None) -> Iterator[Records]:
        self.chunks.ensure(names)
        yield self.chunks

    def close(self) -> None:
        pass


class RemoteView:
    """A remote. Nothing is asked of it before something is read; then its newest state, once."""

    def __init__(self, backend: Backend, cache: Path, naming: ChunkNaming | None = None) -> None:
        """`backend` is closed by `close`. `cache`: a folder for what came, of this and other remotes; each byte of it
        is verified, and it may be removed at any time when nobody reads."""
        self.url = backend.url
        self.naming = naming or ChunkNaming()
        self.meter = backend = MeteredBackend(backend)
        self._backend = backend
        self._folder = memory_of(cache, backend.url)
        self._log = RemoteLog(backend, self._folder, self.naming)
        self._lock = threading.RLock()
        self._state: State | None = None
        self._newest = False
        self._index: ViewIndex | None = None
        self._objects = RemoteObjects(backend, self._folder)
        self.objects: Objects = self._objects.objects
        self._chunks = RemoteChunks(Source(backend, self._current_index, self.renew, chunk_namer(self.naming)))
        self.chunks: ChunkSource = self._chunks

    def __enter__(self) -> RemoteView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def moved(self) -> int:
        return self.meter.received

    @property
    def jobs(self) -> int:
        return self._backend.capabilities.parallel

    def state(self) -> State:
        """The newest state, as it was when first asked for. Raises NotFound if nobody has pushed there."""
        with self._lock:
            if self._state is None or not self._newest:
                self.renew()
            assert self._state is not None
            return self._state

    def renew(self) -> bool:
        """Look for a newer state; whether there is one."""
        with self._lock:
            before = self._state
            self._take(self._log.latest())
            self._newest = True
            return before is None or before.seq != self._state_seq()

    def resolve(self, revision: str) -> str:
        found = _FULL_ID.match(revision)
        with self._lock:
            if found and not self._newest and self._resume() and self._objects.objects.here(found[1]):
                # An id stands for the same at all times: no need to ask for what came since.
                assert self._state is not None
                return _resolve(self.objects, self._refs(self._state), revision)
            state = self.state()
        if not state.refs and not state.seq:
            raise NotFound(f"nothing was pushed to {self.url} yet")
        return _resolve(self.objects, self._refs(state), revision)

    def bring_objects(self, object_ids: Collection[str]) -> None:
        self._objects.bring(object_ids)

    def expect(self, names: Collection[bytes]) -> None:
        self._current_index().prepare(names)

    def batch(self, names: Collection[bytes], local: Local | None = None) -> AbstractContextManager[Records]:
        return self._chunks.batch(names, local)

    def close(self) -> None:
        self._backend.close()
        self.objects.close()

    def _refs(self, state: State) -> FixedRefs:
        return FixedRefs(state.refs, state.head, nowhere=self._folder / "no-reflogs")

    def _resume(self) -> bool:
        """Go on from the state as last seen by anybody here, unasked; False if there was none."""
        if self._state is None and (known := self._log.remembered()) is not None:
            self._take(known)
        return self._state is not None

    def _take(self, state: State) -> None:
        if self._state is None or state.chunk_packs != self._state.chunk_packs or self._index is None:
            self._index = ViewIndex(self._backend, self._folder, state)
        self._objects.set_state(state)
        self._state = state

    def _state_seq(self) -> int:
        return self._state.seq if self._state is not None else -1

    def _current_index(self) -> ViewIndex:
        with self._lock:
            if self._index is None and not self._resume():
                self.state()
            assert self._index is not None
            return self._index


def memory_of(cache: Path, url: str) -> Path:
    """The folder in a cache for what came of a remote."""
    return cache / "remotes" / digest(url.encode("utf-8", "surrogateescape")).hex()[:32]


def _resolve(objects: Objects, refs: Refs, revision: str) -> str:
    """A revision's commit. Names that a repository gives to versions (aliases) belong here, too."""
    return resolve_commit(objects, refs, revision or "HEAD")
