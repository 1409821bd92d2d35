"""Which records of packs one request brings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from mvc.store.records import Location

GAP = 128 * 1024
"""Bytes between records that are read along with them: that costs less than another request."""
RANGE = 8 * 1024 * 1024
"""Bytes that a request asks for at the most, unless one record is larger."""


class Placed(Protocol):
    """What is to be read."""

    @property
    def place(self) -> Location: ...


_P = TypeVar("_P", bound=Placed)


def runs(rows: Sequence[_P]) -> Iterator[Sequence[_P]]:
    """Runs of `rows`, which are in the order of packs and offsets: each of one pack, its records near each other."""
    begin = 0
    for at in range(1, len(rows) + 1):
        if at < len(rows):
            first, last, following = rows[begin].place, rows[at - 1].place, rows[at].place
            gap = following.offset - (last.offset + last.record_size)
            length = following.offset + following.record_size - first.offset
            if following.pack == first.pack and 0 <= gap <= GAP and length <= RANGE:
                continue
        yield rows[begin:at]
        begin = at
