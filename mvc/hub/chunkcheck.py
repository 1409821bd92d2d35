"""Does every record of a pack decode to the chunk that it is named by? Found out once for each pack, and noted.

A note is `server/verified/<pack>`: the idx of that pack alone, as this server makes it, byte for byte as
docs/format/idx.md has it. Who reads one knows that each record decodes, given its bases, to the bytes of its name:
that is a property of the pack's bytes, which its id stands for, and stays true whatever else the store holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mvc import fsio
from mvc.errors import IntegrityError, MissingObject, NotFound, ParseError
from mvc.hashing import digest
from mvc.hub.passing import PassingPack, Rows
from mvc.hub.served import PART, Served
from mvc.store import idxbuild
from mvc.store.idx import Idx
from mvc.store.reading import ChunkReader, RawCache
from mvc.store.records import Buffer, Location
from mvc.sync import keys
from mvc.sync.remoteindex import RemoteIndex

VERIFIED = "server/verified/"
_CACHE = 16 * 1024 * 1024
_SCRATCH = 4 * 1024 * 1024
"""A chunk of so many bytes is decoded into memory that is used again: fresh memory costs as much as decoding."""
_PLAIN = "naming plain"
_OLD_SECONDS = 7 * 86400.0
"""By a clock that may be hours off: what is lost is looked at again."""
_MOST_SWEPT = 10_000

ReadAt = Callable[[int, int], bytes]
Find = Callable[[bytes], Location | None]


@dataclass(frozen=True, slots=True)
class Part:
    """A pack that records may rest on, beside those that are live; or several, by an idx and its id."""

    pack_id: bytes
    find: Find
    read_at: ReadAt | None = None
    """Where it can be read, if not yet in the store."""


class Decoding:
    """Decodes records and holds them against their names. Not thread-safe."""

    def __init__(self, served: Served, index: RemoteIndex, beside: Iterable[Part] = ()) -> None:
        self._served, self._index = served, index
        self._parts = {part.pack_id: part for part in beside}
        self._named = served.naming() == _PLAIN
        self._scratch = bytearray()
        self._reader = ChunkReader(self._copies, self._fetch, lambda: False, digest, RawCache(_CACHE))

    def add(self, part: Part) -> None:
        """Another pack that records may rest on."""
        self._parts[part.pack_id] = part

    def check(self, name: bytes, place: Location, record: Buffer) -> bool:
        """False if a base is not there (yet). Raises IntegrityError for a record that is not what it must be."""
        out = None
        if place.raw_size <= _SCRATCH:
            if len(self._scratch) < place.raw_size:
                self._scratch = bytearray(place.raw_size)
            out = memoryview(self._scratch)[: place.raw_size]
        try:
            raw = self._reader.decode(name, place, record, out)
        except MissingObject:
            return False
        except (IntegrityError, ParseError) as error:
            if self._lacks(place, {}):
                return False  # the reader takes a base that rests on nothing for a damaged one
            if isinstance(error, IntegrityError):
                raise
            raise IntegrityError(f"chunk {name.hex()} does not decode: {error.message}") from error
        if self._named and digest(raw) != name:
            raise IntegrityError(f"chunk {name.hex()} does not decode to the bytes that it is named by")
        return True

    def _lacks(self, place: Location, known: dict[tuple[bytes, int], bool]) -> bool:
        """Whether something is not there that a record rests on, be it through others."""

        def lacks(base: bytes) -> bool:
            at = (base, place.depth)
            if at not in known:
                copies = [one for one in self._copies(base) if one.depth < place.depth]
                known[at] = all(self._lacks(one, known) for one in copies)
            return known[at]

        return any(lacks(base) for base in place.bases)

    def read(self, name: bytes) -> Buffer:
        """A chunk's bytes. Raises MissingObject, IntegrityError."""
        if not self._named:
            place = min(self._copies(name), key=lambda one: one.depth, default=None)
            if place is None:
                raise MissingObject(f"chunk {name.hex()} is not there")
            return self._reader.decode(name, place, self._fetch(place))
        return self._reader.read(name)

    def find(self, name: bytes) -> Location | None:
        """The copy of the least depth."""
        return min(self._copies(name), key=lambda one: one.depth, default=None)

    def ensure(self, names: Iterable[bytes]) -> None:
        """Nothing comes from elsewhere."""

    def _copies(self, name: bytes) -> list[Location]:
        beside = (part.find(name) for part in self._parts.values())
        return sorted([*self._index.copies(name), *(one for one in beside if one)], key=lambda one: one.depth)

    def _fetch(self, place: Location) -> bytes:
        part = self._parts.get(place.pack)
        if part is not None and part.read_at is not None:
            return part.read_at(place.offset, place.record_size)
        try:
            data = self._served.backend.get(keys.chunk_pack(place.pack.hex()), place.offset, place.record_size)
        except NotFound as error:
            raise IntegrityError(f"pack {place.pack.hex()} is not there") from error
        if len(data) != place.record_size:
            raise IntegrityError(f"pack {place.pack.hex()} is cut short")
        return data


