"""One stored chunk, as its bytes stand in a pack. The byte tables are in docs/format/pack.md.

A record is: head (64 bytes) | names of its bases (32 each) | params | payload. The head ends
with a checksum over everything else in the record, so that stored bytes can be verified
without decoding them, and without the key when chunks are named by keyed BLAKE3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from mvc.errors import IntegrityError, UsageError
from mvc.hashing import checksum
from mvc.settings import MAX_DEPTH

Buffer = bytes | bytearray | memoryview

NAME_SIZE = 32
HEAD_SIZE = 64
CHECKSUM_SIZE = 16
MAX_BASES = 3
MAX_PARAMS = 255
MAX_RAW = 64 * 1024 * 1024
"""No chunk is longer, raw or stored: so a head that lies cannot ask for much memory."""
MAX_LEAD = HEAD_SIZE + MAX_BASES * NAME_SIZE + MAX_PARAMS
"""The longest that a record can be before its payload begins."""

_FIXED = struct.Struct("<32sIIBBBBI")
"""name, raw size, stored size, codec, depth, bases, length of params, flags (0 in version 1)."""


class Location(NamedTuple):
    """Where a chunk's record lies, and what its head says (a NamedTuple: one is made a lookup)."""

    pack: bytes
    """Id of the pack, 32 bytes; shorter for a record in a writer's pack that is not sealed."""
    offset: int
    """Of the record's head, from the start of the pack."""
    raw_size: int
    stored_size: int
    """Of the payload alone."""
    codec: int
    depth: int
    params_size: int
    bases: tuple[bytes, ...]

    @property
    def payload_offset(self) -> int:
        """Of the payload, from the start of the record."""
        return HEAD_SIZE + NAME_SIZE * len(self.bases) + self.params_size

    @property
    def record_size(self) -> int:
        """Bytes of the whole record in its pack."""
        return self.payload_offset + self.stored_size


class RecordHeader(NamedTuple):
    """All of a record but its payload."""

    name: bytes
    raw_size: int
    stored_size: int
    codec: int
    depth: int
    bases: tuple[bytes, ...]
    params: bytes
    checksum: bytes

    @property
    def lead_size(self) -> int:
        """Bytes of the record before its payload."""
        return HEAD_SIZE + NAME_SIZE * len(self.bases) + len(self.params)

    @property
    def record_size(self) -> int:
        return self.lead_size + self.stored_size

    def located(self, pack: bytes, offset: int) -> Location:
        """The same as an idx tells it."""
        return Location(
            pack, offset, self.raw_size, self.stored_size, self.codec, self.depth, len(self.params), self.bases
        )


def make_lead(
    name: bytes,
    raw_size: int,
    codec: int,
    depth: int,
    bases: Sequence[bytes],
    params: bytes,
    payload: Sequence[Buffer],
) -> tuple[bytes, int]:
    """What stands before the payload of a record, and the payload's size.

    Raises UsageError if something is beyond the format's limits.
    """
    stored_size = sum(len(part) for part in payload)
    if len(name) != NAME_SIZE or any(len(base) != NAME_SIZE for base in bases):
        raise UsageError("a chunk's name has 32 bytes")
    if raw_size > MAX_RAW or stored_size > MAX_RAW or len(bases) > MAX_BASES or len(params) > MAX_PARAMS:
        raise UsageError(f"chunk {name.hex()} is beyond what a record can hold")
    if not (0 < depth <= MAX_DEPTH if bases else depth == 0):
        raise UsageError(f"chunk {name.hex()} with {len(bases)} bases cannot have the depth {depth}")
    fixed = _FIXED.pack(name, raw_size, stored_size, codec, depth, len(bases), len(params), 0)
    tail = b"".join(bases) + params
    return b"".join((fixed, checksum(fixed, tail, *payload), tail)), stored_size


def parse_lead(data: Buffer, at: int = 0) -> RecordHeader:
    """Read a record's head, bases and params at `data[at:]`.

    `data` may end before the payload does. Checks limits, not the checksum; raises IntegrityError.
    """
    if len(data) - at < HEAD_SIZE:
        raise IntegrityError("a record's head is cut short")
    name, raw_size, stored_size, codec, depth, nbases, nparams, flags = _FIXED.unpack_from(data, at)
    if (
        raw_size > MAX_RAW
        or stored_size > MAX_RAW
        or nbases > MAX_BASES
        or depth > MAX_DEPTH
        or (depth == 0) != (nbases == 0)
        or flags != 0
    ):
        raise IntegrityError("a record's head makes no sense")
    bases_at = at + HEAD_SIZE
    params_at = bases_at + NAME_SIZE * nbases
    if len(data) < params_at + nparams:
        raise IntegrityError("a record's head is cut short")
    return RecordHeader(
        name,
        raw_size,
        stored_size,
        codec,
        depth,
        tuple(bytes(data[bases_at + NAME_SIZE * i : bases_at + NAME_SIZE * (i + 1)]) for i in range(nbases)),
        bytes(data[params_at : params_at + nparams]),
        bytes(data[at + _FIXED.size : bases_at]),
    )


def is_sound(record: Buffer) -> bool:
    """Whether a whole record matches its own checksum."""
    view = memoryview(record)
    return checksum(view[: _FIXED.size], view[HEAD_SIZE:]) == view[_FIXED.size : HEAD_SIZE]


def parse_record(record: Buffer, name: bytes, location: Location) -> tuple[RecordHeader, memoryview]:
    """The header and payload of a whole record, held against what the idx says of it.

    Does not check the checksum: who decodes verifies the name. Raises IntegrityError.
    """
    header = parse_lead(record)
    if header.name != name or header.located(location.pack, location.offset) != location:
        raise IntegrityError("the record is not what the idx says it is")
    payload = memoryview(record)[header.lead_size :]
    if len(payload) != header.stored_size:
        raise IntegrityError("the record is cut short")
    return header, payload
