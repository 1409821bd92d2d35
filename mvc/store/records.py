"""One stored chunk, as its bytes stand in a pack. The byte tables are in docs/format/pack.md.

A record is: head (64 bytes) | names of its bases (32 each) | params | payload. The head ends
with a checksum over everything else in the record, so that stored bytes can be verified
without decoding them, and without the key when chunks are named by keyed BLAKE3.
"""

from __future__ import annotations

from typing import NamedTuple

NAME_SIZE = 32
HEAD_SIZE = 64
MAX_BASES = 3
MAX_PARAMS = 255
MAX_RAW = 64 * 1024 * 1024
"""No chunk is longer, raw or stored: so a lying head cannot ask for much memory."""


class Location(NamedTuple):
    """Where a chunk's record lies, and what its head says (a NamedTuple: one is made a lookup)."""

    pack: bytes
    """Id of the pack, 32 bytes."""
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
    def record_size(self) -> int:
        """Bytes of the whole record in its pack."""
        return HEAD_SIZE + NAME_SIZE * len(self.bases) + self.params_size + self.stored_size


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
