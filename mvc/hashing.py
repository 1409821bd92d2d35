"""BLAKE3, the one hash that names chunks and files.

BLAKE3: J. O'Connor, J.-P. Aumasson, S. Neves, Z. Wilcox-O'Hearn, 2020
(https://github.com/BLAKE3-team/BLAKE3-specs). The library releases the GIL.
"""

from __future__ import annotations

from collections.abc import Callable

from blake3 import blake3

from mvc.settings import ChunkNaming

Buffer = bytes | bytearray | memoryview
ChunkNamer = Callable[[Buffer], bytes]

DIGEST_SIZE = 32


def chunk_namer(naming: ChunkNaming) -> ChunkNamer:
    """The function that names a chunk: its raw bytes to 32 bytes, by the repository's setting."""
    if naming.key is None:
        return digest

    key = naming.key

    def keyed(data: Buffer) -> bytes:
        return blake3(data, key=key).digest()

    return keyed


def digest(data: Buffer) -> bytes:
    """The plain BLAKE3 of `data`, 32 bytes."""
    return blake3(data).digest()


def checksum(*parts: Buffer) -> bytes:
    """The first 16 bytes of the BLAKE3 over `parts` in a row: guards stored bytes."""
    h = blake3()
    for part in parts:
        h.update(part)
    return h.digest(16)


class FileHasher:
    """The BLAKE3 of a whole file, fed piece by piece in order."""

    def __init__(self) -> None:
        self._h = blake3()

    def update(self, data: Buffer) -> None:
        self._h.update(data)

    def digest(self) -> bytes:
        return self._h.digest()
