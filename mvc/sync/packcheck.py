"""Every byte of a remote's packs of chunks and idx, held against its checksums, names and what the idx tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from blake3 import blake3

from mvc.codecs.decode import decode
from mvc.errors import IntegrityError, MissingObject, MvcError, NetworkError, NotFound, ParseError
from mvc.hashing import chunk_namer
from mvc.progress import Progress
from mvc.store.packfile import HEADER_SIZE, TRAILER_SIZE, PackId, naming_id, parse_header, parse_trailer
from mvc.store.records import MAX_LEAD, Location, is_sound, parse_lead, parse_record
from mvc.sync import keys
from mvc.sync.remotechunks import RemoteChunks
from mvc.sync.remotes import Remote
from mvc.sync.state import ChunkPack

_BATCH = 8 * 1024 * 1024
_ID = 32


@dataclass(slots=True)
class PackReport:
    """What was found in a pack."""

    pack: ChunkPack
    rows: list[tuple[bytes, Location]] = field(default_factory=list)
    """Its sound records."""
    damage: list[tuple[bytes | None, int | None, str]] = field(default_factory=list)
    """Chunk (None: the pack as a whole), offset, what is wrong."""
    raw: int = 0
    read: int = 0


def check_packs(
    remote: Remote,
    packs: Sequence[ChunkPack],
    listed: dict[bytes, list[tuple[bytes, Location]]],
    source: RemoteChunks,
    *,
    decoding: bool,
    progress: Progress,
) -> Iterator[PackReport]:
    """Check packs, several at once. `listed`: what sound idx tell of each (id -> its records by offset)."""
    progress.begin("checking packs", sum(pack.size for pack in packs))
    try:
        with ThreadPoolExecutor(max(1, min(4, remote.backend.capabilities.parallel)), "check") as pool:
            yield from pool.map(
                lambda pack: _Pack(remote, pack, source, decoding, progress).check(listed.get(bytes.fromhex(pack.id))),
                packs,
            )
    finally:
        progress.end()


class _Pack:
    def __init__(
        self, remote: Remote, pack: ChunkPack, source: RemoteChunks, decoding: bool, progress: Progress
    ) -> None:
        self._remote, self._pack, self._source = remote, pack, source
        self._decoding, self._progress = decoding, progress
        self._naming = remote.repo.settings.store.naming
        self._key = keys.chunk_pack(pack.id)
        self._report = PackReport(pack)

    def check(self, listed: list[tuple[bytes, Location]] | None) -> PackReport:
        """All of it. Raises NetworkError, AuthError."""
        size = self._remote.backend.size(self._key)
        if size != self._pack.size:
            why = "the pack is missing" if size is None else f"the pack has {size} bytes, not {self._pack.size}"
            self._tell(None, None, why)
            if size is None:
                for name, place in listed or ():
                    self._tell(name, place.offset, "its pack is missing")
                return self._report
        try:
            header = parse_header(self._get(0, HEADER_SIZE))
            if header.naming != naming_id(self._naming):
                raise IntegrityError("its chunks are named in another way")
        except MvcError as error:
            if isinstance(error, NetworkError):
                raise
            self._tell(None, 0, error.message)
            header = None
        identity, count, offset = PackId(), 0, HEADER_SIZE
        for name, place, record in self._records(listed):
            if place.offset != offset:
                self._tell(None, offset, "the idx does not list all that is in the pack")
            offset = place.offset + place.record_size
            identity.add(record[: place.payload_offset])
            count += 1
            self._record(name, place, record)
        if header is not None and not self._report.damage:
            self._ends(offset, count, identity.digest(header))
        return self._report

    def _ends(self, offset: int, count: int, digest: bytes) -> None:
        try:
            trailer = parse_trailer(self._get(offset, TRAILER_SIZE + 1))
        except IntegrityError as error:
            self._tell(None, offset, error.message)
            return
        if trailer != (count, digest) or digest.hex() != self._pack.id:
            self._tell(None, None, "its records are not those that its id stands for")

    def _records(self, listed: list[tuple[bytes, Location]] | None) -> Iterator[tuple[bytes, Location, memoryview]]:
        """The records as the idx lists them; without one, as the pack tells them."""
        if listed is None:
            yield from self._walked()
            return
        begin = 0
        for at in range(1, len(listed) + 1):
            last = listed[at - 1][1]
            stop = last.offset + last.record_size
            start = listed[begin][1].offset
            if at < len(listed) and listed[at][1].offset == stop and stop - start < _BATCH:
                continue
            data = memoryview(self._get(start, stop - start))
            for name, place in listed[begin:at]:
                yield name, place, data[place.offset - start :][: place.record_size]
            begin = at

    def _walked(self) -> Iterator[tuple[bytes, Location, memoryview]]:
        offset, end = HEADER_SIZE, self._pack.size - TRAILER_SIZE
        pack_id = bytes.fromhex(self._pack.id)
        data, start = memoryview(b""), offset
        while offset < end:
            need = MAX_LEAD
            while True:
                if offset + need > start + len(data) and start + len(data) < end:
                    data = memoryview(self._get(offset, min(max(need, _BATCH), end - offset)))
                    start = offset
                try:
                    lead = parse_lead(data, offset - start)
                except IntegrityError as error:
                    self._tell(None, offset, error.message)
                    return
                if offset + lead.record_size <= start + len(data) or need == lead.record_size:
                    break
                need = lead.record_size
            yield lead.name, lead.located(pack_id, offset), data[offset - start :][: lead.record_size]
            offset += lead.record_size

    def _record(self, name: bytes, place: Location, record: memoryview) -> None:
        self._progress.advance(len(record))
        try:
            header, payload = parse_record(record, name, place)
            if not is_sound(record):
                raise IntegrityError("the record does not match its checksum")
            if self._decoding:
                bases = [self._source.read(base) for base in header.bases]
                raw = decode(header.codec, header.params, payload, header.raw_size, bases, None)
                if chunk_namer(self._naming)(raw) != name:
                    raise IntegrityError("the chunk does not decode to the bytes that it is named by")
        except (IntegrityError, ParseError) as error:
            lost = " (its base)" if isinstance(error, MissingObject) else ""
            self._tell(name, place.offset, error.message + lost)
            return
        self._report.raw += place.raw_size
        self._report.rows.append((name, place))

    def _get(self, offset: int, length: int) -> bytes:
        try:
            data = self._remote.backend.get(self._key, offset, length)
        except NotFound:
            return b""
        self._report.read += len(data)
        return data

    def _tell(self, name: bytes | None, offset: int | None, message: str) -> None:
        self._report.damage.append((name, offset, message))


def idx_is_sound(remote: Remote, idx_id: str, size: int) -> bool:
    """Whether the remote's idx has the bytes that it is named by."""
    hasher, tail, at = blake3(), b"", 0
    while at < size:
        try:
            part = remote.backend.get(keys.chunk_idx(idx_id), at, min(_BATCH, size - at))
        except NotFound:
            return False
        if not part:
            return False
        hasher.update((tail + part)[:-_ID])
        tail = (tail + part)[-_ID:]
        at += len(part)
    there = remote.backend.size(keys.chunk_idx(idx_id))
    return there == size and tail == hasher.digest() and tail.hex() == idx_id
