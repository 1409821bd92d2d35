"""What came from remotes as it was stored there, and was not decoded yet: a store beside the repository's own.

docs/format/received.md, docs/adr/0016-proved-when-read.md. A record here has the checksum that it carries, and nobody
has seen yet whether it decodes to the chunk that it is named by. So nothing here counts as being in the repository:
no chunk is taken for stored because it lies here, none is made against one, none is handed on. It can be read, as
whatever is read is held against its name. A pack of which every record was read so is moved into the repository's own
packs (`settling.py`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING

from mvc import fsio
from mvc.errors import IntegrityError, MvcError
from mvc.hashing import ChunkNamer
from mvc.store.files import OpenPacks, StorePaths
from mvc.store.idx import Idx
from mvc.store.idxset import IdxSet
from mvc.store.packfile import PackBuilder, list_packs
from mvc.store.reading import ChunkReader, Nearby, RawCache
from mvc.store.records import Buffer, Location
from mvc.store.sealing import seal

if TYPE_CHECKING:
    from mvc.settings import StoreSettings
    from mvc.store.intents import Claims

FOLDER = "received"
_LANE = 64 * 1024 * 1024
"""Where less comes, it goes into one pack."""


class Received:
    """Chunks that came and were not decoded. Thread-safe."""

    def __init__(
        self, paths: StorePaths, own: IdxSet, own_packs: OpenPacks, namer: ChunkNamer, cache: RawCache, *, mapped: bool
    ) -> None:
        """`paths`: of what was received. Bases are also found in `own`, the repository's packs."""
        self.paths = paths
        self.idx = IdxSet(paths.idx, mapped=mapped)
        self._own, self._own_packs = own, own_packs
        self._packs = OpenPacks(paths)
        self._lock = threading.Lock()
        self._proved: dict[bytes, set[int]] = {}
        """Of packs here, where the records lie that were decoded and held against their names."""
        self._listed: tuple[Idx, ...] | None = None
        self._by_pack: Mapping[bytes, Idx] = {}
        self.reader = ChunkReader(self._copies, self._fetch, self._refresh, namer, cache, proved=self.prove)
        self.idx.reload()

    def __contains__(self, name: bytes) -> bool:
        """Whether the chunk lies here, by the word of a remote."""
        return self.idx.find(name) is not None

    def find(self, name: bytes) -> Location | None:
        """Where it lies here, and how deep, by the word of a remote."""
        return next(iter(self.idx.copies(name)), None)

    def read(
        self, name: bytes, out: bytearray | memoryview | None = None, nearby: Nearby | None = None
    ) -> Buffer | None:
        """The raw bytes, verified; None if the chunk is not here. Raises IntegrityError where it is not what it must
        be."""
        return self.reader.read(name, out, nearby) if name in self else None

    def proved(self, pack_id: bytes) -> frozenset[int]:
        """Where in a pack records lie that this process has seen to be right."""
        with self._lock:
            return frozenset(self._proved.get(pack_id, ()))

    def packs(self) -> Mapping[bytes, Idx]:
        """The packs here, and the idx of each: it lists no other."""
        listed = self.idx.all
        if listed is not self._listed:
            self._listed, self._by_pack = listed, {idx.packs[0][0]: idx for idx in listed if len(idx.packs) == 1}
        return self._by_pack

    @property
    def size(self) -> int:
        """Bytes of all packs here."""
        return sum(size for idx in self.packs().values() for _, size in idx.packs)

    def records(self, pack_id: bytes) -> dict[bytes, Location]:
        """What a pack holds."""
        idx = self.packs().get(pack_id)
        return dict(idx) if idx is not None else {}

    def fetch(self, place: Location) -> bytes:
        """A record of a pack here. Raises PackGone, IntegrityError."""
        return self._packs.fetch(place)

    def prove(self, place: Location) -> None:
        """A record was decoded, and its bytes are those of its name."""
        if place.pack in self.packs():
            with self._lock:
                self._proved.setdefault(place.pack, set()).add(place.offset)

    def remove(self, pack_id: bytes) -> None:
        """Let a pack go: the repository itself has what was right in it. First its idx: who looks then asks there."""
        idx = self.packs().get(pack_id)
        if idx is not None:
            fsio.unlink(idx.path, missing_ok=True)
        self.idx.reload()
        fsio.unlink(self.paths.pack(pack_id), missing_ok=True)
        with self._lock:
            self._proved.pop(pack_id, None)
        self._packs.forget(pack_id)

    def sweep(self, before_ns: int) -> None:
        """Remove packs that no idx lists, and are older than that: what killed processes left."""
        found = list_packs(self.paths.packs)
        self.idx.reload()
        for path in (path for pack_id, path in found.items() if pack_id not in self.packs()):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime_ns < before_ns:
                    fsio.unlink(path, missing_ok=True)

    def close(self) -> None:
        """Close the packs that nobody reads from."""
        self._packs.close()

    def _copies(self, name: bytes) -> list[Location]:
        found = [*self._own.copies(name), *self.idx.copies(name)]
        found.sort(key=lambda place: place.depth)
        return found

    def _fetch(self, place: Location) -> bytes:
        return (self._packs if place.pack in self.packs() else self._own_packs).fetch(place)

    def _refresh(self) -> bool:
        changed = self.idx.reload()
        return self._own.reload() or changed


