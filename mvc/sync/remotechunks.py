"""Reading chunks of a remote one by one, as a store is read: for what looks at a few (lists of chunks, bases)."""

from __future__ import annotations

from collections.abc import Iterable

from mvc.errors import IntegrityError, MvcError, NotFound
from mvc.hashing import chunk_namer
from mvc.store.chunkstore import ChunkStore
from mvc.store.reading import ChunkReader, RawCache
from mvc.store.records import Buffer, Location, is_sound
from mvc.sync import keys
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotes import Remote

_CACHE = 128 * 1024 * 1024


class RemoteChunks:
    """A `ChunkSource` over a remote. What is in the local store, too, is read there: a name means the same bytes."""

    def __init__(self, remote: Remote, index: RemoteIndex, local: ChunkStore | None) -> None:
        self._remote, self._index, self._local = remote, index, local
        namer = chunk_namer(remote.repo.settings.store.naming)
        self.reader = ChunkReader(index.copies, self._fetch, lambda: False, namer, RawCache(_CACHE))
        self.moved = 0

    def find(self, name: bytes) -> Location | None:
        """Where the remote has it, at the least depth."""
        return next(iter(self._index.copies(name)), None)

    def ensure(self, names: Iterable[bytes]) -> None:
        """Nothing is brought ahead."""

    def read(self, name: bytes) -> Buffer:
        """The raw bytes, verified. Raises MissingObject, IntegrityError, NetworkError, AuthError."""
        found = self.read_local(name)
        return self.reader.read(name) if found is None else found

    def read_local(self, name: bytes) -> Buffer | None:
        """The raw bytes if they are here."""
        if self._local is None or name not in self._local:
            return None
        try:
            return self._local.read(name)
        except MvcError:
            return None  # what is damaged here does not matter: the remote has it, too

    def _fetch(self, place: Location) -> bytes:
        key = keys.chunk_pack(place.pack.hex())
        try:
            data = self._remote.backend.get(key, place.offset, place.record_size)
        except NotFound as error:
            raise IntegrityError(f"{self._remote.backend.url} lacks its '{key}'") from error
        self.moved += len(data)
        if len(data) != place.record_size or not is_sound(data):
            raise IntegrityError(f"{self._remote.backend.url} '{key}' at {place.offset} is damaged")
        return data
