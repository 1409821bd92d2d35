"""Packs: files of records, written once and named by what is in them. See docs/format/pack.md.

    header (16) | record | record | ... | trailer (48)

The id is the BLAKE3 of every record's head, bases and params (the payload counts through the
checksum in the head), then the header: a Merkle name that costs next to nothing to compute.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from mvc import fsio
from mvc.errors import IntegrityError, UnsupportedFormat
from mvc.settings import ChunkNaming
from mvc.store.records import MAX_LEAD, Buffer, RecordHeader, parse_lead
from mvc.writeback import start_writeback

MAGIC = b"mvcpack\0"
END_MAGIC = b"mvcpend\0"
VERSION = 1
_HEADER = struct.Struct("<8sHBBI")
"""magic, version, cipher (0: none), naming (0: plain BLAKE3, 1: keyed), salt."""
_TRAILER = struct.Struct("<Q32s8s")
"""count of records, id, magic."""
HEADER_SIZE = _HEADER.size
TRAILER_SIZE = _TRAILER.size

_WRITEBACK = 8 * 1024 * 1024
"""Bytes after which the kernel is told to begin writing. Measured: the fsync at the end then waits for nothing."""


@dataclass(frozen=True, slots=True)
class PackHeader:
    version: int
    cipher: int
    naming: int
    salt: int

    def dump(self) -> bytes:
        return _HEADER.pack(MAGIC, self.version, self.cipher, self.naming, self.salt)


def naming_id(naming: ChunkNaming) -> int:
    """How the header of a pack says how its chunks are named."""
    return 0 if naming.key is None else 1


def parse_header(data: Buffer) -> PackHeader:
    """Raises IntegrityError if it is no pack, UnsupportedFormat if it is one of a newer mvc."""
    if len(data) < HEADER_SIZE:
        raise IntegrityError("the pack is cut short")
    magic, version, cipher, naming, salt = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise IntegrityError("it does not begin as a pack does")
    if version != VERSION or cipher != 0 or naming > 1:
        raise UnsupportedFormat(
            f"a pack of version {version}, cipher {cipher}, naming {naming}: this mvc does not know it"
        )
    return PackHeader(version, cipher, naming, salt)


def parse_trailer(data: Buffer) -> tuple[int, bytes]:
    """Count of records and id."""
    if len(data) != TRAILER_SIZE:
        raise IntegrityError("the pack is cut short")
    count, pack_id, magic = _TRAILER.unpack(data)
    if magic != END_MAGIC:
        raise IntegrityError("it does not end as a pack does")
    return count, pack_id


def dump_trailer(count: int, pack_id: bytes) -> bytes:
    """The end of a pack of so many records."""
    return _TRAILER.pack(count, pack_id, END_MAGIC)


class PackId:
    """Computes a pack's id from its records, in their order."""

    def __init__(self) -> None:
        self._hash = blake3()

    def add(self, lead: Buffer) -> None:
        """The head, bases and params of the next record."""
        self._hash.update(lead)

    def digest(self, header: PackHeader) -> bytes:
        return self._hash.copy().update(header.dump()).digest()


def pack_path(packs_dir: Path, pack_id: bytes) -> Path:
    name = pack_id.hex()
    return packs_dir / name[:2] / f"{name}.pack"


def pack_id_of(path: Path) -> bytes | None:
    """The id that a file's name gives, or None if it is no pack's name."""
    try:
        pack_id = bytes.fromhex(path.stem)
    except ValueError:
        return None
    return pack_id if path.suffix == ".pack" and len(pack_id) == 32 and path.stem == pack_id.hex() else None


def list_packs(packs_dir: Path) -> dict[bytes, Path]:
    """All files that stand where packs stand, and are named as packs are."""
    found: dict[bytes, Path] = {}
    try:
        folders = sorted(packs_dir.iterdir())
    except FileNotFoundError:
        return found
    for folder in folders:
        if len(folder.name) == 2 and folder.is_dir():
            for path in folder.iterdir():
                pack_id = pack_id_of(path)
                if pack_id is not None and folder.name == path.name[:2]:
                    found[pack_id] = path
    return found


