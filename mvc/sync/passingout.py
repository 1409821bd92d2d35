"""A pack for a remote that lies nowhere whole: its records are read from the store while it is sent.

A pack's id is made of its records' heads, bases and params, its header and nothing else (docs/format/pack.md). So a
look at those, some 200 bytes of each megabyte, tells name and size of a pack before its first payload is read, and a
push reads what it sends once, and writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from mvc.backends.base import FilePart, Streamed
from mvc.errors import IntegrityError
from mvc.fsio import Buffer
from mvc.settings import ChunkNaming
from mvc.store.chunkstore import ChunkStore
from mvc.store.packfile import (
    HEADER_SIZE,
    TRAILER_SIZE,
    VERSION,
    PackHeader,
    PackId,
    dump_trailer,
    naming_id,
)
from mvc.store.records import Location


class Unsound(IntegrityError):
    """A record turned out not to be what it must be, or to have been moved, while its pack was on its way."""


class PassingOut(Streamed):
    """Records in their order; then `finish`, and `blocks` as often as need be."""

    def __init__(self, chunks: ChunkStore, naming: ChunkNaming) -> None:
        self._chunks = chunks
        # By chance, as of all packs that are sent: gc may be removing one of the same records.
        self._header = PackHeader(VERSION, 0, naming_id(naming), int.from_bytes(os.urandom(4)))
        self._id = PackId()
        self._pack_id = b""
        self._end = HEADER_SIZE
        self._here: list[tuple[Location, bytes]] = []
        self._largest = 0
        self.records: dict[bytes, Location] = {}
        """Where each chunk will lie."""

    @property
    def size(self) -> int:
        return self._end + TRAILER_SIZE

    def add(self, name: bytes, place: Location) -> None:
        """A record of the store. Raises IntegrityError where it is not what the idx says."""
        lead = self._chunks.lead(name, place)
        self._id.add(lead)
        self._here.append((place, lead))
        self._largest = max(self._largest, place.record_size)
        self.records[name] = place._replace(pack=b"", offset=self._end)
        self._end += place.record_size

    def finish(self) -> bytes:
        """No more records come; the pack's id."""
        self._pack_id = self._id.digest(self._header)
        return self._pack_id

    def blocks(self) -> Iterator[Buffer]:
        """The pack's bytes, a record at a time, each held against its checksum. Raises Unsound."""
        yield self._header.dump()
        held = memoryview(bytearray(self._largest))
        for place, lead in self._here:
            record = held[: place.record_size]
            try:
                self._chunks.read_into(place, record)
            except IntegrityError as error:
                raise Unsound(error.message, hint=error.hint) from error
            if record[: len(lead)] != lead:
                raise Unsound("a record changed while it was sent")
            yield record
        yield dump_trailer(len(self._here), self._pack_id)

    def pieces(self) -> Iterator[Buffer | FilePart]:
        """The pack's bytes, its records where they lie. Raises Unsound."""
        yield self._header.dump()
        for place, _ in self._here:
            try:
                file = self._chunks.lying(place)
            except IntegrityError as error:
                raise Unsound(error.message, hint=error.hint) from error
            yield FilePart(file, place.offset, place.record_size)
        yield dump_trailer(len(self._here), self._pack_id)

    def is_sound(self) -> bool:
        """Whether all is as it must be: asked when what went by `pieces` was refused."""
        try:
            for _ in self.blocks():
                pass
        except Unsound:
            return False
        return True