class ReceivedWriter:
    """Takes records as they came, whose checksums were verified, into packs; several threads, each into another pack.

    What was sealed stays, whatever happens afterwards; leaving the `with` block seals the rest, as far as it can be.
    """

    def __init__(
        self, received: Received, settings: StoreSettings, claims: Claims, *, expected: int, threads: int
    ) -> None:
        """`expected`: bytes to come. `settings.pack_size`: so much is lost at the most when it is killed."""
        self._received, self._settings, self._claims = received, settings, claims
        count = max(1, min(threads, expected // _LANE))
        self._lanes = [_Lane(received.paths, settings) for _ in range(count)]
        self._free: SimpleQueue[_Lane] = SimpleQueue()
        for lane in self._lanes:
            self._free.put(lane)

    def __enter__(self) -> ReceivedWriter:
        return self

    def add(self, records: Sequence[tuple[bytes, Location, memoryview]]) -> None:
        """Whole records, with the chunk's name and where it lay; none may come twice."""
        lane = self._free.get()
        try:
            lane.add(records)
            if lane.size >= self._settings.pack_size:
                lane.seal(self._claims)
        finally:
            self._free.put(lane)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None or isinstance(error, MvcError | OSError | KeyboardInterrupt):
                with ThreadPoolExecutor(len(self._lanes), thread_name_prefix="seal") as pool:
                    for future in [pool.submit(lane.seal, self._claims) for lane in self._lanes]:
                        future.result()
        except (MvcError, OSError):
            if error is None:
                raise
        finally:
            for lane in self._lanes:
                lane.discard()
            self._received.idx.reload()


class _Lane:
    """A pack at a time. One thread has it at a time."""

    def __init__(self, paths: StorePaths, settings: StoreSettings) -> None:
        self._paths, self._settings = paths, settings
        self._pack: PackBuilder | None = None
        self._records: dict[bytes, Location] = {}

    @property
    def size(self) -> int:
        return self._pack.size if self._pack is not None else 0

    def add(self, records: Sequence[tuple[bytes, Location, memoryview]]) -> None:
        if self._pack is None:
            self._pack = PackBuilder(self._paths.tmp, self._settings.naming, salt=int.from_bytes(os.urandom(4)))
        if any(name in self._records for name, _, _ in records):
            raise IntegrityError("a chunk came twice")
        leads = [record[: place.payload_offset] for _, place, record in records]
        offset = self._pack.append_whole([record for _, _, record in records], leads)
        for name, place, record in records:
            self._records[name] = place._replace(offset=offset)
            offset += len(record)

    def seal(self, claims: Claims) -> None:
        """Make durable what is in the pack."""
        if self._pack is not None:
            seal(self._paths, self._pack, self._records, claims)
            self._pack, self._records = None, {}

    def discard(self) -> None:
        if self._pack is not None:
            self._pack.discard()
            self._pack = None


def unfinished(
    received: Received, pack_id: bytes, records: Mapping[bytes, Location]
) -> Iterator[tuple[bytes, Location]]:
    """Those of a pack's records that this process has not seen to be right yet, what others rest on first."""
    seen = received.proved(pack_id)
    for name, place in sorted(records.items(), key=lambda one: (one[1].depth, one[1].offset)):
        if place.offset not in seen:
            yield name, place
