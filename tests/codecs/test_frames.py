"""Codes that are used again in the next block of a frame: where they suit, and where they must not be."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard

from mvc.codecs import engine, portable
from mvc.codecs.scheme import PACKED, PLAIN
from tests.codecs import making

kernel = engine.engine
pytestmark = pytest.mark.skipif(kernel is portable, reason="the kernel is not compiled here")
BLOCK = 128 * 1024


def packed(plane: bytes) -> bytes:
    [(mode, frame)], _ = kernel.encode(plane, None, PLAIN, 1, 0, b"", b"\1", engine.scratch(len(plane)))
    assert mode == PACKED
    assert isinstance(frame, bytes)
    assert zstandard.ZstdDecompressor().decompress(frame) == plane
    return frame


def literal_kinds(frame: bytes) -> list[int]:
    """Of each compressed block, the kind of its literals (RFC 8878, 3.1.1.3.1.1); -1 for other blocks."""
    at = 5 + {0: 1, 1: 2, 2: 4}[frame[4] >> 6]
    kinds, last = [], 0
    while not last:
        head = int.from_bytes(frame[at : at + 3], "little")
        last, kind, size = head & 1, head >> 1 & 3, head >> 3
        kinds.append(frame[at + 3] & 3 if kind == 2 else -1)
        at += 3 + (1 if kind == 1 else size)
    assert at == len(frame)
    return kinds


def normal(size: int, scale: float = 3.0, seed: int = 0) -> bytes:
    return (making.random(seed).standard_normal(size) * scale + 100).clip(85, 115).astype(np.uint8).tobytes()


def test_a_code_serves_blocks_that_are_alike() -> None:
    assert literal_kinds(packed(normal(4 * BLOCK))) == [2, 3, 3, 3]
    assert literal_kinds(packed(normal(2 * BLOCK + 50)))[:2] == [2, 3]


def test_a_symbol_that_is_new_gets_a_new_code() -> None:
    plane = bytearray(normal(3 * BLOCK))
    plane[BLOCK + 777] = 3  # between the places that the sample looks at
    assert literal_kinds(packed(bytes(plane))) == [2, 2, 3]
    plane = bytearray(normal(3 * BLOCK))
    plane[BLOCK] = 3
    assert literal_kinds(packed(bytes(plane))) == [2, 2, 3]


def test_another_distribution_gets_another_code() -> None:
    kinds = literal_kinds(packed(normal(BLOCK) + normal(2 * BLOCK, 9.0, 1)))
    assert kinds[0] == 2
    assert kinds[1] == 2


def test_a_code_is_forgotten_after_a_block_that_the_reader_sees_raw() -> None:
    noise = making.random(5).bytes(BLOCK)
    for first in (noise, normal(BLOCK)):
        for second in (noise, bytes(BLOCK), normal(BLOCK, seed=3)):
            packed(first + second + normal(2 * BLOCK, seed=4) + normal(100, 50, 2) + normal(2 * BLOCK, seed=6))
