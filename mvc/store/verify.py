"""Checking every byte of every pack and idx.

Packs are read from front to back by one thread, in batches of some megabytes; others hash and decode.
Nothing that is read is trusted but an idx whose id is right; where none lists a pack, the pack's own
heads lead. A delta is decoded right after its base, whose bytes are at hand: each chunk once.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from mvc.codecs.decode import decode
from mvc.errors import IntegrityError, ParseError
from mvc.hashing import chunk_namer
from mvc.progress import Progress
from mvc.settings import StoreSettings
from mvc.store import condemned
from mvc.store.files import OpenPacks, StorePaths
from mvc.store.graph import Graph, Row
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
from mvc.store.reading import ChunkReader, PackGone
from mvc.store.records import Buffer, is_sound, parse_record
from mvc.store.report import Damage

_BATCH = 8 * 1024 * 1024
_ROOM = _BATCH + 2 * 1024 * 1024
"""A batch ends with the record that fills it: what is longer than this is rare, and gets memory of its own."""


def verify(
    paths: StorePaths,
    idx: IdxSet,
    packs: OpenPacks,
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
    decoder = Decoder(paths, graph, packs, reader, settings) if decode else None
    progress.begin("checking packs", sum(path.stat().st_size for path in files.values()))
    try:
        with _Checker(decoder, settings, progress) as checker:
            for pack_id in sorted((listed.keys() | files.keys()) - garbage):
                rows = graph.in_pack(listed[pack_id]) if pack_id in listed else None
                if pack_id in files:
                    checker.check_pack(files[pack_id], pack_id, rows)
                    continue
                idx.reload()
                if pack_id in idx.pack_sizes():  # else gc has removed it since
                    checker.missing(paths.pack(pack_id), rows or [])
        return damage + checker.damage
    finally:
        progress.end()


class _Checker:
    """Checks packs; what is wrong is in `damage` when the `with` block is left."""

    def __init__(self, decoder: Decoder | None, settings: StoreSettings, progress: Progress) -> None:
        self._decoder, self._progress = decoder, progress
        self._naming = naming_id(settings.naming)
        threads = settings.threads or os.cpu_count() or 1
        self._window = 2 * threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mvc-verify") if threads > 1 else None
        self._running: deque[Future[list[Damage]]] = deque()
        self._free: list[bytearray] = []
        """Memory of batches that are done with: what is new for each costs a twentieth of all, page by page."""
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

    def check_pack(self, path: Path, pack_id: bytes, listed: Sequence[Row] | None) -> None:
        """Check all of a pack; `listed` is what sound idx files list in it, by offset, or None."""
        try:
            file = PackFile(path)
        except FileNotFoundError:
            return  # gc has just removed it
        except (IntegrityError, PermissionError) as error:
            self.damage.append(Damage(path, str(error)))
            return
        end = file.stat().st_size - TRAILER_SIZE
        identity = PackId()
        offset = HEADER_SIZE
        rows = self._walk(file, pack_id) if listed is None else listed
        for batch in _batches(rows):
            start, last = batch[0].place.offset, batch[-1].place
            if start != offset:
                self.damage.append(Damage(path, "the idx does not list all that is in the pack", offset=offset))
            offset = last.offset + last.record_size
            data = self._read(file, start, min(offset, max(end, start)) - start)
            for row in batch:
                identity.add(data[row.place.offset - start :][: row.place.payload_offset])
            self._submit(path, batch, data)
            self._progress.advance(len(data))
        self._check_ends(file, pack_id, len(rows), offset, identity)

    def missing(self, path: Path, rows: Sequence[Row]) -> None:
        """Tell of a pack that is not there, and all that was in it and rests on it."""
        self.damage.append(Damage(path, "the pack is missing"))
        for row in rows:
            self.damage.append(Damage(path, "its pack is missing", row.name, row.place.offset))
            if self._decoder is not None:
                self.damage += self._decoder.check_children(row, None)

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

    def _walk(self, file: PackFile, pack_id: bytes) -> list[Row]:
        rows: list[Row] = []
        try:
            for offset, record in walk(file, pack_id):
                rows.append(Row(-1, record.name, record.located(pack_id, offset)))
        except IntegrityError as error:
            self._suspects.append(Damage(file.path, error.message))
        return rows

    def _read(self, file: PackFile, start: int, size: int) -> memoryview:
        """So many bytes of a pack, fewer at its end. Good until `_check_batch` has seen them."""
        if size > _ROOM:
            return memoryview(file.read_some(start, size))
        room = memoryview(self._free.pop() if self._free else bytearray(_ROOM))[:size]
        return room[: file.read_into(start, room)]

    def _submit(self, path: Path, batch: Sequence[Row], data: memoryview) -> None:
        if self._pool is None:
            self.damage += self._check_batch(path, batch, data)
        else:
            self._wait(self._window)
            self._running.append(self._pool.submit(self._check_batch, path, batch, data))

    def _check_batch(self, path: Path, batch: Sequence[Row], data: memoryview) -> list[Damage]:
        damage: list[Damage] = []
        start = batch[0].place.offset
        for row in batch:
            damage += self._check_record(path, row, data[row.place.offset - start :][: row.place.record_size])
        if isinstance(data.obj, bytearray):
            self._free.append(data.obj)
        return damage

    def _check_record(self, path: Path, row: Row, record: memoryview) -> list[Damage]:
        try:
            parse_record(record, row.name, row.place)
            if not is_sound(record):
                raise IntegrityError("the record does not match its checksum")
        except IntegrityError as error:
            below = self._decoder.check_children(row, None) if self._decoder is not None else []
            return [Damage(path, error.message, row.name, row.place.offset), *below]
        return self._decoder.check(path, row, record) if self._decoder is not None else []

    def _wait(self, window: int) -> None:
        while len(self._running) > window:
            self.damage += self._running.popleft().result()


class Decoder:
    """Decodes records and holds them against their names. Thread-safe."""

    def __init__(
        self, paths: StorePaths, graph: Graph, packs: OpenPacks, reader: ChunkReader, settings: StoreSettings
    ) -> None:
        self._paths, self._graph, self._packs, self._reader = paths, graph, packs, reader
        self._namer = chunk_namer(settings.naming)
        self._scratch = threading.local()

    def check(self, path: Path, row: Row, record: Buffer) -> list[Damage]:
        """Decode a record of `path` that rests on nothing or on several chunks; then those that rest on it alone.

        Records that rest on one chunk are left to that chunk's turn.
        """
        bases = row.place.bases
        if len(bases) == 1 or (bases and row.number < 0):  # the bases of what no idx lists may be listed as little
            return []
        try:
            raw = self._decode(row, record, None)
        except (IntegrityError, ParseError) as error:
            return [Damage(path, error.message, row.name, row.place.offset), *self.check_children(row, None)]
        return self.check_children(row, raw)

    def check_children(self, row: Row, raw: Buffer | None) -> list[Damage]:
        """Decode what rests on this chunk alone: on `raw`, or where that is None on what can be read of the chunk."""
        damage: list[Damage] = []
        for number in self._graph.only_child_rows(row.number) if row.number >= 0 else ():
            child = Row(number, self._graph.name(number), self._graph.location(number))
            child_raw: Buffer | None = None
            try:
                child_raw = self._decode(child, self._packs.fetch(child.place), raw)
            except PackGone:
                continue  # that is told of the pack, if gc has not removed it
            except (IntegrityError, ParseError) as error:
                message = error.message if raw is not None else f"its base is damaged: {error.message}"
                damage.append(Damage(self._paths.pack(child.place.pack), message, child.name, child.place.offset))
            damage += self.check_children(child, child_raw)
        return damage

    def _decode(self, row: Row, record: Buffer, base: Buffer | None) -> Buffer:
        name, place = row.name, row.place
        out = self._buffer(place.depth, place.raw_size)
        if base is None:
            raw = self._reader.decode(name, place, record, out)
        else:
            header, payload = parse_record(record, name, place)
            raw = decode(header.codec, header.params, payload, header.raw_size, (base,), out)
        if self._namer(raw) != name:
            raise IntegrityError("the chunk does not decode to the bytes that it is named by")
        return raw

    def _buffer(self, depth: int, size: int) -> memoryview:
        """Memory of this thread to decode into, one for each depth: a base is at hand while its children are read."""
        held: dict[int, memoryview] | None = getattr(self._scratch, "held", None)
        if held is None:
            held = self._scratch.held = {}
        found = held.get(depth)
        if found is None or len(found) < size:
            found = held[depth] = memoryview(bytearray(size))
        return found[:size]


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Neighbours in runs of about `_BATCH` bytes, without a gap in them."""
    first = 0
    for at in range(1, len(rows) + 1):
        last = rows[at - 1].place
        stop = last.offset + last.record_size
        if at == len(rows) or rows[at].place.offset != stop or stop - rows[first].place.offset >= _BATCH:
            yield rows[first:at]
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
