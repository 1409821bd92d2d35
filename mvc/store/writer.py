"""Storing chunks: a session that fills packs and seals them.

A pack gets its name only when it is whole and synced; then its idx is written. Until then its
records are known to this session alone. A record's bases stand before it in the same pack, in an
earlier one of the session, or in the store: so after a crash at any moment what is sealed is
closed under bases.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING

from mvc.codecs.base import Encoded
from mvc.codecs.decode import decode
from mvc.errors import IntegrityError, MissingObject, ParseError, UsageError
from mvc.hashing import chunk_namer
from mvc.settings import MAX_DEPTH, StoreSettings
from mvc.store import compact
from mvc.store.files import OpenPacks, StorePaths
from mvc.store.idxset import IdxSet
from mvc.store.intents import Claims, Intent
from mvc.store.packfile import PackBuilder
from mvc.store.reading import ChunkReader, RawCache
from mvc.store.records import NAME_SIZE, Buffer, Location, make_lead, parse_lead
from mvc.store.sealing import seal

if TYPE_CHECKING:
    from mvc.store.shared import SharedStore


class _Pending(Enum):
    """In the session's table, of a chunk that is not in the pack yet."""

    BEGUN = 1
    """A thread is encoding it."""
    ADDING = 2
    """A thread is appending it."""


RecordSource = Callable[[bytes], bytes | None]
"""A chunk's whole record, which was verified; None where it cannot be had."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The shared store behind the one that is written to, and what remotes were seen to hold."""

    shared: SharedStore
    promised: Callable[[bytes], bool] | None

    def keeps(self, name: bytes) -> bool:
        """Whether a chunk need not be stored: without a remote that holds it, the shared store does not count."""
        return name in self.shared and self.promised is not None and self.promised(name)


