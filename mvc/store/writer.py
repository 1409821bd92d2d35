"""Storing chunks: a session that fills packs and seals them."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from mvc.store.records import Location

if TYPE_CHECKING:
    from mvc.codecs.base import Encoded

Buffer = bytes | bytearray | memoryview


class PackWriter:
    """Takes encoded chunks from several threads and writes them into packs.

    Nothing is durable, nor visible to other processes, before `flush` returns or a pack fills
    up and is sealed by itself. Leaving the `with` block in peace flushes; with an exception aborts.
    A failed write makes every later call fail.
    """

    def __enter__(self) -> PackWriter:
        raise NotImplementedError

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        raise NotImplementedError

    def begin(self, name: bytes) -> bool:
        """Whether the caller is to encode and `add` this chunk.

        False: it stands in the store or this session already (gc is kept from taking it), or
        another thread of this session has begun it. What was begun must be added before `flush`.
        """
        raise NotImplementedError

    def add(self, name: bytes, encoded: Encoded, *, raw_size: int, bases: tuple[bytes, ...] = (), depth: int = 0) -> bool:
        """Append a chunk; False if it stands already, in the store or in this session.

        `bases` are the names of the chunks that `encoded` was made against, in the order that
        `decode` wants them; each must resolve, here or in the store, at a depth below `depth`
        (which is 0 without bases, else 1 to MAX_DEPTH): UsageError otherwise.
        """
        raise NotImplementedError

    def find(self, name: bytes) -> Location | None:
        """As `ChunkStore.find`, but sees this session's chunks too (`pack` is empty for those not sealed)."""
        raise NotImplementedError

    def read(self, name: bytes) -> Buffer:
        """As `ChunkStore.read`, but sees this session's chunks too."""
        raise NotImplementedError

    @property
    def stored_bytes(self) -> int:
        """Bytes of all records that this session has added."""
        raise NotImplementedError

    @property
    def stored_chunks(self) -> int:
        """How many chunks this session has added."""
        raise NotImplementedError

    def flush(self) -> None:
        """Seal the pack at hand and wait until every chunk added so far is durable and to be found."""
        raise NotImplementedError

    def abort(self) -> None:
        """Drop what is not sealed. What was sealed stays, for a repeat to find, or gc to take."""
        raise NotImplementedError