# ---- notes


def note_key(pack_id: str) -> str:
    """Where it is noted that a pack was verified."""
    return VERIFIED + pack_id


def write_note(served: Served, rows: Rows, size: int) -> None:
    """Note that a pack of `size` bytes was verified."""
    served.backend.put(note_key(rows.pack_id.hex()), idxbuild.dumped(rows.table(size))[0])


def read_note(served: Served, pack_id: str) -> Idx | None:
    """The note on a pack, if there is one that holds together."""
    key = note_key(pack_id)
    size = served.backend.size(key)
    if size is None:
        return None
    with suppress(IntegrityError, NotFound), served.readable(key, size) as path:
        idx = Idx(path, mapped=False)
        sound = digest(idx.data[: idx.at.id]) == idx.data[idx.at.id :]
        return idx if sound and len(idx.packs) == 1 and idx.packs[0][0].hex() == pack_id else None
    return None


def pending(served: Served, most: int = 256) -> list[Part]:
    """Packs that were verified and that no entry lists yet."""
    names = (entry.key.removeprefix(VERIFIED) for entry in islice(served.backend.list(VERIFIED), most))
    notes = (read_note(served, name) for name in names)
    return [part_of(idx) for idx in notes if idx is not None]


def forget(served: Served, pack_ids: Iterable[str]) -> None:
    """An entry lists these, so their notes are needed no more; nor are those of pushes that ended long ago."""
    going = [note_key(pack_id) for pack_id in pack_ids]
    if served.is_time_to_sweep():
        end = time.time() - _OLD_SECONDS
        old = islice(served.backend.list(VERIFIED), _MOST_SWEPT)
        going += [entry.key for entry in old if entry.modified is not None and entry.modified < end]
    served.backend.delete(going)


def finder(idx: Idx) -> Find:
    """Looks up chunks in the idx of one pack."""

    def find(name: bytes) -> Location | None:
        number = idx.find(name)
        return idx.location(number) if number >= 0 else None

    return find


def part_of(idx: Idx) -> Part:
    """The pack that a note is about."""
    return Part(idx.packs[0][0], finder(idx))


# ---- a pack that is in the store, or lies in a file


def walk_stored(served: Served, pack_id: str, size: int, passing: PassingPack) -> None:
    """Let a pack of the store pass. Raises IntegrityError, NotFound."""
    with closing(_blocks(served, keys.chunk_pack(pack_id), size)) as blocks:
        for block in blocks:
            passing.feed(block)
    passing.finish()


def _blocks(served: Served, key: str, size: int) -> Generator[bytes, None, None]:
    at = 0
    while at < size:
        block = served.backend.get(key, at, min(PART, size - at))
        if not block:
            raise IntegrityError(f"'{key}' is shorter than it was said to be")
        at += len(block)
        yield block


def reader_of(path: Path) -> tuple[fsio.RandomFile, ReadAt]:
    """Reads from a file that is being written; to be closed."""
    file = fsio.RandomFile(path)
    return file, file.read_exact
