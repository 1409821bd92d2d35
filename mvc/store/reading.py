"""Reading a chunk: the record, its bases, decoding, and the check against its name."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

from mvc.codecs.base import Codec
from mvc.codecs.decode import decode
from mvc.errors import IntegrityError, MissingObject, ParseError
from mvc.hashing import ChunkNamer
from mvc.settings import MAX_DEPTH
from mvc.store.records import NAME_SIZE, Buffer, Location, parse_record

Copies = Callable[[bytes], Iterable[Location]]
"""A chunk's name to all places where it is stored, the least depth first."""
Fetch = Callable[[Location], bytes]
"""The whole record that lies there. Raises PackGone, or IntegrityError."""
Refresh = Callable[[], bool]
"""Look again for what is stored where; whether anything changed."""
Nearby = Callable[[bytes], Buffer | None]
"""A chunk's name to bytes that are likely its own, found outside of the store. They are trusted for nothing."""

Proved = Callable[[Location], None]
"""Told of each record that was decoded and held against its chunk's name."""

_REFRESHES = 16
_PLANES = (Codec.PLANES, Codec.DELTA, Codec.CAST)


class PackGone(IntegrityError):
    """A pack that the idx lists is not there. `ChunkReader` catches it: gc may just have replaced the pack."""


class RawCache:
    """The raw bytes of the chunks read last, up to a budget: a delta is often read right after its base."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._held = 0
        self._lock = threading.Lock()
        self._chunks: OrderedDict[bytes, Buffer] = OrderedDict()

    def get(self, name: bytes) -> Buffer | None:
        with self._lock:
            found = self._chunks.get(name)
            if found is not None:
                self._chunks.move_to_end(name)
            return found

    def put(self, name: bytes, raw: Buffer) -> None:
        if len(raw) > self._budget // 4:
            return
        with self._lock:
            if name not in self._chunks:
                self._chunks[name] = raw
                self._held += len(raw)
                while self._held > self._budget:
                    self._held -= len(self._chunks.popitem(last=False)[1])


class ChunkReader:
    """Reads chunks by name, wherever `copies` says that they lie. Thread-safe if its parts are."""

    def __init__(
        self,
        copies: Copies,
        fetch: Fetch,
        refresh: Refresh,
        namer: ChunkNamer,
        cache: RawCache,
        *,
        proved: Proved | None = None,
    ) -> None:
        """With `proved`, what records rest on is held against its names too, each time: else that is only done where
        what was made of it is wrong."""
        self._copies = copies
        self._fetch = fetch
        self._refresh = refresh
        self._namer = namer
        self._cache = cache
        self._proved = proved

    def read(self, name: bytes, out: bytearray | memoryview | None = None, nearby: Nearby | None = None) -> Buffer:
        """The raw bytes, whose hash is `name`. Raises MissingObject or IntegrityError."""
        if nearby is not None:
            raw = nearby(name)
            if raw is not None and self._namer(raw) == name:
                return raw
        return self._read(name, MAX_DEPTH + 1, out, nearby)

    def record(self, name: bytes, accept: Callable[[Buffer], bool]) -> bytes:
        """The first whole record of that name that `accept` finds sound."""

        def take(location: Location) -> Buffer | None:
            data = self._fetch(location)
            parse_record(data, name, location)
            return data if accept(data) else None

        return bytes(self._first(name, MAX_DEPTH + 1, take))

    def _read(
        self, name: bytes, below: int, out: bytearray | memoryview | None, nearby: Nearby | None = None
    ) -> Buffer:
        cached = self._cache.get(name)
        if cached is not None:
            if out is None:
                return cached
            if len(out) == len(cached):
                out[:] = cached
                return out

        def take(location: Location) -> Buffer | None:
            record = self._fetch(location)
            # Wrong bytes of a base give wrong bytes here: so one hash is enough, but where it does not match.
            for sure in (False, True) if location.bases and self._proved is None else (True,):
                try:
                    found = self.decode(name, location, record, out, sure=sure, nearby=nearby)
                except (IntegrityError, ParseError) as error:
                    if sure or isinstance(error, PackGone):
                        raise
                    continue  # on wrong bytes of a base a delta may make no sense
                if self._namer(found) == name:
                    if self._proved is not None:
                        self._proved(location)
                    return found
            return None

        raw = self._first(name, below, take)
        if out is None:
            self._cache.put(name, raw)
        return raw

    def decode(
        self,
        name: bytes,
        location: Location,
        record: Buffer,
        out: bytearray | memoryview | None = None,
        *,
        sure: bool = False,
        nearby: Nearby | None = None,
    ) -> Buffer:
        """Decode a record that was read already. Does not verify the name, nor, unless `sure`, those of its bases."""
        header, payload = parse_record(record, name, location)
        if out is not None and len(out) != header.raw_size:
            out = None  # the caller was told another size, and sees that this is not what he expects
        if header.codec == Codec.DELTA and len(header.bases) == 1 and not sure:
            # In place: memory that is new for each base of a chain costs, page by page, as much as decoding.
            base, own = self._guess_base(header.bases[0], header.depth, nearby, out)
            if own and out is None and isinstance(base, bytearray) and len(base) == header.raw_size:
                out = base
            return decode(header.codec, header.params, payload, header.raw_size, (base,), out)
        bases = [
            self._sure_base(base, header.depth, nearby) if sure else self._guess_base(base, header.depth, nearby)[0]
            for base in header.bases
        ]
        return decode(header.codec, header.params, payload, header.raw_size, bases, out)

    def _sure_base(self, name: bytes, below: int, nearby: Nearby | None) -> Buffer:
        """A base whose bytes are those of its name."""
        found = nearby(name) if nearby is not None and self._proved is not None else None
        return found if found is not None and self._namer(found) == name else self._read(name, below, None)

    def _guess_base(
        self, name: bytes, below: int, nearby: Nearby | None, room: bytearray | memoryview | None = None
    ) -> tuple[Buffer, bool]:
        """A base without a check of its bytes: who asks checks what it makes of them.

        Decoded into `room` if that has its size. The other: whether nobody else holds these bytes.
        """
        cached = self._cache.get(name)
        if cached is not None:
            return cached, False
        found = nearby(name) if nearby is not None else None
        if found is not None:
            return found, False

        def take(place: Location) -> Buffer:
            into = room if place.codec in _PLANES else None  # others need not be copied
            return self.decode(name, place, self._fetch(place), into, nearby=nearby)

        return self._first(name, below, take), True

    def _first(self, name: bytes, below: int, take: Callable[[Location], Buffer | None]) -> Buffer:
        """What `take` makes of the first sound copy of a chunk whose depth is less than `below`."""
        failure: IntegrityError | None = None
        for _ in range(_REFRESHES):
            gone, copies = False, list(self._copies(name))
            for location in copies:
                if location.depth >= below:
                    continue
                try:
                    found = take(location)
                except PackGone as error:
                    gone, failure = True, error
                except (IntegrityError, ParseError) as error:
                    failure = _damaged(name, location, error.message)
                else:
                    if found is not None:
                        return found
                    failure = _damaged(name, location, "its bytes do not match its name")
            if failure is not None and not gone:
                break
            # What another thread has just looked up again is no change to this one, and yet it may be elsewhere by now.
            if not self._refresh() and list(self._copies(name)) == copies:
                break
        raise failure or MissingObject(f"chunk {name.hex()} is not in the store")


def _damaged(name: bytes, location: Location, why: str) -> IntegrityError:
    where = f"pack {location.pack.hex()}" if len(location.pack) == NAME_SIZE else "the pack being written"
    return IntegrityError(f"chunk {name.hex()} in {where} at {location.offset} is damaged: {why}", hint="mvc fsck")
