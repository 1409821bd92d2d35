"""Which commits the refs hold: for each branch a set of commits' numbers, for tags, aliases and runs one each.

A set is an integer, bit `no` for the commit of that number; in the file compressed, which makes a long history some
bytes. Parents have lower numbers than their children.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from mvc.objects.refnames import ALIASES

_FEW = 2000
"""So many commits are looked up one by one, before all are read."""


class Ref(NamedTuple):
    """A ref that search looks at. `field` and `short` are what a query calls it; `scope` is the set that it belongs
    to.
    """

    field: str
    short: str
    scope: str


def ref_of(name: str) -> Ref | None:
    """What a ref is to a query; None for one that says nothing of models (notes, stash, what mvc keeps for itself)."""
    for prefix, field, scope in _KINDS:
        if name.startswith(prefix):
            short = name.removeprefix(prefix)
            if field == "run":
                short = short.rpartition("/")[0] or short
            if prefix == "refs/remotes/" and short.endswith("/HEAD"):
                return None
            return Ref(field, short, scope or name)
    return Ref("head", "HEAD", "head") if name == "HEAD" else None


_KINDS = (
    ("refs/heads/", "branch", ""),
    ("refs/remotes/", "branch", ""),
    ("refs/tags/", "tag", "tags"),
    (ALIASES, "alias", "aliases"),
    ("refs/runs/", "run", "runs"),
)


def packed(bits: int) -> bytes:
    """A set as it is kept."""
    return zlib.compress(bits.to_bytes((bits.bit_length() + 7) // 8, "little"), 1)


def unpacked(data: bytes) -> int:
    """A set that was kept. Raises as `inflated`."""
    return int.from_bytes(inflated(data), "little")


def inflated(data: bytes) -> bytes:
    """A set that was kept, as bytes: bit `no % 8` of byte `no // 8`. Raises sqlite3.DatabaseError for bytes that are
    none: the catalogue is damaged.
    """
    try:
        return zlib.decompress(data)
    except zlib.error as error:
        raise sqlite3.DatabaseError("a set of commits is damaged") from error


def marks(bits: int) -> bytes:
    """The set as a byte for each number: b"1" or b"0". What SQL asks: substr(marks, no + 1, 1) = x'31'."""
    return format(bits, "b")[::-1].encode()


def numbers(bits: int) -> list[int]:
    """The numbers in a set, ascending."""
    found, at = [], -1
    text = marks(bits)
    while (at := text.find(b"1", at + 1)) >= 0:
        found.append(at)
    return found


class Parents:
    """The parents of commits by number, from the catalogue."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[int, tuple[int, ...]] = {}
        self._whole = False

    def __getitem__(self, no: int) -> tuple[int, ...]:
        found = self._known.get(no)
        if found is None and not self._whole:
            if len(self._known) > _FEW:
                rows = self._db.execute("SELECT no, parent, more FROM entry")
                self._known = {number: _parents(parent, more) for number, parent, more in rows}
                self._whole = True
                return self[no]
            row = self._db.execute("SELECT parent, more FROM entry WHERE no = ?", (no,)).fetchone()
            found = self._known[no] = _parents(*row) if row is not None else ()
        return found or ()


def _parents(parent: int | None, more: str | None) -> tuple[int, ...]:
    if parent is None:
        return ()
    return (parent,) if more is None else (parent, *map(int, more.split()))


def moved(parents: Parents, bits: int, old: Iterable[int], new: Iterable[int]) -> int:
    """The set of all that the tips `new` reach, given the set that the tips `old` reached."""
    before, after = set(old), set(new)
    fresh, met = _walk(parents, after - before, bits)
    if before - after <= met:  # each tip that went is a parent of what came: so nothing was lost
        return bits | fresh
    return _walk(parents, after, 0)[0]


def _walk(parents: Parents, tips: Iterable[int], known: int) -> tuple[int, set[int]]:
    """All that `tips` reach up to the set `known`, and at which of its members the walk ended."""
    stack = list(tips)
    most = max([known.bit_length(), *(no + 1 for no in stack)])
    seen = bytearray(marks(known).ljust(most, b"0"))
    fresh = bytearray(b"0" * most)
    met = set()
    while stack:
        no = stack.pop()
        if seen[no] == 0x31:
            if fresh[no] == 0x30:
                met.add(no)
            continue
        seen[no] = fresh[no] = 0x31
        stack += parents[no]
    return int(fresh[::-1], 2) if fresh else 0, met
