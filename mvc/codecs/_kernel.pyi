"""The optional C kernel; the same functions, in numpy, are in portable.py."""

from collections.abc import Sequence

from mvc.codecs.base import Buffer
from mvc.codecs.scheme import Plane

def encode(
    raw: Buffer,
    base: Buffer | None,
    transform: int,
    width: int,
    low: int,
    order: bytes,
    hints: bytes,
    scratch: bytearray,
) -> tuple[list[Plane], bytes]: ...
def decode(
    planes: Sequence[Buffer | int],
    base: Buffer | None,
    transform: int,
    width: int,
    low: int,
    order: bytes,
    starts: bytes,
    out: Buffer,
    scratch: bytearray,
) -> None: ...
def costs(
    sample: Buffer,
    base: Buffer | None,
    transform: int,
    width: int,
    order: bytes,
    scratch: bytearray,
) -> list[int]: ...
def keys(
    base: Buffer | None, transform: int, width: int, key_shift: int, elements: int, scratch: bytearray
) -> bytes: ...
def blank(size: int) -> bytearray: ...
def nonfinite(raw: Buffer, width: int, top: int) -> tuple[int, int]: ...
