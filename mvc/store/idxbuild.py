"""Making one idx from others, or from the records of several packs.

With numpy: a merge of a million records takes about half a second. (That of one new pack: idxwrite.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvc.hashing import digest
from mvc.store.idx import ENTRY, HEADER, MAGIC, PACK, VERSION, Idx, fan_bits
from mvc.store.idxwrite import write_parts
from mvc.store.records import NAME_SIZE, Location

Array = NDArray[Any]

_ENTRY = np.dtype(
    [
        ("offset", "<u8"),
        ("raw", "<u4"),
        ("stored", "<u4"),
        ("pack", "<u4"),
        ("base", "<u4"),
        ("codec", "u1"),
        ("depth", "u1"),
        ("nbases", "u1"),
        ("nparams", "u1"),
    ]
)


@dataclass(frozen=True, slots=True)
class Table:
    """Records in any order: names (n, 32) u1, entries (n) of the idx's entry type, bases (m, 32) u1.

    `packs` is the table that `entries["pack"]` counts in: id and size of the file.
    """

    packs: tuple[tuple[bytes, int], ...]
    names: Array
    entries: Array
    bases: Array


def from_records(packs: Sequence[tuple[bytes, int]], records: Iterable[tuple[bytes, Location]]) -> Table:
    """A table of records, each in one of `packs`."""
    number = {pack_id: at for at, (pack_id, _) in enumerate(packs)}
    names, entries, bases = bytearray(), bytearray(), bytearray()
    for name, place in records:
        names += name
        entries += ENTRY.pack(
            place.offset,
            place.raw_size,
            place.stored_size,
            number[place.pack],
            len(bases) // NAME_SIZE if place.bases else 0,
            place.codec,
            place.depth,
            len(place.bases),
            place.params_size,
        )
        bases += b"".join(place.bases)
    return Table(tuple(packs), _rows(names), np.frombuffer(entries, _ENTRY), _rows(bases))


def from_columns(packs: Sequence[tuple[bytes, int]], names: bytearray, entries: bytearray, bases: bytearray) -> Table:
    """A table of what stands in columns already: names and bases (32 bytes each), entries as in an idx."""
    return Table(tuple(packs), _rows(names), np.frombuffer(entries, _ENTRY), _rows(bases))


def nothing() -> tuple[Array, Array, Array]:
    """The columns of a table without records."""
    return _rows(b""), np.empty(0, _ENTRY), _rows(b"")


def dumped(table: Table) -> tuple[bytes, bytes]:
    """The bytes of the idx of a table that `merge` made, and its id (32 bytes)."""
    body = b"".join(_parts(table))
    identity = digest(body)
    return body + identity, identity


def from_idx(idx: Idx) -> Table:
    """The table of an idx, as views into it."""
    data, at = idx.data, idx.at
    return Table(
        tuple(idx.packs),
        np.frombuffer(data, np.uint8, NAME_SIZE * idx.records, at.names).reshape(-1, NAME_SIZE),
        np.frombuffer(data, _ENTRY, idx.records, at.entries),
        np.frombuffer(data, np.uint8, NAME_SIZE * idx.bases, at.bases).reshape(-1, NAME_SIZE),
    )


def merge(tables: Sequence[Table], *, without: Collection[bytes] = ()) -> Table:
    """All records of `tables`, in an idx's order, each once, but for those in the packs `without`."""
    sizes = {pack_id: size for table in tables for pack_id, size in table.packs if pack_id not in without}
    packs = tuple(sorted(sizes.items()))
    number = {pack_id: at for at, (pack_id, _) in enumerate(packs)}
    names: list[Array] = []
    entries: list[Array] = []
    first_base = 0
    for table in tables:
        renumber = np.array([number.get(pack_id, -1) for pack_id, _ in table.packs], dtype=np.int64)
        pack = renumber[table.entries["pack"]] if len(table.entries) else np.empty(0, np.int64)
        keep = pack >= 0
        kept = table.entries[keep]
        kept["pack"] = pack[keep]
        kept["base"] += np.uint32(first_base)
        first_base += len(table.bases)
        names.append(table.names[keep])
        entries.append(kept)
    bases = np.concatenate([table.bases for table in tables]) if tables else _rows(b"")
    return _ordered(
        packs,
        np.concatenate(names) if names else _rows(b""),
        np.concatenate(entries) if entries else np.empty(0, _ENTRY),
        bases,
    )


def write(table: Table, idx_dir: Path, tmp_dir: Path) -> Path | None:
    """Write a table that `merge` made as a durable idx; returns its path, or None if it is empty."""
    return write_parts(_parts(table), idx_dir, tmp_dir) if len(table.entries) else None


def _parts(table: Table) -> Iterable[bytes]:
    records = len(table.entries)
    bits = fan_bits(records)
    yield HEADER.pack(MAGIC, VERSION, bits, 0, len(table.packs), records, len(table.bases))
    yield b"".join(PACK.pack(pack_id, size) for pack_id, size in table.packs)
    bucket = _words(table.names)[0] >> np.uint64(64 - bits) if bits else np.zeros(records, np.uint64)
    counts = np.bincount(bucket.astype(np.int64), minlength=1 << bits)
    yield np.concatenate([[0], np.cumsum(counts)]).astype("<u4").tobytes()
    yield table.names.tobytes()
    yield table.entries.tobytes()
    yield table.bases.tobytes()


def _ordered(packs: tuple[tuple[bytes, int], ...], names: Array, entries: Array, bases: Array) -> Table:
    """Sort by name, then depth, pack and offset; drop what comes twice; gather the bases in that order."""
    words = _words(names)
    order = np.argsort(words[0], kind="stable")
    first = words[0][order]
    tied = np.zeros(len(order), bool)  # same first eight bytes: copies of a chunk, as good as always
    same = first[1:] == first[:-1]
    tied[1:] |= same
    tied[:-1] |= same
    part = order[tied]
    columns = (entries["offset"], entries["pack"], entries["depth"], *reversed(words))
    order[tied] = part[np.lexsort([column[part] for column in columns])]
    names, entries = names[order], entries[order]
    if len(entries) > 1:
        twice = (entries["offset"][1:] == entries["offset"][:-1]) & (entries["pack"][1:] == entries["pack"][:-1])
        twice &= (names[1:] == names[:-1]).all(axis=1)
        once = np.concatenate([[True], ~twice])
        names, entries = names[once], entries[once]
    return Table(packs, names, *_gather_bases(entries, bases))


def _gather_bases(entries: Array, bases: Array) -> tuple[Array, Array]:
    """Entries that point to bases which stand in the order of the entries; and those."""
    counts = entries["nbases"].astype(np.int64)
    starts = np.cumsum(counts) - counts
    wanted = np.repeat(entries["base"].astype(np.int64) - starts, counts) + np.arange(counts.sum())
    entries = entries.copy()
    entries["base"] = np.where(counts > 0, starts, 0)
    return entries, bases[wanted]


def _words(names: Array) -> list[Array]:
    """Names as four columns of numbers that sort as the names do."""
    columns = np.ascontiguousarray(names).view(">u8").astype(np.uint64)
    return [columns[:, i] for i in range(4)]


def _rows(data: bytes | bytearray) -> Array:
    return np.frombuffer(data, np.uint8).reshape(-1, NAME_SIZE)
