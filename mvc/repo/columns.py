"""The stage as bytes: its file format, as columns. Pure; specified in docs/format/stage.md.

Each column is checked (CRC-32) when it is first used, so that a clean `status` of 100,000 files
touches two of them and makes no object per file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

from mvc.errors import IntegrityError, UnsupportedFormat
from mvc.objects.model import EXEC, FILE, LINK
from mvc.repo.pathbytes import decode, encode

MAGIC = b"mvcstage"
VERSION = 1
HEADER = struct.Struct("<8s HH I 20s 6I 6Q")
"""magic, version, flags, rows, tree, CRC-32 of each column, length of each column."""
_CRC = struct.Struct("<I")
STAT = struct.Struct("<qqQQ")
"""mtime_ns, ctime_ns, inode, size; the first three zero where the stat is not known."""
_CONFLICT = struct.Struct("<BB20sQ32sI")
"""number, kind, id, size, digest or zeros, length of the path (it follows)."""

_CHUNKED_ROW = struct.Struct("<32sQ")
"""digest, stored: in the column of chunked files."""

STATS, PATHS, KINDS, IDS, CHUNKED, CONFLICTS = range(6)
_NAMES = ("stats", "paths", "kinds", "ids", "chunked", "conflicts")
_MODES = (FILE, EXEC, LINK)
_NUMBERS = {mode: number for number, mode in enumerate(_MODES)}
_IS_CHUNKED = 4
"""Bit of a kind: the blob is a manifest, the file's BLAKE3 stands in the column of chunked files."""
_KINDS = bytes(mode | chunked for mode in range(3) for chunked in (0, _IS_CHUNKED))
"""All kinds that there are."""
NO_TREE = bytes(20)
UNKNOWN = (0, 0, 0)


class Stat(NamedTuple):
    """How a worktree file looked when its content was known: nanoseconds, nanoseconds, number, bytes."""

    mtime_ns: int
    ctime_ns: int
    inode: int
    size: int


class StageEntry(NamedTuple):
    """A file of the next commit. `path` is "/"-separated, UTF-8 with surrogateescape."""

    path: str
    mode: int
    """0o100644, 0o100755 or 0o120000 (mvc.objects.model's FILE, EXEC, LINK)."""
    id: str
    """Git blob: the file itself, or its manifest."""
    size: int
    """Bytes of the file (of a link: of its target), not of the blob."""
    blake3: bytes | None = None
    """BLAKE3 of the file where the blob is a manifest; None where the blob is the file."""
    stat: Stat | None = None
    """The worktree's file when it last was equal to this entry. None: not known, look at the content."""
    conflict: int = 0
    """0; in an unfinished merge 1 base, 2 ours, 3 theirs."""
    stored: int = 0
    """Bytes that the store grew by when the file was chunked for this entry; 0 where the blob is the file."""


