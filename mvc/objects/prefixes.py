"""Which objects seven digits name alone, for who abbreviates many ids (`log --oneline`)."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from mvc.objects import loose
from mvc.objects.packindex import PackIndex

DIGITS = 7
_EVERY = 64
_PAYS = 32
"""To look one id up takes at least as long as to list so many."""
_HEAD = struct.Struct(">I16x")


class Prefixes:
    """Learns, once it is asked for many, how all ids begin. Objects that come later are not seen."""

    def __init__(self) -> None:
        self._asked = 0
        self._known: set[bytes] | None = None
        self._shared: set[int] = set()
        """The first seven digits, as numbers, of which there is more than one object."""

    def alone(self, object_id: str, indexes: Iterable[PackIndex], folders: Sequence[Path]) -> bool:
        """Whether seven digits name this object alone among those listed; False also where that is not known."""
        if self._known is None:
            self._asked += 1
            if self._asked % _EVERY:
                return False
            indexes = list(indexes)
            if sum([index.count for index in indexes]) > _PAYS * self._asked:
                return False
            self._learn(indexes, folders)
        known = self._known or ()
        return bytes.fromhex(object_id) in known and int(object_id[:DIGITS], 16) not in self._shared

    def _learn(self, indexes: Iterable[PackIndex], folders: Iterable[Path]) -> None:
        every: set[bytes] = set()
        for index in indexes:
            every.update(index.all_ids())
        for folder in folders:
            every.update(map(bytes.fromhex, loose.ids(folder)))
        begin = [first >> 4 for (first,) in _HEAD.iter_unpack(b"".join(every))]
        self._shared = {first for first, count in Counter(begin).items() if count > 1}
        self._known = every
