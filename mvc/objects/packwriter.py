"""Writing a Git pack as a stream, durably. No deltas: `git gc` may make them later."""

from __future__ import annotations

import os
import struct
import threading
import zlib
from hashlib import sha1
from pathlib import Path

from mvc import fsio
from mvc.objects.model import Kind
from mvc.objects.packentry import KIND_OF, OFS_DELTA, TYPES, deflate, encode_head, encode_offset, read_entry
from mvc.objects.packindex import Row, dump_index
from mvc.objects.packset import KEEP_MARK

_BUFFER = 1024 * 1024


class PackWriter:
    """A pack under way, in a temporary file. Thread-safe."""

    def __init__(self, pack_dir: Path, tmp_dir: Path) -> None:
        self._pack_dir = pack_dir
        self._tmp_dir = tmp_dir
        self._file = fsio.DurableFile(tmp_dir, mode=0o444)
        self._buffer = bytearray(b"PACK" + struct.pack(">II", 2, 0))
        self._offset = len(self._buffer)
        self._places: dict[bytes, int] = {}
        self._rows: list[Row] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, raw_id: bytes) -> bool:
        return raw_id in self._places

    @property
    def size(self) -> int:
        """Bytes of the pack so far."""
        return self._offset

    def place(self, raw_id: bytes) -> int | None:
        """Where an object is in the new pack."""
        return self._places.get(raw_id)

    def add(self, raw_id: bytes, kind: Kind, data: bytes) -> None:
        """Add an object, unless it is there already."""
        self.add_entry(raw_id, encode_head(TYPES[kind], len(data)) + deflate(data))

    def add_entry(self, raw_id: bytes, entry: bytes) -> None:
        """Add an object as header and compressed bytes (no delta), unless it is there already."""
        crc = zlib.crc32(entry)
        with self._lock:
            if raw_id not in self._places:
                self._append(raw_id, entry, crc)

    def add_delta(self, raw_id: bytes, size: int, base: bytes, compressed: bytes) -> None:
        """Add a delta of `size` bytes against `base`, which is in this pack already."""
        with self._lock:
            if raw_id not in self._places:
                distance = encode_offset(self._offset - self._places[base])
                entry = encode_head(OFS_DELTA, size) + distance + compressed
                self._append(raw_id, entry, zlib.crc32(entry))

    def _append(self, raw_id: bytes, entry: bytes, crc: int) -> None:
        self._places[raw_id] = self._offset
        self._rows.append((raw_id, crc, self._offset))
        self._offset += len(entry)
        self._buffer += entry
        if len(self._buffer) >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        # Readers take the lock too, so an entry is always in the file or in the buffer.
        self._file.write(self._buffer)
        self._buffer = bytearray()

    def read(self, raw_id: bytes) -> tuple[Kind, bytes] | None:
        """An object of this pack that is no delta, or None."""
        offset = self._places.get(raw_id)
        if offset is None:
            return None
        with self._lock:
            entry = read_entry(self._read_at, offset)
        return KIND_OF[entry.type], entry.data

    def _read_at(self, offset: int, length: int) -> bytes:
        written = self._file.size
        if offset >= written:
            return bytes(self._buffer[offset - written : offset - written + length])
        data = os.pread(self._file.fileno(), min(length, written - offset), offset)
        return data if len(data) == length else data + bytes(self._buffer[: length - len(data)])

    def seal(self, keep: str | None) -> Path:
        """Finish the pack: make it, its index and its `.keep` durable, and give them their names.

        The index comes last, for by it a pack is recognised; the `.keep` comes first, so that there is
        no moment in which the pack could be taken. Returns the index's path. Names are unique, not
        by content: what one process seals is never what another is about to remove.
        """
        with self._lock:
            self._flush()
            checksum = self._finish()
            name = sha1(checksum + os.urandom(16), usedforsecurity=False).hexdigest()
            base = self._pack_dir / f"pack-{name}"
            fsio.make_dirs(self._pack_dir)
            if keep is not None:
                fsio.write_atomic(base.with_suffix(".keep"), f"{KEEP_MARK}{keep}\n".encode(), tmp_dir=self._tmp_dir)
            with fsio.DurableFile(self._tmp_dir, mode=0o444) as index:
                index.write(dump_index(self._rows, checksum))
                fsio.step("fsync", self._file.path)
                os.fsync(self._file.fileno())
                self._file.commit(base.with_suffix(".pack"), sync=False)
                # The commit of the index syncs the folder, and with it both names.
                index.commit(base.with_suffix(".idx"))
            return base.with_suffix(".idx")

    def _finish(self) -> bytes:
        """Put the count into the header and the checksum behind all; returns the checksum."""
        fd = self._file.fileno()
        fsio.step("write", self._file.path)
        os.pwrite(fd, struct.pack(">I", len(self._rows)), 8)
        digest = sha1(usedforsecurity=False)
        at = 0
        while part := os.pread(fd, _BUFFER, at):
            digest.update(part)
            at += len(part)
        self._file.write(digest.digest())
        return digest.digest()

    def discard(self) -> None:
        """Remove the temporary file."""
        self._file.discard()