class PackBuilder:
    """A pack that is being written in `tmp_dir`. Not thread-safe: the writer holds a lock."""

    def __init__(self, tmp_dir: Path, naming: ChunkNaming, *, salt: int = 0, lasting: bool = True) -> None:
        """`lasting`: it is to be committed. One that is only sent, and then discarded, need never reach the disk."""
        self._out = fsio.DurableFile(tmp_dir)
        self._lasting = lasting
        self._header = PackHeader(VERSION, 0, naming_id(naming), salt)
        self._id = PackId()
        self._told = 0
        self.count = 0
        try:
            self._out.write(self._header.dump())
        except BaseException:
            self._out.discard()
            raise

    @property
    def size(self) -> int:
        return self._out.size

    @property
    def path(self) -> Path:
        """Where it lies until it is committed or discarded."""
        return self._out.path

    def append(self, lead: Buffer, payload: Sequence[Buffer]) -> int:
        """Append a record; returns its offset."""
        offset = self._out.size
        self._out.write_all((lead, *payload))
        self._added((lead,))
        return offset

    def append_whole(self, records: Sequence[Buffer], leads: Sequence[Buffer]) -> int:
        """Append whole records, which begin with their leads, without gap; returns the offset of the first."""
        offset = self._out.size
        self._out.write_all(records)
        self._added(leads)
        return offset

    def _added(self, leads: Sequence[Buffer]) -> None:
        for lead in leads:
            self._id.add(lead)
        self.count += len(leads)
        if self._out.size - self._told >= _WRITEBACK:
            self._start_writing()

    def _start_writing(self) -> None:
        if self._lasting:
            start_writeback(self._out.fileno(), self._told, self._out.size - self._told)
        self._told = self._out.size

    def read(self, offset: int, length: int) -> bytes:
        """Bytes that were appended already."""
        data = os.pread(self._out.fileno(), length, offset)
        if len(data) != length:
            raise IntegrityError(f"{self._out.path} ends before {offset + length}")
        return data

    def finish(self) -> bytes:
        """Write the trailer; returns the id."""
        pack_id = self._id.digest(self._header)
        self._out.write(dump_trailer(self.count, pack_id))
        self._start_writing()
        return pack_id

    def salt(self) -> bytes:
        """Give the finished pack another id, with the same records; returns it."""
        header = self._header
        self._header = PackHeader(header.version, header.cipher, header.naming, header.salt + 1)
        pack_id = self._id.digest(self._header)
        fsio.step("write", self._out.path)
        os.pwrite(self._out.fileno(), self._header.dump(), 0)
        os.pwrite(self._out.fileno(), dump_trailer(self.count, pack_id), self._out.size - TRAILER_SIZE)
        return pack_id

    def commit(self, target: Path) -> None:
        """Make the finished pack durable under its name."""
        fsio.make_dirs(target.parent)
        self._out.commit(target)

    def discard(self) -> None:
        self._out.discard()


class PackFile:
    """A pack open for reading. It is closed when nothing refers to it any more.

    So a thread may still read from one that another thread has put out of a cache.
    """

    __slots__ = ("_file", "path")

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError; IntegrityError for a pipe, a folder, whatever is no file."""
        self.path = path
        self._file = fsio.RandomFile(path)
        if not stat.S_ISREG(self._file.stat().st_mode):
            raise IntegrityError("it is no regular file")

    def __del__(self) -> None:
        if hasattr(self, "_file"):  # else the file could not be opened
            self._file.close()

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes; raises IntegrityError where the pack ends before."""
        return self._file.read_exact(offset, length)

    def read_into(self, offset: int, out: memoryview) -> int:
        """Fill `out`, as far as the file goes; returns how many bytes that was."""
        return self._file.read_into(offset, out)

    def read_some(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes, fewer only at the end of the file."""
        return self._file.read_at(offset, length)

    def stat(self) -> os.stat_result:
        return self._file.stat()

    def fileno(self) -> int:
        return self._file.fileno()


def walk(pack: PackFile, pack_id: bytes) -> Iterator[tuple[int, RecordHeader]]:
    """Each record's offset and header, without its payload, as the pack itself tells them.

    When the last has been given, the count and the id are checked: only then all that came
    can be trusted. Raises IntegrityError.
    """
    header = parse_header(pack.read_some(0, HEADER_SIZE))
    identity = PackId()
    offset, count, end = HEADER_SIZE, 0, pack.stat().st_size - TRAILER_SIZE
    while offset < end:
        data = pack.read_some(offset, min(MAX_LEAD, end - offset))
        record = parse_lead(data)
        identity.add(memoryview(data)[: record.lead_size])
        if offset + record.record_size > end:
            raise IntegrityError(f"the record at {offset} is cut short")
        yield offset, record
        offset += record.record_size
        count += 1
    found = identity.digest(header)
    if found != pack_id or parse_trailer(pack.read_some(offset, TRAILER_SIZE + 1)) != (count, found):
        raise IntegrityError("its records are not those that its id stands for")
