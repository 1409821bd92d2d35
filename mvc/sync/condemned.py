"""What gc of a remote is about to remove, as it tells other writers: `gc/<nonce>` (docs/format/remote.md).

A name that stands on such a list is not used again: gc removes it without asking once more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mvc.backends.base import Backend
from mvc.errors import IntegrityError, NotFound
from mvc.sync import keys

MAX_LIST = 256 * 1024 * 1024
_HEAD = "mvc-gc 1"
_LINE = re.compile(r"(dead|gone) ([0-9]{1,19}) ([0-9]{1,12}) ([a-z0-9][a-z0-9./_-]{0,300})")


@dataclass(frozen=True, slots=True)
class Condemned:
    """A key that is to go (`gone`: went). `size` in bytes; `since`: when it was condemned (went), the store's clock."""

    key: str
    size: int
    since: int
    gone: bool = False


def dump(rows: Iterable[Condemned]) -> bytes:
    """The text of a list."""
    lines = [f"{'gone' if row.gone else 'dead'} {row.size} {row.since} {row.key}" for row in rows]
    return "\n".join([_HEAD, *sorted(lines), "end", ""]).encode()


def parse(text: bytes) -> list[Condemned]:
    """A list from its text. Raises IntegrityError."""
    head, *lines = text.decode("utf-8", "replace").split("\n")
    if head != _HEAD or lines[-2:] != ["end", ""]:
        raise IntegrityError("a list of what gc removes does not make sense", hint="upgrade mvc, or look who wrote it")
    rows: list[Condemned] = []
    for line in lines[:-2]:
        found = _LINE.fullmatch(line)
        if found is None:
            raise IntegrityError("a list of what gc removes has a line that makes no sense")
        rows.append(Condemned(found[4], int(found[2]), int(found[3]), found[1] == "gone"))
    return rows


def read_all(backend: Backend) -> dict[str, list[Condemned]]:
    """All lists that stand in a remote, by their keys. To be read after the reader's own lease is written."""
    while True:
        try:
            return {entry.key: parse(backend.get(entry.key, 0, MAX_LIST)) for entry in backend.list(keys.GC)}
        except NotFound:
            continue  # its gc has just ended, or another has taken it over: then that one's list stands there by now


def names(lists: Mapping[str, Iterable[Condemned]]) -> frozenset[str]:
    """The keys that must not be used again."""
    return frozenset(row.key for rows in lists.values() for row in rows)