class Columns:
    """A stage, whole and unchanging. Row i of each column belongs to path i; paths are ordered by bytes."""

    __slots__ = ("_columns", "_crcs", "_paths", "_ranks", "rows", "tree")

    def __init__(self, rows: int, tree: str | None, columns: list[bytes], crcs: list[int] | None = None) -> None:
        self.rows = rows
        self.tree = tree
        self._columns = columns
        self._crcs: list[int | None] = list(crcs) if crcs else [None] * len(columns)
        """What a column must hash to; None once it was found so."""
        self._paths: list[str] | None = None
        self._ranks: dict[int, int] | None = None

    def column(self, number: int) -> bytes:
        """A column's bytes; raises IntegrityError if they are damaged."""
        data = self._columns[number]
        expected = self._crcs[number]
        if expected is not None:
            if crc32(data) != expected or (number == KINDS and data.translate(None, _KINDS)):
                raise _damaged(_NAMES[number])
            self._crcs[number] = None
        return data

    def paths(self) -> list[str]:
        """All paths. The list is shared: do not change it."""
        if self._paths is None:
            blob = self.column(PATHS)
            self._paths = decode(blob).split("\0") if blob else []
            if len(self._paths) != self.rows:
                raise _damaged("number of paths")
        return self._paths

    def stats(self) -> Iterator[tuple[int, int, int, int]]:
        """The fields of each row's Stat, in order."""
        return STAT.iter_unpack(self.column(STATS))

    def ids(self) -> Iterator[str]:
        """The blob of each row, in order."""
        text = self.column(IDS).hex()
        return (text[at : at + 40] for at in range(0, len(text), 40))

    def modes(self) -> Iterator[int]:
        """The mode of each row, in order."""
        return (_MODES[kind & 3] for kind in self.column(KINDS))

    def chunked(self, row: int) -> tuple[bytes | None, int]:
        """(BLAKE3, stored bytes) of a chunked file, (None, 0) for any other."""
        if self._ranks is None:
            rows = (i for i, kind in enumerate(self.column(KINDS)) if kind & _IS_CHUNKED)
            self._ranks = {row: rank for rank, row in enumerate(rows)}
            if len(self.column(CHUNKED)) != _CHUNKED_ROW.size * len(self._ranks):
                raise _damaged("number of chunked files")
        rank = self._ranks.get(row)
        if rank is None:
            return None, 0
        digest, stored = _CHUNKED_ROW.unpack_from(self.column(CHUNKED), _CHUNKED_ROW.size * rank)
        return digest, stored

    def entry(self, row: int) -> StageEntry:
        """A row as a value."""
        mode = _MODES[self.column(KINDS)[row] & 3]
        blob_id = self.column(IDS)[20 * row : 20 * row + 20].hex()
        return self._entry(row, mode, blob_id, STAT.unpack_from(self.column(STATS), STAT.size * row))

    def item(self, row: int) -> tuple[int, str]:
        """(mode, id) of a row."""
        return _MODES[self.column(KINDS)[row] & 3], self.column(IDS)[20 * row : 20 * row + 20].hex()

    def entries(self) -> Iterator[StageEntry]:
        """Each row as a value, in order."""
        rows = zip(self.modes(), self.ids(), self.stats(), strict=True)
        return (self._entry(row, mode, blob_id, stat) for row, (mode, blob_id, stat) in enumerate(rows))

    def _entry(self, row: int, mode: int, blob_id: str, stat: tuple[int, ...]) -> StageEntry:
        known = None if stat[:3] == UNKNOWN else Stat._make(stat)
        digest, stored = self.chunked(row)
        return StageEntry(self.paths()[row], mode, blob_id, stat[3], digest, known, 0, stored)

    def sizes(self, row: int) -> tuple[int, int]:
        """(bytes of the file, bytes that it took to store): a plain blob takes what it holds."""
        size: int = STAT.unpack_from(self.column(STATS), STAT.size * row)[3]
        return size, self.chunked(row)[1] if self.column(KINDS)[row] & _IS_CHUNKED else size

    def same_items(self, other: Columns) -> bool:
        """Do both hold the same paths, modes and blobs, and the same conflicts?"""
        return all(self.column(number) == other.column(number) for number in (PATHS, KINDS, IDS, CONFLICTS))

    def with_tree(self, tree: str | None) -> Columns:
        """The same rows, known to equal another tree."""
        made = Columns(self.rows, tree, [self.column(number) for number in range(6)])
        made._paths, made._ranks = self._paths, self._ranks
        return made

    def conflicts(self) -> list[StageEntry]:
        """The versions of paths in conflict, ordered by path and number."""
        data = self.column(CONFLICTS)
        found: list[StageEntry] = []
        at = 0
        while at < len(data):
            if at + _CONFLICT.size > len(data):
                raise _damaged("conflicts")
            number, kind, raw_id, size, digest, length = _CONFLICT.unpack_from(data, at)
            at += _CONFLICT.size
            if not 1 <= number <= 3 or kind not in _KINDS or at + length > len(data):
                raise _damaged("conflicts")
            blake3 = digest if kind & _IS_CHUNKED else None
            path = decode(data[at : at + length])
            found.append(StageEntry(path, _MODES[kind & 3], raw_id.hex(), size, blake3, None, number))
            at += length
        return found

    def dump(self) -> bytes:
        """The bytes of the file."""
        columns = [self.column(number) for number in range(6)]
        tree = bytes.fromhex(self.tree) if self.tree else NO_TREE
        head = HEADER.pack(MAGIC, VERSION, 0, self.rows, tree, *map(crc32, columns), *map(len, columns))
        return b"".join([head, _CRC.pack(crc32(head)), *columns])