class PackWriter:
    """Takes encoded chunks from several threads and writes them into packs.

    Nothing is durable, nor visible to other processes, before `flush` returns or a pack is full and
    sealed by itself. Leaving the `with` block in peace flushes; with an exception it aborts. A failed
    write makes every later call fail. Made by `ChunkStore.writer`.
    """

    def __init__(
        self,
        paths: StorePaths,
        settings: StoreSettings,
        idx: IdxSet,
        packs: OpenPacks,
        cache: RawCache,
        intent: Intent,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._paths, self._settings, self._idx, self._packs, self._intent = paths, settings, idx, packs, intent
        self._elsewhere = elsewhere
        self._adopting = threading.Lock()
        self._claims = Claims(paths.condemned, intent.start_ns)
        self._namer = chunk_namer(settings.naming)
        self._reader = ChunkReader(self._copies, self._fetch, idx.reload, self._namer, cache)
        self._lock = threading.RLock()
        """Over the pack at hand. Taken before `_names`, never within it."""
        self._names = threading.Lock()
        """Over what stands where: a chunk is in the session's table until an idx lists it, never in neither."""
        self._session: dict[bytes, Location | _Pending] = {}
        """Chunks of this session that no idx lists yet."""
        self._pack: PackBuilder | None = None
        self._label = b"0"
        """Stands for the id of the pack at hand, in the locations of its records."""
        self._sealed: dict[bytes, bytes] = {}
        """The ids that the labels of sealed packs stood for."""
        self._failed: BaseException | None = None
        self._closed = False
        self._stored_bytes = 0
        self._stored_chunks = 0

    def __enter__(self) -> PackWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    @property
    def stored_bytes(self) -> int:
        """Bytes of all records that this session has added."""
        return self._stored_bytes

    @property
    def stored_chunks(self) -> int:
        """How many chunks this session has added."""
        return self._stored_chunks

    def begin(self, name: bytes) -> bool:
        """Whether the caller is to encode and `add` this chunk.

        False: it stands in the store or in this session already (gc is kept from taking it), or another
        thread of this session has begun it; or a remote holds it, and the shared store too. What was begun must be
        added before `close`.
        """
        self._check_usable()
        with self._names:
            if name in self._session or self._claim_stored(name) is not None:
                return False
            if self._elsewhere is not None and self._elsewhere.keeps(name):
                return False
            self._session[name] = _Pending.BEGUN
            return True

    def add(
        self,
        name: bytes,
        encoded: Encoded,
        *,
        raw_size: int,
        bases: tuple[bytes, ...] = (),
        depth: int = 0,
        again: bool = False,
    ) -> bool:
        """Append a chunk; False if it stands already, in the store or in this session.

        `bases` are the names of the chunks that `encoded` was made against, in the order in which
        `decode` wants them; each must resolve, here or in the store, at a depth below `depth`, which is 0
        without bases, else 1 to MAX_DEPTH. Raises UsageError otherwise. With `again` a chunk of the
        store is stored once more (repack, repair): gc then keeps the smaller copy.
        """
        if not self._reserve(name, again):
            return False
        try:
            for base in bases:
                if self._claim_below(base, depth) is None:
                    raise UsageError(
                        f"chunk {name.hex()} rests on {base.hex()}, which is not stored below depth {depth}"
                    )
            if self._settings.verify_writes:
                self._verify(name, encoded, raw_size, bases)
            lead, stored_size = make_lead(name, raw_size, encoded.codec, depth, bases, encoded.params, encoded.payload)
            with self._lock:
                self._check_usable()
                with self._failing():
                    pack = self._pack or self._new_pack()
                    offset = pack.append(lead, encoded.payload)
                    self._session[name] = Location(
                        self._label, offset, raw_size, stored_size, encoded.codec, depth, len(encoded.params), bases
                    )
                    self._stored_bytes += len(lead) + stored_size
                    self._stored_chunks += 1
                    if pack.size >= self._settings.pack_size:
                        self._seal()
        except BaseException:
            with self._names:
                if self._session.get(name) is _Pending.ADDING:
                    del self._session[name]
            raise
        return True

    def adopt(self, names: Iterable[bytes], depth: int, source: RecordSource | None = None) -> bool:
        """Make these chunks stand in this store itself, at depths below `depth`, with all that they rest on.

        What does not is copied, record by record, from `source`, by default the shared store. False if it cannot be
        had. Raises what writing raises.
        """
        if source is None:
            if self._elsewhere is None:
                return all(self._claim_below(name, depth) is not None for name in names)
            source = self._elsewhere.shared.record
        with self._adopting:
            return all(self._adopt(name, depth, source) for name in names)

    def _adopt(self, name: bytes, depth: int, source: RecordSource) -> bool:
        if self._claim_below(name, depth) is not None:
            return True
        record = source(name)
        if record is None:
            return False
        header = parse_lead(record)
        if header.depth >= depth or not all(self._adopt(base, header.depth, source) for base in header.bases):
            return False
        encoded = Encoded(header.codec, header.params, (memoryview(record)[header.lead_size :],))
        self.add(name, encoded, raw_size=header.raw_size, bases=header.bases, depth=header.depth, again=True)
        return self._claim_below(name, depth) is not None

    def find(self, name: bytes) -> Location | None:
        """As `ChunkStore.find`, but sees this session's chunks too (until sealed, their `pack` is no id)."""
        found = next(iter(self._copies(name)), None)
        return self._elsewhere.shared.find(name) if found is None and self._elsewhere is not None else found

    def read(self, name: bytes, *, out: bytearray | memoryview | None = None) -> Buffer:
        """As `ChunkStore.read`, but sees this session's chunks too."""
        try:
            return self._reader.read(name, out)
        except MissingObject:
            found = self._elsewhere.shared.read(name, out) if self._elsewhere is not None else None
            if found is None:
                raise
            return found

    def ensure(self, names: Iterable[bytes]) -> None:
        """As `ChunkStore.ensure`, but a session asks nobody else."""

    def flush(self) -> None:
        """Seal the pack at hand: every chunk added so far is durable, and found by others, on return."""
        with self._lock:
            self._check_usable()
            with self._failing():
                self._seal()

    def close(self) -> None:
        """Flush and end the session. Raises UsageError if a chunk was begun and never added."""
        if self._closed:
            return
        self.flush()
        self._closed = True
        if self._session:
            raise UsageError(f"chunk {next(iter(self._session)).hex()} was begun but never added")

    def abort(self) -> None:
        """Drop what is not sealed. What was sealed stays, for a repeat to find or gc to take."""
        with self._lock:
            self._closed = True
            self._drop_pack()

    # The pack at hand -----------------------------------------------------------------------

    def _new_pack(self) -> PackBuilder:
        self._pack = PackBuilder(self._paths.tmp, self._settings.naming)
        return self._pack

    def _seal(self) -> None:
        pack = self._pack
        if pack is None:
            return
        with self._names:
            records = {name: place for name, place in self._session.items() if isinstance(place, Location)}
        self._sealed[self._label] = seal(self._paths, pack, records, self._claims)
        self._pack, self._label = None, b"%d" % len(self._sealed)
        self._idx.reload()
        with self._names:
            for name in records:
                del self._session[name]
        compact.compact(self._paths, self._idx)

    def _drop_pack(self) -> None:
        if self._pack is not None:
            self._pack.discard()
            self._pack = None
        with self._names:
            self._session = {}

    def _check_usable(self) -> None:
        if isinstance(self._failed, OSError):
            # Which of several threads is heard first is chance: each must say why (the disk is full).
            raise OSError(self._failed.errno, self._failed.strerror, self._failed.filename) from self._failed
        if self._failed is not None:
            raise IntegrityError("an earlier write of this session failed") from self._failed
        if self._closed:
            raise UsageError("the writer is closed")

    def _failing(self) -> _Failing:
        return _Failing(self._fail)

    def _fail(self, error: BaseException) -> None:
        self._failed = error
        self._drop_pack()

    # Looking up -----------------------------------------------------------------------------

    def _copies(self, name: bytes) -> tuple[Location, ...]:
        place = self._session.get(name)
        found = self._idx.copies(name)
        return (place, *found) if isinstance(place, Location) else found

    def _fetch(self, location: Location) -> bytes:
        if len(location.pack) == NAME_SIZE:
            return self._packs.fetch(location)
        with self._lock:
            if location.pack == self._label and self._pack is not None:
                return self._pack.read(location.offset, location.record_size)
            pack_id = self._sealed.get(location.pack)
        if pack_id is None:
            raise IntegrityError("the session was aborted")
        return self._packs.fetch(location._replace(pack=pack_id))

    def _reserve(self, name: bytes, again: bool) -> bool:
        """Whether the caller is the one to append this chunk."""
        self._check_usable()
        with self._names:
            state = self._session.get(name)
            if state is None:
                if not again and self._claim_stored(name) is not None:
                    return False
            elif state is not _Pending.BEGUN:
                return False
            self._session[name] = _Pending.ADDING
            return True

    def _claim_stored(self, name: bytes) -> Location | None:
        return self._claim_below(name, MAX_DEPTH + 1)

    def _claim_below(self, name: bytes, depth: int) -> Location | None:
        """A place where the chunk lies at a depth below `depth` and will stay, or None."""
        place = self._session.get(name)
        if isinstance(place, Location) and place.depth < depth:
            return place
        gone = False
        for place in self._idx.copies(name):
            if place.depth < depth:
                if place.pack in self._claims or self._claims.claim(place.pack, self._paths.pack(place.pack)):
                    return place
                gone = True
        if gone and self._idx.reload():  # gc has put it into another pack
            return self._claim_below(name, depth)
        return None

    def _verify(self, name: bytes, encoded: Encoded, raw_size: int, bases: tuple[bytes, ...]) -> None:
        payload = b"".join(encoded.payload)
        try:
            raw = decode(encoded.codec, encoded.params, payload, raw_size, [self.read(base) for base in bases])
        except ParseError as error:
            raise IntegrityError(f"chunk {name.hex()} cannot be decoded as it was encoded: {error.message}") from error
        if len(raw) != raw_size or self._namer(raw) != name:
            raise IntegrityError(f"chunk {name.hex()} does not decode to what was encoded")


class _Failing:
    """Remembers the error that ends its block, so that no later call builds on what is half written."""

    def __init__(self, remember: Callable[[BaseException], None]) -> None:
        self._remember = remember

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._remember(error)
