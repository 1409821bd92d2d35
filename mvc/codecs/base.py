"""What the codecs have in common: their ids, what an encoder gives, what a base is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Buffer = bytes | bytearray | memoryview
"""Bytes in, bytes out. A memoryview must be contiguous."""


class Codec(IntEnum):
    """How a chunk's bytes are stored. The numbers are part of the pack format (docs/format/codecs.md)."""

    RAW = 0
    ZSTD = 1
    PLANES = 2
    DELTA = 3
    CAST = 4


@dataclass(frozen=True, slots=True)
class Base:
    """Bytes that are known to the reader too, from which a chunk may be predicted.

    "same": the same elements (dtype and position) in an earlier version, as long as the chunk
    or shorter or longer; only the first len(chunk) bytes count, and what is lacking is zero.
    "fp32": FP32 values whose rounding to BF16 or FP16 predicts the chunk: twice as long as the
    chunk, or shorter or longer by the same rule. The buffer may be the join of several chunks.
    """

    kind: Literal["same", "fp32"]
    raw: Buffer


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded chunk: what a pack's record holds.

    `params` has at most 255 bytes. `payload` is a row of buffers to be written one after the
    other; they stay valid as long as the `raw` that was encoded is not changed (codec raw
    refers to it without a copy). `base` is the index, among the bases given, of the one that
    decoding needs; None if it needs none (raw, zstd, planes).
    """

    codec: int
    params: bytes
    payload: tuple[Buffer, ...]
    base: int | None = None

    @property
    def size(self) -> int:
        """Stored bytes, params included."""
        return len(self.params) + sum(map(len, self.payload))

    @property
    def bases_used(self) -> int:
        """How many bases decoding needs: 0 or 1."""
        return 0 if self.base is None else 1
