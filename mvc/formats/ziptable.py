"""The directory of a zip archive, read without trusting it.

Source: APPNOTE.TXT 6.3.10 (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT), sections
4.3.7, 4.3.12 to 4.3.16 and 4.5.3. The standard library's `zipfile` is not used: it decompresses,
holds the directory several times over, and takes a file rather than a function that reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from mvc.errors import ParseError
from mvc.formats.base import ReadAt
from mvc.formats.cursor import read_exactly
from mvc.formats.limits import MAX_ENTRIES, MAX_HEADER, Budget

MAGIC = b"PK\x03\x04"

_LOCAL = Struct("<4sHHHHHIIIHH")
_CENTRAL = Struct("<4sHHHHHHIIIHHHHHII")
_END = Struct("<4sHHHHIIH")
_LOCATOR_SIZE = 20
_END64 = Struct("<4sQHHIIQQQQ")
_EXTRA = Struct("<HH")
_U64 = Struct("<Q")

_MAX_COMMENT = 65_535
_ENCRYPTED, _UTF8 = 0x1, 0x800
_UNKNOWN = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive. `header` is where its local header lies, counted from the start of the outer file.

    `plain`: its bytes stand there as they are, neither compressed nor encrypted.
    """

    name: str
    raw_name: bytes
    header: int
    size: int
    plain: bool


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that lies in the bytes `start` to `end` of a file; `directory` is where its central directory does."""

    start: int
    directory: int
    end: int
    entries: dict[str, Entry]


def read_archive(read_at: ReadAt, end: int, budget: Budget | None = None) -> Archive:
    """The archive that ends at byte `end` of a file. Bytes before it are allowed; where it starts follows from its end.

    Raises ParseError for anything that does not hold together: sizes, offsets, names that repeat.
    """
    budget = budget or Budget(MAX_ENTRIES, "zip entries")
    position, count, size, offset = _find_end(read_at, end)
    start = position - size - offset
    if start < 0 or size > MAX_HEADER:
        raise ParseError(f"zip: a directory of {size} bytes at {offset}, in {end} bytes")
    budget.spend(count)
    directory = read_exactly(read_at, position - size, size, "zip")
    entries: dict[str, Entry] = {}
    at = 0
    for _ in range(count):
        entry, at = _entry(directory, at, start)
        if entry.name in entries:
            raise ParseError(f"zip: two entries are named {entry.name[:80]!r}")
        entries[entry.name] = entry
    return Archive(start, position - size, end, entries)


def locate(read_at: ReadAt, archive: Archive, entry: Entry) -> int:
    """Where the bytes of `entry` begin in the outer file. Raises ParseError when its local header disagrees."""
    if entry.header + _LOCAL.size + len(entry.raw_name) > archive.directory:
        raise ParseError(f"zip: {entry.name[:80]!r} is said to lie at byte {entry.header}")
    head = read_exactly(read_at, entry.header, _LOCAL.size + len(entry.raw_name), "zip")
    fields = _LOCAL.unpack_from(head)
    if fields[0] != MAGIC or head[_LOCAL.size :] != entry.raw_name or fields[9] != len(entry.raw_name):
        raise ParseError(f"zip: no local header for {entry.name[:80]!r}")
    start: int = entry.header + len(head) + fields[10]
    if start + entry.size > archive.directory:
        raise ParseError(f"zip: {entry.name[:80]!r} is said to take {entry.size} bytes")
    return start


def read_entry(read_at: ReadAt, archive: Archive, entry: Entry, limit: int = MAX_HEADER) -> bytes:
    """The bytes of an entry that is `plain` and takes `limit` bytes at the most."""
    if not entry.plain or entry.size > limit:
        raise ParseError(f"zip: {entry.name[:80]!r} is compressed, or takes {entry.size} bytes")
    return read_exactly(read_at, locate(read_at, archive, entry), entry.size, "zip")


def _find_end(read_at: ReadAt, end: int) -> tuple[int, int, int, int]:
    """(end of the directory, entries, size of the directory, its offset from the archive's start)."""
    tail = read_at(max(0, end - 128), min(128, end))
    at = len(tail) - _END.size
    if at < 0 or tail[at : at + 4] != b"PK\x05\x06" or tail[at + 20 :] != b"\0\0":
        tail = read_at(max(0, end - _MAX_COMMENT - 128), min(_MAX_COMMENT + 128, end))
        at = _find_commented(tail)
    _, disk, first_disk, here, count, size, offset, _ = _END.unpack_from(tail, at)
    position = end - len(tail) + at
    before = at - _LOCATOR_SIZE - _END64.size
    if before >= 0 and tail[before : before + 4] == b"PK\x06\x06" and tail[at - _LOCATOR_SIZE :][:4] == b"PK\x06\x07":
        _, _, _, _, disk, first_disk, here, count, size, offset = _END64.unpack_from(tail, before)
        position -= _LOCATOR_SIZE + _END64.size
    if disk or first_disk or here != count:
        raise ParseError("zip: an archive in several parts")
    return position, count, size, offset


def _find_commented(tail: bytes) -> int:
    """Where in `tail` the end record stands if a comment follows it."""
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + _END.size <= len(tail) and at + _END.size + int.from_bytes(tail[at + 20 : at + 22], "little") == len(
            tail
        ):
            return at
        at = tail.rfind(b"PK\x05\x06", 0, at)
    raise ParseError("zip: no end of a directory")


def _entry(directory: bytes, at: int, start: int) -> tuple[Entry, int]:
    """The entry at `at` of the directory, and where the next one begins."""
    if at + _CENTRAL.size > len(directory):
        raise ParseError("zip: the directory is too short")
    fields = _CENTRAL.unpack_from(directory, at)
    magic, flags, method, packed, size = fields[0], fields[3], fields[4], fields[8], fields[9]
    name_at = at + _CENTRAL.size
    extra_at = name_at + fields[10]
    comment_at = extra_at + fields[11]
    after = comment_at + fields[12]
    if magic != b"PK\x01\x02" or after > len(directory):
        raise ParseError("zip: the directory is broken")
    raw_name = directory[name_at:extra_at]
    size, packed, header = _wide(directory[extra_at:comment_at], (size, packed, fields[16]))
    plain = method == 0 and not flags & _ENCRYPTED and size == packed
    return Entry(_decode(raw_name, flags), raw_name, start + header, packed, plain), after


def _wide(extra: bytes, values: tuple[int, int, int]) -> list[int]:
    """The values, those that did not fit into 32 bits from the zip64 extra field."""
    if _UNKNOWN not in values:
        return list(values)
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        at += _EXTRA.size
        if kind == 1:
            wide = [
                _U64.unpack_from(extra, at + step)[0] for step in range(0, min(length, len(extra) - at) // 8 * 8, 8)
            ]
            wide.reverse()
            return [wide.pop() if value == _UNKNOWN and wide else value for value in values]
        at += length
    return list(values)


def _decode(raw_name: bytes, flags: int) -> str:
    if not flags & _UTF8:
        return raw_name.decode("cp437")
    try:
        return raw_name.decode()
    except UnicodeDecodeError as error:
        raise ParseError("zip: an entry's name is not UTF-8") from error
