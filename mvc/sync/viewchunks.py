"""Chunks of a remote without a store: read by joined ranges of packs, decoded with their bases, held against their
names. What is held in memory is bounded by a batch and a small cache."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from mvc.backends.base import Backend
from mvc.errors import IntegrityError, NotFound
from mvc.hashing import ChunkNamer
from mvc.settings import MAX_DEPTH
from mvc.store.reading import ChunkReader, PackGone, RawCache
from mvc.store.records import Buffer, Location
from mvc.sync import keys
from mvc.sync.viewindex import ViewIndex

CACHE_BYTES = 64 * 1024 * 1024
"""Raw chunks that are held: what is read next often lies in them, or rests on them."""
GAP = 128 * 1024
"""Records no further apart are read in one request: that costs less than another one."""
RANGE = 8 * 1024 * 1024
"""A request asks for no more, unless one record is larger."""
AHEAD = CACHE_BYTES // 8
"""Stored bytes that `ensure` brings at the most: the cache has room for what they decode to."""

Local = Callable[[bytes], Buffer | None]
"""A chunk's raw bytes, where a file at hand is known to hold them; the caller is believed."""


class Records(Protocol):
    """Where a batch of chunks is read from. Thread-safe."""

    def read(self, name: bytes) -> Buffer:
        """The chunk's raw bytes, verified. Raises MissingObject, IntegrityError, NetworkError, AuthError."""


@dataclass(frozen=True, slots=True)
class Source:
    """What `RemoteChunks` reads from. `renew` looks for a newer state; whether there was one."""

    backend: Backend
    index: Callable[[], ViewIndex]
    renew: Callable[[], bool]
    namer: ChunkNamer
    jobs: int = 0
    """Requests for ranges at once, of all batches together; 0: for each batch as suits the backend."""


class RemoteChunks:
    """Chunks by name: a ChunkSource of mvc.repo.tensors. Thread-safe."""

    def __init__(self, source: Source, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._source = source
        self._cache = RawCache(cache_bytes)
        jobs = source.jobs
        self._turn: contextlib.AbstractContextManager[object] = (
            threading.BoundedSemaphore(jobs) if jobs else contextlib.nullcontext()
        )

    def find(self, name: bytes) -> Location | None:
        """Where the chunk lies, or None."""
        return next(self._source.index().copies(name), None)

    def read(self, name: bytes) -> Buffer:
        """The chunk's raw bytes, verified; do not change them. Raises MissingObject, IntegrityError, NetworkError."""
        return self._reader({}, None).read(name)

    def ensure(self, names: Iterable[bytes]) -> None:
        """Bring these in as few requests as can be, if they are not too many: they are about to be read."""
        wanted = [name for name in dict.fromkeys(names) if self._cache.get(name) is None]
        places = self._plan(wanted, None)
        if sum(place.record_size for place in places) <= AHEAD:
            reader = self._reader(self._fetched(places), None)
            for name in wanted:
                reader.read(name)

    @contextlib.contextmanager
    def batch(self, names: Collection[bytes], local: Local | None = None) -> Iterator[Records]:
        """These chunks, with the bases they rest on, in as few requests as can be, for the length of a `with` block.

        What `local` has is not asked for.
        """
        wanted = [name for name in dict.fromkeys(names) if self._cache.get(name) is None]
        yield self._reader(self._fetched(self._plan(wanted, local)), local)

    def _reader(self, records: Mapping[tuple[bytes, int], bytes], local: Local | None) -> Records:
        def fetch(place: Location) -> bytes:
            found = records.get((place.pack, place.offset))
            return found if found is not None else self._range(place.pack, place.offset, place.record_size)

        source = self._source
        reader = ChunkReader(
            lambda name: source.index().copies(name), fetch, source.renew, source.namer, _Cache(self._cache, local)
        )
        return reader

    def _plan(self, names: Iterable[bytes], local: Local | None) -> list[Location]:
        """The records that are to be read for these chunks, their bases included."""
        index = self._source.index()
        found: dict[tuple[bytes, int], Location] = {}
        level = [(name, MAX_DEPTH + 1) for name in names]
        while level:
            level = [one for one in level if not self._at_hand(one[0], local)]
            if level:
                index.prepare([name for name, _ in level])
            beneath: list[tuple[bytes, int]] = []
            for name, below in level:
                place = next((one for one in index.copies(name) if one.depth < below), None)
                if place is None or (place.pack, place.offset) in found:
                    continue  # who reads it is told that it is not there
                found[place.pack, place.offset] = place
                beneath += [(base, place.depth) for base in place.bases]
            level = beneath
        return list(found.values())

    def _at_hand(self, name: bytes, local: Local | None) -> bool:
        """Whether the chunk need not be brought. What `local` has goes into the cache: it was read and hashed."""
        if self._cache.get(name) is not None:
            return True
        data = local(name) if local is not None else None
        if data is not None:
            self._cache.put(name, data)
        return data is not None

    def _fetched(self, places: list[Location]) -> dict[tuple[bytes, int], bytes]:
        """The bytes of these records, by pack and offset; those that could not be had for now are left out."""
        runs = list(ranges(places))
        records: dict[tuple[bytes, int], bytes] = {}

        def bring(run: Sequence[Location]) -> None:
            first, last = run[0], run[-1]
            length = last.offset + last.record_size - first.offset
            with contextlib.suppress(PackGone):  # who reads them looks for a newer state
                data = memoryview(self._range(first.pack, first.offset, length))
                for place in run:
                    start = place.offset - first.offset
                    records[place.pack, place.offset] = bytes(data[start : start + place.record_size])

        if len(runs) == 1:
            bring(runs[0])
        elif runs:
            at_once = self._source.jobs or self._source.backend.capabilities.parallel
            with ThreadPoolExecutor(at_once, thread_name_prefix="ranges") as pool:
                list(pool.map(bring, runs))
        return records

    def _range(self, pack: bytes, offset: int, length: int) -> bytes:
        key = keys.chunk_pack(pack.hex())
        try:
            with self._turn:
                data = self._source.backend.get(key, offset, length)
        except NotFound as error:
            raise PackGone(f"{self._source.backend.url} lacks its '{key}'", hint="repeat it") from error
        if len(data) != length:
            raise IntegrityError(f"{self._source.backend.url} gives too little of '{key}'", hint="repeat it")
        return data


class _Cache(RawCache):
    """The cache, and beneath it the files at hand."""

    def __init__(self, inner: RawCache, local: Local | None) -> None:
        super().__init__(0)
        self._inner = inner
        self._local = local

    def get(self, name: bytes) -> Buffer | None:
        found = self._inner.get(name)
        return found if found is not None or self._local is None else self._local(name)

    def put(self, name: bytes, raw: Buffer) -> None:
        self._inner.put(name, raw)


def ranges(places: Iterable[Location]) -> Iterator[Sequence[Location]]:
    """Runs of records that one request brings: of one pack, near each other."""
    rows = sorted(places, key=lambda place: (place.pack, place.offset))
    begin = 0
    for at in range(1, len(rows) + 1):
        if at < len(rows):
            first, last, following = rows[begin], rows[at - 1], rows[at]
            gap = following.offset - (last.offset + last.record_size)
            length = following.offset + following.record_size - first.offset
            if following.pack == first.pack and 0 <= gap <= GAP and length <= RANGE:
                continue
        yield rows[begin:at]
        begin = at