EMPTY = Columns(0, None, [b""] * 6)


def parse(data: bytes) -> Columns:
    """The stage that a file's bytes hold. Raises IntegrityError, UnsupportedFormat."""
    start = HEADER.size + _CRC.size
    if data[:8] != MAGIC or len(data) < start:
        raise _damaged("header")
    _, version, flags, rows, raw_tree, *numbers = HEADER.unpack_from(data)
    if version != VERSION or flags:
        raise UnsupportedFormat(f"the stage has version {version}, written by a newer mvc", hint="upgrade mvc")
    if _CRC.unpack_from(data, HEADER.size)[0] != crc32(data[: HEADER.size]):
        raise _damaged("header")
    crcs, lengths = numbers[:6], numbers[6:]
    fits = lengths[STATS] == STAT.size * rows and lengths[KINDS] == rows and lengths[IDS] == 20 * rows
    if not fits or start + sum(lengths) != len(data):
        raise _damaged("lengths")
    columns: list[bytes] = []
    for length in lengths:
        columns.append(data[start : start + length])
        start += length
    return Columns(rows, None if raw_tree == NO_TREE else raw_tree.hex(), columns, crcs)


class Builder:
    """Columns row by row, in the order of the paths' bytes; rows of older Columns are copied as they are."""

    def __init__(self, base: Columns) -> None:
        self._base = base
        self._stats: list[bytes] = []
        self._paths: list[str] = []
        self._kinds = bytearray()
        self._ids: list[bytes] = []
        self._chunked: list[bytes] = []
        self._old = tuple(base.column(number) for number in (STATS, KINDS, IDS))

    def copy(self, path: str, row: int, stat: bytes | None) -> None:
        """A row of the base, with another stat if given."""
        stats, kinds, ids = self._old
        self._paths.append(path)
        self._stats.append(stats[32 * row : 32 * row + 32] if stat is None else stat)
        self._kinds.append(kinds[row])
        self._ids.append(ids[20 * row : 20 * row + 20])
        if kinds[row] & _IS_CHUNKED:
            self._chunked.append(_CHUNKED_ROW.pack(*self._base.chunked(row)))

    def add(self, entry: StageEntry, stat: bytes) -> None:
        """A new row."""
        self._paths.append(entry.path)
        self._stats.append(stat)
        self._kinds.append(_kind(entry))
        self._ids.append(bytes.fromhex(entry.id))
        if entry.blake3 is not None:
            self._chunked.append(_CHUNKED_ROW.pack(entry.blake3, entry.stored))

    def finish(self, tree: str | None, conflicts: Iterable[StageEntry]) -> Columns:
        """The whole."""
        columns = [
            b"".join(self._stats),
            encode("\0".join(self._paths)),
            bytes(self._kinds),
            b"".join(self._ids),
            b"".join(self._chunked),
            b"".join(map(_conflict, conflicts)),
        ]
        return Columns(len(self._paths), tree, columns)


def _damaged(where: str) -> IntegrityError:
    return IntegrityError(f"the stage is damaged ({where})", hint="mvc reset")


def _kind(entry: StageEntry) -> int:
    return _NUMBERS[entry.mode] | (_IS_CHUNKED if entry.blake3 is not None else 0)


def _conflict(entry: StageEntry) -> bytes:
    path = encode(entry.path)
    digest = entry.blake3 or bytes(32)
    return _CONFLICT.pack(entry.conflict, _kind(entry), bytes.fromhex(entry.id), entry.size, digest, len(path)) + path
