"""What tests of several packages make of what goes to backends."""

from __future__ import annotations

from mvc.backends.base import FilePart
from mvc.fsio import Buffer


def content(piece: Buffer | FilePart) -> bytes:
    """The bytes of a piece of what is put."""
    if not isinstance(piece, FilePart):
        return bytes(piece)
    data = bytearray(piece.length)
    assert piece.file.read_into(piece.offset, memoryview(data)) == piece.length
    return bytes(data)
