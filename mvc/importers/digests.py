"""The digests by which other tools name files, fed as the bytes pass."""

from __future__ import annotations

import hashlib
from typing import Protocol

Buffer = bytes | bytearray | memoryview

_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"
_LOOKED_AT = 512
_BLOCK = 1024 * 1024
_MOSTLY = 0.30


class Digest(Protocol):
    """A digest that is fed a file's bytes in order."""

    def update(self, data: Buffer, /) -> object: ...

    def hexdigest(self) -> str: ...


class Dos2Unix:
    """DVC's digest of files before its version 3: in blocks that look like text, CRLF counts as LF.

    Source: `dvc_data/hashfile/hash.py` (`Dos2UnixHashStreamFile`) and `istextfile.py`: each block of 1 MiB is judged,
    and replaced, by itself.
    """

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._block = bytearray()

    def update(self, data: Buffer, /) -> None:
        view = memoryview(data).cast("B")
        while len(view):
            part = view[: _BLOCK - len(self._block)]
            self._block += part
            view = view[len(part) :]
            if len(self._block) == _BLOCK:
                self._take()

    def hexdigest(self) -> str:
        self._take()
        return self._md5.hexdigest()

    def _take(self) -> None:
        block = bytes(self._block)
        self._md5.update(block.replace(b"\r\n", b"\n") if looks_like_text(block[:_LOOKED_AT]) else block)
        self._block.clear()


class Either:
    """DVC's legacy digest, or the plain one: which was meant is not always told."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._both: tuple[Digest, Digest] = (hashlib.md5(usedforsecurity=False), Dos2Unix())

    def update(self, data: Buffer, /) -> None:
        for one in self._both:
            one.update(data)

    def hexdigest(self) -> str:
        found = [one.hexdigest() for one in self._both]
        return self._wanted if self._wanted in found else found[0]


def looks_like_text(block: bytes) -> bool:
    """DVC's guess from a file's first bytes."""
    if not block:
        return True
    return b"\0" not in block and len(block.translate(None, _TEXT)) / len(block) <= _MOSTLY


def digest_for(key: str, size: int) -> tuple[Digest, str] | None:
    """The digest to feed for an entry's key, and what it must come to; None for a key that names no digest."""
    algorithm, _, wanted = key.partition(":")
    if algorithm == "md5":
        return hashlib.md5(usedforsecurity=False), wanted
    if algorithm == "md5-dos2unix":
        return Either(wanted), wanted
    if algorithm == "sha256":
        return hashlib.sha256(), wanted
    if algorithm == "git":
        started = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        return started, wanted
    return None
