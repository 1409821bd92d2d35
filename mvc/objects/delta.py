"""Git's deltas: copy and insert instructions against a base object. Reading only; mvc writes none.

Format: gitformat-pack(5), "Deltified representation".
"""

from __future__ import annotations

from mvc.errors import IntegrityError


def apply_delta(base: bytes, delta: bytes) -> bytes:
    """The object that `delta` makes of `base`. Raises IntegrityError for anything that does not fit exactly."""
    try:
        return _apply(base, delta)
    except IndexError as error:
        raise IntegrityError("a delta in a Git pack is cut short") from error


def result_size(delta_head: bytes) -> int:
    """The size of the object that a delta makes, from the first bytes of the delta."""
    try:
        _, at = _varint(delta_head, 0)
        return _varint(delta_head, at)[0]
    except IndexError as error:
        raise IntegrityError("a delta in a Git pack is cut short") from error


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise IntegrityError("a number in a Git pack is too large")


def _apply(base: bytes, delta: bytes) -> bytes:
    base_size, at = _varint(delta, 0)
    size, at = _varint(delta, at)
    if base_size != len(base):
        raise IntegrityError("a delta in a Git pack is for another base")
    parts: list[bytes] = []
    made = 0
    while at < len(delta):
        command = delta[at]
        at += 1
        if command & 0x80:
            part, at = _copy(base, delta, at, command)
        elif command:
            part = delta[at : at + command]
            at += command
            if len(part) != command:
                raise IndexError
        else:
            raise IntegrityError("a delta in a Git pack holds a reserved instruction")
        made += len(part)
        if made > size:
            break
        parts.append(part)
    if made != size:
        raise IntegrityError("a delta in a Git pack makes an object of another size")
    return b"".join(parts)


def _copy(base: bytes, delta: bytes, at: int, command: int) -> tuple[bytes, int]:
    offset = length = 0
    for bit in range(4):
        if command & (1 << bit):
            offset |= delta[at] << (8 * bit)
            at += 1
    for bit in range(3):
        if command & (0x10 << bit):
            length |= delta[at] << (8 * bit)
            at += 1
    length = length or 0x10000
    if offset + length > len(base):
        raise IntegrityError("a delta in a Git pack copies from behind its base's end")
    return base[offset : offset + length], at
