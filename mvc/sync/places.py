"""Answers to `have` and `locate` as bytes (docs/protocol/sync.md). Pure; what comes from a server is not trusted."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mvc.errors import ParseError
from mvc.settings import MAX_DEPTH
from mvc.store.packfile import HEADER_SIZE, TRAILER_SIZE
from mvc.store.records import MAX_BASES, MAX_RAW, NAME_SIZE, Location

MAX_NAMES = 65_536
"""Chunks that one question is about."""
MAX_ADDED = 262_144
"""Bases that an answer adds."""
ABSENT = 255
_MAGIC = b"mvcplace"
_VERSION = 1
_HEAD = struct.Struct("<8sHHIII")
"""magic, version, 0, packs, names, added."""
_PACK = struct.Struct("<32sQ")
_PLACE = struct.Struct("<BBBBIQII")
"""depth, codec, bases, params size, pack, offset, raw size, stored size."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where chunks lie: of each name that was asked a place or None, and those of the bases that were added."""

    found: Mapping[bytes, Location | None]
    added: Mapping[bytes, Location]


def join_names(names: Sequence[bytes]) -> bytes:
    """A question."""
    return b"".join(names)


def split_names(body: bytes, most: int = MAX_NAMES) -> list[bytes]:
    """The names of a question. Raises ParseError."""
    if not body or len(body) % NAME_SIZE or len(body) > most * NAME_SIZE:
        raise ParseError(f"a question is about 1 to {most} names of {NAME_SIZE} bytes")
    return [body[at : at + NAME_SIZE] for at in range(0, len(body), NAME_SIZE)]


def dump_depths(depths: Sequence[int | None]) -> bytes:
    """The answer to `have`."""
    return bytes(ABSENT if depth is None else depth for depth in depths)


def parse_depths(body: bytes, count: int) -> list[int | None]:
    """Of each name that was asked the least depth, or None. Raises ParseError."""
    if len(body) != count or any(depth > MAX_DEPTH and depth != ABSENT for depth in body):
        raise ParseError("the answer on which chunks are there makes no sense")
    return [None if depth == ABSENT else depth for depth in body]


def dump(names: Sequence[bytes], places: Mapping[bytes, Location], sizes: Mapping[bytes, int]) -> bytes:
    """The answer to `locate`: `places` holds those of `names` that are there, and bases to be added.

    `sizes`: bytes of packs by id; those that no place is in are left out.
    """
    added = sorted(places.keys() - set(names))
    packs = sorted({place.pack for place in places.values()})
    number = {pack_id: at for at, pack_id in enumerate(packs)}
    parts = [_HEAD.pack(_MAGIC, _VERSION, 0, len(packs), len(names), len(added))]
    parts += [_PACK.pack(pack_id, sizes[pack_id]) for pack_id in packs]
    parts += added
    for name in (*names, *added):
        place = places.get(name)
        if place is None:
            parts.append(bytes([ABSENT]))
            continue
        bases = len(place.bases)
        row = (place.depth, place.codec, bases, place.params_size, number[place.pack], place.offset)
        parts.append(_PLACE.pack(*row, place.raw_size, place.stored_size))
        parts += place.bases
    return b"".join(parts)


def parse(body: bytes, names: Sequence[bytes]) -> Places:
    """The answer to `locate` about `names`. Raises ParseError for anything but what `dump` writes."""
    reader = _Reader(body)
    magic, version, zero, packs, asked, more = reader.take(_HEAD)
    if magic != _MAGIC or version != _VERSION or zero != 0 or asked != len(names) or more > MAX_ADDED:
        raise ParseError("the answer on where chunks lie makes no sense")
    if packs > asked + more:
        raise ParseError("the answer on where chunks lie lists more packs than chunks")
    table: list[tuple[bytes, int]] = [reader.take(_PACK) for _ in range(packs)]
    extra = [reader.some(NAME_SIZE) for _ in range(more)]
    if any(a >= b for a, b in pairwise(extra)) or not set(extra).isdisjoint(names):
        raise ParseError("the answer on where chunks lie adds names out of order")
    found = {name: reader.place(table) for name in names}
    added = {name: reader.place(table) for name in extra}
    if not reader.ended or any(place is None for place in added.values()):
        raise ParseError("the answer on where chunks lie does not end where it should")
    return Places(found, {name: place for name, place in added.items() if place is not None})


class _Reader:
    """Bytes from front to back."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at == len(self._body)

    def some(self, count: int) -> bytes:
        if len(self._body) - self._at < count:
            raise ParseError("the answer on where chunks lie is cut short")
        self._at += count
        return self._body[self._at - count : self._at]

    def take(self, form: struct.Struct) -> tuple:  # type: ignore[type-arg]
        return form.unpack(self.some(form.size))

    def place(self, packs: Sequence[tuple[bytes, int]]) -> Location | None:
        if self._body[self._at : self._at + 1] == bytes([ABSENT]):
            self._at += 1
            return None
        depth, codec, bases, params, pack, offset, raw, stored = self.take(_PLACE)
        if depth > MAX_DEPTH or bases > MAX_BASES or (depth == 0) != (bases == 0) or pack >= len(packs):
            raise ParseError("the answer on where chunks lie has a place that cannot be")
        names = tuple(self.some(NAME_SIZE) for _ in range(bases))
        place = Location(packs[pack][0], offset, raw, stored, codec, depth, params, names)
        end = packs[pack][1] - TRAILER_SIZE
        if raw > MAX_RAW or stored > MAX_RAW or offset < HEADER_SIZE or offset + place.record_size > end:
            raise ParseError("the answer on where chunks lie has a place that cannot be")
        return place
