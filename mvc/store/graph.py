"""All records of a store as arrays: who rests on whom, and what must stay when packs go.

Rows are records, ordered by name and then depth, so that the copies of a chunk are neighbours;
groups are chunks. Everything is a pass over arrays: a million records take some seconds and
about 200 bytes each.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

import numpy as np

from mvc.store import idxbuild
from mvc.store.idx import Idx
from mvc.store.idxbuild import Array, Table
from mvc.store.records import HEAD_SIZE, NAME_SIZE, Location

NOWHERE = 255
"""As a depth: deeper than any record can be."""


class Row(NamedTuple):
    """A record: its number in the graph (-1 where no idx lists it), its name, where it lies."""

    number: int
    name: bytes
    place: Location


class Graph:
    """The records that some idx files list."""

    def __init__(self, idx: Sequence[Idx]) -> None:
        """The idx files must have been checked."""
        table: Table = idxbuild.merge([idxbuild.from_idx(one) for one in idx])
        self.packs = table.packs
        self.names, self._entries, self._bases = table.names, table.entries, table.bases
        self.pack: Array = table.entries["pack"].astype(np.int64)
        self.depth: Array = table.entries["depth"]
        self.size: Array = (
            HEAD_SIZE
            + NAME_SIZE * table.entries["nbases"].astype(np.int64)
            + table.entries["nparams"]
            + table.entries["stored"]
        )
        rows = len(self.names)
        first = np.ones(rows, bool)
        first[1:] = (self.names[1:] != self.names[:-1]).any(axis=1)
        self.group: Array = np.cumsum(first) - 1
        self.first_row: Array = np.flatnonzero(first)
        """Of each group: its record of the least depth."""
        self._by_pack = self.in_pack_order(np.arange(rows))
        self._pack_starts = np.searchsorted(self.pack[self._by_pack], np.arange(len(self.packs) + 1))
        counts = table.entries["nbases"].astype(np.int64)
        self._edge_row = np.repeat(np.arange(rows), counts)
        self._edge_group = self._groups_of(table.bases)
        alone = counts[self._edge_row] == 1
        least = np.append(self.depth[self.first_row], NOWHERE)
        alone &= least[self._edge_group] < self.depth[self._edge_row]
        order = np.argsort(self._edge_group[alone], kind="stable")
        self._children = self._edge_row[alone][order]
        self._child_starts = np.searchsorted(self._edge_group[alone][order], np.arange(self.groups + 1))

    @property
    def rows(self) -> int:
        return len(self.names)

    @property
    def groups(self) -> int:
        return len(self.first_row)

    def name(self, row: int) -> bytes:
        return bytes(self.names[row])

    def names_of(self, groups: Array) -> list[bytes]:
        """The names of some of the groups (a mask)."""
        return [bytes(name) for name in self.names[self.first_row[groups]]]

    def location(self, row: int) -> Location:
        entry = self._entries[row]
        first, count = int(entry["base"]), int(entry["nbases"])
        return Location(
            self.packs[int(entry["pack"])][0],
            int(entry["offset"]),
            int(entry["raw"]),
            int(entry["stored"]),
            int(entry["codec"]),
            int(entry["depth"]),
            int(entry["nparams"]),
            tuple(bytes(base) for base in self._bases[first : first + count]),
        )

    def in_pack_order(self, rows: Array) -> Array:
        """The rows by pack, then offset: the order in which to read them."""
        return rows[np.lexsort((self._entries["offset"][rows], self.pack[rows]))]

    def in_pack(self, number: int) -> list[Row]:
        """The records of a pack, by offset. `number` is its place in `packs`."""
        rows = self._by_pack[self._pack_starts[number] : self._pack_starts[number + 1]]
        return [Row(row, self.name(row), self.location(row)) for row in rows.tolist()]

    def leaning(self) -> Array:
        """Pairs of packs (n, 2), each once: a record of the first rests on a chunk that lies lowest in the second."""
        inside = self._edge_group < self.groups
        pairs = np.empty((int(inside.sum()), 2), np.int64)
        pairs[:, 0] = self.pack[self._edge_row[inside]]
        pairs[:, 1] = self.pack[self.first_row[self._edge_group[inside]]]
        return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)

    def names_in(self, number: int) -> list[bytes]:
        """The names of a pack's records, by offset. `number` is its place in `packs`."""
        rows = self._by_pack[self._pack_starts[number] : self._pack_starts[number + 1]]
        return [self.name(row) for row in rows.tolist()]

    def only_child_rows(self, row: int) -> list[int]:
        """The records that rest on this one alone, if it is its chunk's record of least depth.

        So each record that rests on just one chunk, which can be decoded, is such a child of one row.
        """
        group = int(self.group[row])
        if self.first_row[group] != row:
            return []
        children = self._children[self._child_starts[group] : self._child_starts[group + 1]]
        return [int(child) for child in children]

    def raw_bytes(self, rows: Array) -> int:
        return int(self._entries["raw"][rows].sum(dtype=np.int64))

    def stored_bytes(self, rows: Array) -> int:
        return int(self._entries["stored"][rows].sum(dtype=np.int64))

    def members(self, names: Container[bytes]) -> Array:
        """Of each group, whether its name is in `names`."""
        flat = self.names[self.first_row].tobytes()
        return np.fromiter(
            (flat[at : at + NAME_SIZE] in names for at in range(0, len(flat), NAME_SIZE)), bool, self.groups
        )

    def in_groups(self, rows: Array) -> Array:
        """Of each group, whether one of `rows` (a mask) is in it."""
        return np.bincount(self.group[rows], minlength=self.groups).astype(bool)

    def smallest_rows(self) -> Array:
        """Of each group: its smallest record, of equals that of the least depth."""
        order = np.lexsort((np.arange(self.rows), self.size, self.group))
        return order[self.first_row]

    def resting_rows(self, groups: Array) -> Array:
        """A mask of the rows that rest on one of `groups` (a mask)."""
        found = np.zeros(self.rows, bool)
        inside = self._edge_group < self.groups
        found[self._edge_row[inside][groups[self._edge_group[inside]]]] = True
        return found

    def unresolved(self) -> Array:
        """The rows with a base that is not there at a smaller depth."""
        least = self.least_depth(np.ones(self.rows, bool))
        return np.unique(self._edge_row[least[self._edge_group] >= self.depth[self._edge_row]])

    def close(self, chosen: Array, live: Array) -> tuple[Array, Array]:
        """Follow bases: which groups are needed for the `live` ones, and the row chosen for each.

        `chosen` is a row for each group; where it is too deep to be the base that it must be, the
        group's row of least depth takes its place. The arguments are not changed.
        """
        chosen, live = chosen.copy(), live.copy()
        edge_chosen = np.append(self.depth[chosen], NOWHERE)
        while True:
            used = live[self.group[self._edge_row]] & (chosen[self.group[self._edge_row]] == self._edge_row)
            used &= self._edge_group < self.groups
            targets = self._edge_group[used]
            deep = targets[edge_chosen[targets] >= self.depth[self._edge_row[used]]]
            deep = deep[chosen[deep] != self.first_row[deep]]
            if live[targets].all() and not len(deep):
                return chosen, live
            live[targets] = True
            chosen[deep] = self.first_row[deep]
            edge_chosen[deep] = self.depth[chosen[deep]]

    def complete(self, staying: Array, also: Array) -> Array:
        """A mask of the rows to keep beside the `staying` ones (a mask): `also`, and the bases they lack."""
        present = staying | also
        while True:
            least = self.least_depth(present)
            used = present[self._edge_row] & (self._edge_group < self.groups)
            targets = self._edge_group[used]
            lacking = targets[least[targets] >= self.depth[self._edge_row[used]]]
            rows = self.first_row[lacking]
            rows = rows[~present[rows]]
            if not len(rows):
                return present & ~staying
            present[rows] = True

    def least_depth(self, present: Array) -> Array:
        """Of each group (and of none, at the end): the least depth among the rows present."""
        least = np.full(self.groups + 1, NOWHERE, np.uint8)
        np.minimum.at(least, self.group[present], self.depth[present])
        return least

    def _groups_of(self, names: Array) -> Array:
        """The groups of names; `self.groups` for one that is not there."""
        if not len(names) or not self.groups:
            return np.full(len(names), self.groups, np.int64)
        # As strings of 32 bytes: numpy compares those as memcmp does, but for zeros at the end, which all have alike.
        known = np.ascontiguousarray(self.names[self.first_row]).view(f"S{NAME_SIZE}").ravel()
        wanted = np.ascontiguousarray(names).view(f"S{NAME_SIZE}").ravel()
        at = np.searchsorted(known, wanted)
        at[at == len(known)] = 0
        return np.where(known[at] == wanted, at, self.groups)
