"""Which implementation of the loops is in use, and the scratch memory of each thread."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from mvc.codecs.base import Buffer
from mvc.codecs.scheme import Plane

try:
    from mvc.codecs import _kernel as _loops
except ImportError:  # not compiled here; and where it is, numpy need not be loaded
    from mvc.codecs import portable as _loops  # type: ignore[no-redef]


class Engine(Protocol):
    """The loops, as `_kernel` and `portable` have them.

    `transform, width, low, order` are those of `scheme.Scheme`; `scratch` is from `scratch()`.
    """

    def encode(
        self,
        raw: Buffer,
        base: Buffer | None,
        transform: int,
        width: int,
        low: int,
        order: bytes,
        hints: bytes,
        scratch: bytearray,
        /,
    ) -> tuple[list[Plane], bytes]:
        """Elements to planes, lowest bits first, and starts. A plane with a hint of 1 is packed if that helps.

        The starts are the indices at which the groups after the first begin, as little-endian uint32.
        """

    def decode(
        self,
        planes: Sequence[Buffer | int],
        base: Buffer | None,
        transform: int,
        width: int,
        low: int,
        order: bytes,
        starts: bytes,
        out: Buffer,
        scratch: bytearray,
        /,
    ) -> None:
        """Unpacked planes, or the values of constant ones, to elements. ValueError if `starts` lie.

        A delta's base may lie in `out` itself, from its first byte on.
        """

    def costs(
        self,
        sample: Buffer,
        base: Buffer | None,
        transform: int,
        width: int,
        order: bytes,
        scratch: bytearray,
        /,
    ) -> list[int]:
        """In 1/4096 bits: each byte plane, then the lowest as 4+4 and as 2+2+4 bits."""

    def keys(
        self,
        base: Buffer | None,
        transform: int,
        width: int,
        key_shift: int,
        elements: int,
        scratch: bytearray,
        /,
    ) -> bytes:
        """How often each key is met among `elements` predictions: 256 little-endian uint32."""

    def blank(self, size: int, /) -> bytearray:
        """A buffer whose content is arbitrary: to be written over whole."""

    def nonfinite(self, raw: Buffer, width: int, top: int, /) -> tuple[int, int]:
        """How many elements, sign aside, are above `top`, and how many equal it."""


engine: Engine = _loops
"""The implementation in use; a test may set the other."""


class _Local(threading.local):
    def __init__(self) -> None:
        self.buffer = bytearray(0)


_LOCAL = _Local()
_FIXED = 1664 * 1024
"""At its end the kernel keeps a table from call to call: nobody else may write there."""


def scratch(size: int) -> bytearray:
    """This thread's scratch memory, enough for a chunk of `size` bytes. One use at a time.

    What is not used of it costs no memory: pages come with their first use.
    """
    needed = 12 * size + _FIXED
    if len(_LOCAL.buffer) < needed:
        _LOCAL.buffer = bytearray(needed)
    return _LOCAL.buffer
