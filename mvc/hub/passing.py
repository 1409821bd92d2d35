"""A pack of chunks as it passes: its records one by one, nothing of it trusted, one record in memory at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable

from mvc.errors import IntegrityError
from mvc.store import idxbuild
from mvc.store.idx import ENTRY
from mvc.store.idxbuild import Table
from mvc.store.packfile import HEADER_SIZE, TRAILER_SIZE, PackHeader, PackId, parse_header, parse_trailer
from mvc.store.records import HEAD_SIZE, MAX_BASES, MAX_RAW, NAME_SIZE, Buffer, Location, is_sound, parse_lead

Take = Callable[[bytes, Location, memoryview], None]
"""Told of each record: the chunk's name, where it lies, all its bytes (valid during the call)."""

_SIZES = struct.Struct("<36xIBBBB")
"""Of a record's head: stored size, codec, depth, bases, length of params."""


class Rows:
    """What is known of the records of one pack, in some 100 bytes each."""

    def __init__(self, pack_id: bytes) -> None:
        self.pack_id = pack_id
        self._number: dict[bytes, int] = {}
        self._entries = bytearray()
        self._bases = bytearray()

    def __len__(self) -> int:
        return len(self._number)

    def add(self, name: bytes, place: Location) -> None:
        """The next record. Raises IntegrityError for a name that came before."""
        if self._number.setdefault(name, len(self._number)) != len(self._entries) // ENTRY.size:
            raise IntegrityError("the pack holds a chunk twice")
        first = len(self._bases) // NAME_SIZE if place.bases else 0
        self._entries += ENTRY.pack(
            place.offset,
            place.raw_size,
            place.stored_size,
            0,
            first,
            place.codec,
            place.depth,
            len(place.bases),
            place.params_size,
        )
        self._bases += b"".join(place.bases)

    def find(self, name: bytes) -> Location | None:
        """Where a chunk lies in this pack."""
        number = self._number.get(name)
        if number is None:
            return None
        offset, raw, stored, _, base, codec, depth, nbases, nparams = ENTRY.unpack_from(
            self._entries, ENTRY.size * number
        )
        starts = range(NAME_SIZE * base, NAME_SIZE * (base + nbases), NAME_SIZE)
        bases = tuple(bytes(self._bases[at : at + NAME_SIZE]) for at in starts)
        return Location(self.pack_id, offset, raw, stored, codec, depth, nparams, bases)

    def table(self, size: int) -> Table:
        """As the part of an idx; `size`: bytes of the pack. In the idx's order."""
        packs = ((self.pack_id, size),)
        names = bytearray(b"".join(self._number))
        return idxbuild.merge([idxbuild.from_columns(packs, names, self._entries, self._bases)])


class PassingPack:
    """Fed a pack's bytes in any pieces; tells of each record, then that all was right.

    Holds each record against its own checksum. Raises IntegrityError, UnsupportedFormat at the first byte that
    cannot be right.
    """

    def __init__(self, pack_id: bytes, size: int, most: int, naming: int, take: Take) -> None:
        """`size`: bytes to come. `most`: records, at the most. `naming`: as the header must say it."""
        if size < HEADER_SIZE + TRAILER_SIZE:
            raise IntegrityError("a pack cannot be so short")
        self._pack_id, self._most, self._naming, self._take = pack_id, most, naming, take
        self._end = size - TRAILER_SIZE
        self._size = size
        self._at = 0
        """Where in the pack that begins which is not whole yet: the header, a record, or the trailer."""
        self._held = bytearray()
        """What came of it, where it came in several pieces. The memory is used again for the next."""
        self._have = 0
        self._header: PackHeader | None = None
        self._trailer = b""
        self._identity = PackId()
        self._count = 0

    def feed(self, data: Buffer) -> None:
        """The next bytes."""
        view = memoryview(data).cast("B")
        if self._at + self._have + len(view) > self._size:
            raise IntegrityError("the pack is longer than it was said to be")
        while len(view):
            if not self._have:
                length = self._length(view)
                if len(view) >= length:
                    self._take_part(view[:length])
                    view = view[length:]
                    continue
            view = self._gather(view)

    def _gather(self, view: memoryview) -> memoryview:
        """Add to what is held up to what is needed next; what is left comes back."""
        length = self._length(memoryview(self._held)[: self._have])
        part = view[: length - self._have]
        have = self._have + len(part)
        if have > len(self._held):
            self._held.extend(bytes(have - len(self._held)))
        self._held[self._have : have] = part
        self._have = have
        if have == length and have == self._length(memoryview(self._held)[:have]):
            self._have = 0
            self._take_part(memoryview(self._held)[:length])
        return view[len(part) :]

    def _length(self, view: memoryview) -> int:
        """Bytes of what begins with these; of a record whose head did not come yet, those of the head."""
        if self._header is None:
            return HEADER_SIZE
        left = self._end - self._at
        if left <= 0:
            return TRAILER_SIZE
        if left < HEAD_SIZE:
            raise IntegrityError("the last record of the pack is cut short")
        if len(view) < HEAD_SIZE:
            return HEAD_SIZE
        stored, _, _, bases, params = _SIZES.unpack_from(view)
        length = int(HEAD_SIZE + NAME_SIZE * bases + params + stored)
        if bases > MAX_BASES or stored > MAX_RAW or length > left:
            raise IntegrityError("a record of the pack is longer than it can be")
        return length

    def _take_part(self, part: memoryview) -> None:
        """The header, a record, or the trailer, whole."""
        if self._header is None:
            self._header = parse_header(part)
            if self._header.naming != self._naming:
                raise IntegrityError("the pack's chunks are named in another way than the repository's")
            self._at = HEADER_SIZE
        elif self._at >= self._end:
            self._trailer = bytes(part)
            self._at = self._size
        else:
            self._record(part)
            self._at += len(part)

    def _record(self, record: memoryview) -> None:
        header = parse_lead(record)
        self._count += 1
        if self._count > self._most:
            raise IntegrityError(f"a pack may hold {self._most} records")
        if not is_sound(record):
            raise IntegrityError(f"chunk {header.name.hex()}: the record does not match its checksum")
        self._identity.add(record[: header.lead_size])
        self._take(header.name, header.located(self._pack_id, self._at), record)

    def finish(self) -> None:
        """All came. Raises IntegrityError unless it is what its id stands for."""
        if self._header is None or self._at != self._size:
            raise IntegrityError("the pack is cut short")
        if not self._count:
            raise IntegrityError("the pack holds nothing")
        found = self._identity.digest(self._header)
        if found != self._pack_id or parse_trailer(self._trailer) != (self._count, found):
            raise IntegrityError("the pack's records are not those that its name stands for")
