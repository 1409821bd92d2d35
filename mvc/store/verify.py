"""Checking every byte of every pack and idx.

Packs are read from front to back by one thread, in batches of some megabytes; others hash and decode.
Nothing that is read is trusted but an idx whose id is right; where none lists a pack, the pack's own heads lead.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from mvc.errors import IntegrityError, ParseError
from mvc.hashing import chunk_namer
from mvc.progress import Progress
from mvc.settings import StoreSettings
from mvc.store import condemned
from mvc.store.files import StorePaths
from mvc.store.graph import Graph
from mvc.store.idx import Idx
from mvc.store.idxset import IdxSet
from mvc.store.packfile import (
    HEADER_SIZE,
    TRAILER_SIZE,
    PackFile,
    PackId,
    list_packs,
    naming_id,
    parse_header,
    parse_trailer,
    walk,
)
from mvc.store.reading import ChunkReader
from mvc.store.records import Location, is_sound, parse_record
from mvc.store.report import Damage

_BATCH = 8 * 1024 * 1024
Records = Sequence[tuple[bytes, Location]]


def verify(
    paths: StorePaths,
    idx: IdxSet,
    reader: ChunkReader,
    settings: StoreSettings,
    progress: Progress,
    *,
    decode: bool,
) -> list[Damage]:
    """See `ChunkStore.verify`."""
    idx.reload()
    damage, sound = _check_idx(idx)
    garbage: frozenset[bytes] = frozenset()
    try:
        going = condemned.read(paths.condemned)
        garbage = going.packs if going.final else frozenset()
    except IntegrityError as error:
        damage.append(Damage(paths.condemned, error.message))
    graph = Graph(sound)
    damage += _check_bases(paths, graph, garbage)
    files = list_packs(paths.packs)
    listed = {pack_id: number for number, (pack_id, _) in enumerate(graph.packs)}
    progress.begin("checking packs", sum(path.stat().st_size for path in files.values()))
    try:
        with _Checker(reader, settings, progress, decode=decode) as checker:
            for pack_id in sorted((listed.keys() | files.keys()) - garbage):
                records = graph.in_pack(listed[pack_id]) if pack_id in listed else None
                if pack_id in files:
                    checker.check_pack(files[pack_id], pack_id, records)
                elif not (idx.reload() and pack_id not in idx.pack_sizes()):
                    damage += _missing(paths.pack(pack_id), records or ())
        return damage + checker.damage
    finally:
        progress.end()


class _Checker:
    """Checks packs; what is wrong is in `damage` when the `with` block is left."""

    def __init__(self, reader: ChunkReader, settings: StoreSettings, progress: Progress, *, decode: bool) -> None:
        self._reader, self._progress, self._decode = reader, progress, decode
        self._namer = chunk_namer(settings.naming)
        self._naming = naming_id(settings.naming)
        threads = settings.threads or os.cpu_count() or 1
        self._window = 2 * threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mvc-verify") if threads > 1 else None
        self._running: deque[Future[list[Damage]]] = deque()
        self._scratch = threading.local()
        self._suspects: list[Damage] = []
        """Packs whose id is wrong: told only if nothing else in them is."""
        self.damage: list[Damage] = []

    def __enter__(self) -> _Checker:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._wait(0)
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
        damaged = {one.path for one in self.damage}
        self.damage += [one for one in self._suspects if one.path not in damaged]

    def check_pack(self, path: Path, pack_id: bytes, listed: Records | None) -> None:
        """Check all of a pack; `listed` is what sound idx files list in it, by offset, or None."""
        try:
            file = PackFile(path)
        except FileNotFoundError:
            return  # gc has just removed it
        end = file.stat().st_size - TRAILER_SIZE
        identity = PackId()
        offset = HEADER_SIZE
        records = self._walk(file, pack_id) if listed is None else listed
        for batch in _batches(records):
            if batch[0][1].offset != offset:
                self.damage.append(Damage(path, "the idx does not list all that is in the pack", offset=offset))
            start, stop = batch[0][1].offset, batch[-1][1].offset + batch[-1][1].record_size
            data = memoryview(file.read_some(start, min(stop, max(end, start)) - start))
            for _, place in batch:
                identity.add(data[place.offset - start :][: place.payload_offset])
            if self._pool is None:
                self.damage += self._check_batch(path, batch, data, listed is not None)
            else:
                self._wait(self._window)
                self._running.append(self._pool.submit(self._check_batch, path, batch, data, listed is not None))
            self._progress.advance(len(data))
            offset = stop
        self._check_ends(file, pack_id, len(records), offset, identity)

    def _check_ends(self, file: PackFile, pack_id: bytes, count: int, offset: int, identity: PackId) -> None:
        """The header, the trailer, and that nothing stands between the last record and the trailer."""
        try:
            header = parse_header(file.read_some(0, HEADER_SIZE))
            if header.naming != self._naming:
                raise IntegrityError("its chunks are named in another way than this repository's")
            trailer = parse_trailer(file.read_some(offset, TRAILER_SIZE + 1))
        except IntegrityError as error:
            self.damage.append(Damage(file.path, error.message, offset=offset))
            return
        if trailer != (count, pack_id) or identity.digest(header) != pack_id:
            self._suspects.append(Damage(file.path, "its records are not those that its id stands for"))

    def _walk(self, file: PackFile, pack_id: bytes) -> Records:
        records: list[tuple[bytes, Location]] = []
        try:
            for offset, record in walk(file, pack_id):
                records.append((record.name, record.located(pack_id, offset)))
        except IntegrityError as error:
            self._suspects.append(Damage(file.path, error.message))
        return records

    def _check_batch(self, path: Path, batch: Records, data: memoryview, listed: bool) -> list[Damage]:
        damage: list[Damage] = []
        start = batch[0][1].offset
        for name, place in batch:
            record = data[place.offset - start :][: place.record_size]
            try:
                # The bases of what no idx lists may be listed as little: they cannot be asked for.
                self._check_record(name, place, record, self._decode and (listed or not place.bases))
            except (IntegrityError, ParseError) as error:
                damage.append(Damage(path, error.message, name, place.offset))
        return damage

    def _check_record(self, name: bytes, place: Location, record: memoryview, decode: bool) -> None:
        parse_record(record, name, place)
        if not is_sound(record):
            raise IntegrityError("the record does not match its checksum")
        if decode:
            raw = self._reader.decode(name, place, record, self._buffer(place.raw_size))
            if self._namer(raw) != name:
                raise IntegrityError("the chunk does not decode to the bytes that it is named by")

    def _buffer(self, size: int) -> memoryview:
        """Memory to decode into, of this thread."""
        held = getattr(self._scratch, "held", None)
        if held is None or len(held) < size:
            held = self._scratch.held = memoryview(bytearray(size))
        return held[:size]

    def _wait(self, window: int) -> None:
        while len(self._running) > window:
            self.damage += self._running.popleft().result()


def _batches(records: Records) -> Iterator[Records]:
    """Neighbours in runs of about `_BATCH` bytes, without a gap in them."""
    first = 0
    for at in range(1, len(records) + 1):
        start, last = records[first][1], records[at - 1][1]
        stop = last.offset + last.record_size
        if at == len(records) or records[at][1].offset != stop or stop - start.offset >= _BATCH:
            yield records[first:at]
            first = at


def _check_idx(idx: IdxSet) -> tuple[list[Damage], list[Idx]]:
    """What is wrong with idx files; and those that are sound."""
    damage = [Damage(path, error.message) for path, error in idx.broken]
    sound: list[Idx] = []
    for one in idx.all:
        try:
            one.check()
        except IntegrityError as error:
            damage.append(Damage(one.path, error.message))
        else:
            sound.append(one)
    return damage, sound


def _check_bases(paths: StorePaths, graph: Graph, garbage: frozenset[bytes]) -> list[Damage]:
    """Records whose bases are not there, or not at a smaller depth."""
    damage: list[Damage] = []
    for row in graph.unresolved().tolist():
        place = graph.location(row)
        if place.pack not in garbage:
            message = "a base that it is a delta on is not stored at a smaller depth"
            damage.append(Damage(paths.pack(place.pack), message, graph.name(row), place.offset))
    return damage


def _missing(path: Path, records: Records) -> list[Damage]:
    """A pack that is not there, and all that was in it."""
    return [
        Damage(path, "the pack is missing"),
        *(Damage(path, "its pack is missing", name, place.offset) for name, place in records),
    ]
