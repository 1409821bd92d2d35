"""The chunks of a push on their way: packs are uploaded by several threads, as they are read, listed in one idx.

A record goes as it stands here, straight from its pack (passingout.py). One that must be encoded anew, or lies in the
shared store, goes into a pack that is built beside.

What was uploaded is remembered by its idx, in the folder `pending`, until an entry of the log lists it: so a push
that was killed goes on from there. What is found there is asked after (its size), and must be closed under bases.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType

from mvc import fsio
from mvc.backends.base import Source
from mvc.codecs.encode import encode
from mvc.errors import IntegrityError
from mvc.progress import Progress
from mvc.settings import MAX_DEPTH
from mvc.store import idxbuild
from mvc.store.chunkstore import ChunkStore
from mvc.store.idx import Idx
from mvc.store.idxwrite import write_pack_idx
from mvc.store.packfile import PackBuilder
from mvc.store.records import Buffer, Location, make_lead, parse_lead
from mvc.sync import keys
from mvc.sync.passingout import PassingOut, Unsound
from mvc.sync.ranges import RANGE
from mvc.sync.remoteindex import RemoteIndex, bring_idx, idx_folder, lacking_idx
from mvc.sync.remotes import Remote
from mvc.sync.state import ChunkPack, State

MANY_IDX = 16
"""When a remote has more idx files than this, a push merges the smaller ones."""
_LEAST_PACK = RANGE - 1088 * 1024
"""With a last chunk of 1 MiB, one request brings it."""
_PACKS = 64
"""A push is cut into about so many packs, if they are not too small or too large then: what was under way when it was
killed (a pack a thread) goes again."""


class Outgoing:
    """Chunks that go to a remote whose state and index are given."""

    def __init__(
        self, remote: Remote, state: State, index: RemoteIndex, chunks: ChunkStore, jobs: int, progress: Progress
    ) -> None:
        self._remote, self._state, self._index, self._chunks = remote, state, index, chunks
        self._jobs, self._progress = max(1, jobs), progress
        self._settings = remote.repo.settings.store
        self._pending = remote.memory / "pending"
        self._uploaded: dict[Path, Idx] = {}
        self._depths: dict[bytes, int] = {}
        """The chunks that are uploaded or on their way, and how deep they lie."""
        self._lock = threading.Lock()
        self._fresh = False
        """Whether a pack is among them that never was in a remote."""
        self.sent = 0
        """Bytes that were put."""
        self.chunks = 0
        """Chunks that went, now or in the push that was killed."""

    # ---- what an earlier push left

    def resume(self, wanted: Iterable[bytes]) -> None:
        """Take up what an earlier push has uploaded, if some of it is `wanted`."""
        live = {pack.id for pack in self._state.chunk_packs}
        found: dict[Path, Idx] = {}
        for path in sorted(self._pending.glob("*.idx")):
            idx = _sound(path)
            if idx is None or len(idx.packs) != 1 or idx.packs[0][0].hex() in live:
                fsio.unlink(path, missing_ok=True)
                continue
            pack_id, size = idx.packs[0]
            if self._remote.backend.size(keys.chunk_pack(pack_id.hex())) == size:
                found[path] = idx
        closed = self._closed(found)
        if any(idx.find(name) >= 0 for name in wanted for idx in closed.values()):
            self._uploaded.update(closed)
            for idx in closed.values():
                self._note(idx)

    def _closed(self, found: dict[Path, Idx]) -> dict[Path, Idx]:
        """Those of the packs whose bases are in the remote or in others of them."""
        self._index.prepare(base for idx in found.values() for _, place in idx for base in place.bases)
        while True:
            depths: dict[bytes, int] = {}
            for idx in found.values():
                for name, place in idx:
                    depths[name] = min(place.depth, depths.get(name, place.depth))
            open_ones = [
                path
                for path, idx in found.items()
                if not all(self._stands(base, place.depth, depths) for _, place in idx for base in place.bases)
            ]
            if not open_ones:
                return found
            for path in open_ones:
                del found[path]

    def _note(self, idx: Idx) -> None:
        for name, place in idx:
            self._depths[name] = min(place.depth, self._depths.get(name, place.depth))
            self.chunks += 1

    def __contains__(self, name: bytes) -> bool:
        return name in self._depths

    def resumed(self) -> list[str]:
        """The keys of the packs that were taken up."""
        return [keys.chunk_pack(idx.packs[0][0].hex()) for idx in self._uploaded.values()]

    def forget(self) -> None:
        """Take up nothing after all."""
        for path in self._uploaded:
            fsio.unlink(path, missing_ok=True)
        self._uploaded.clear()
        self._depths.clear()
        self.chunks = 0

    def _stands(self, base: bytes, depth: int, depths: Mapping[bytes, int]) -> bool:
        """Whether a record of that depth may rest on this chunk over there."""
        if depths.get(base, depth) < depth:
            return True
        found = self._index.depth(base)
        return found is not None and found < depth

    # ---- sending

    def send(self, names: Sequence[bytes], dtypes: Mapping[bytes, str], total: int) -> None:
        """Upload these chunks: what others rest on comes before them. `total`: about so many bytes.

        `dtypes` serve to encode anew a delta whose base stays at home. Raises what failed first.
        """
        places = (self._chunks.find(name) for name in names)
        self._index.prepare(base for place in places if place is not None for base in place.bases)
        limit = min(max(total // _PACKS, _LEAST_PACK), self._settings.pack_size)
        # A bundle cannot take back what it has written of a pack that then turns out to be damaged here.
        direct = self._remote.backend.capabilities.atomic_put
        builders: list[PackBuilder] = []
        passing: PassingOut | None = None
        pack: _Pack | None = None
        try:
            with (
                ThreadPoolExecutor(self._jobs, thread_name_prefix="send") as pool,
                _Running(pool, self._jobs) as running,
            ):
                for name in names:
                    if passing is None:
                        passing = PassingOut(self._chunks, self._settings.naming)
                    if direct and self._pass(passing, name):
                        if passing.size >= limit:
                            running.submit(partial(self._upload_passing, passing, dtypes))
                            passing = None
                        continue
                    if pack is None:
                        pack = _Pack(new_pack(self._remote))
                        builders.append(pack.builder)
                    self._add(pack, name, dtypes.get(name))
                    if pack.builder.size >= limit:
                        running.submit(partial(self._upload, pack))
                        pack = None
                if passing is not None and passing.records:
                    running.submit(partial(self._upload_passing, passing, dtypes))
                if pack is not None:
                    running.submit(partial(self._upload, pack))
        finally:
            for builder in builders:
                builder.discard()

    def _pass(self, pack: PassingOut, name: bytes) -> bool:
        """Let a record go as it stands here. False where it cannot: then it is put into a pack that is made."""
        place = self._chunks.find_own(name)
        if place is None or not all(self._stands(base, place.depth, self._depths) for base in place.bases):
            return False
        try:
            pack.add(name, place)
        except IntegrityError:
            return False  # gc has moved it, or it is damaged: another copy may be there
        self._depths[name] = place.depth
        return True

    def _add(self, pack: _Pack, name: bytes, dtype: str | None, most: int = MAX_DEPTH) -> None:
        """`most`: what others count on that rest on it."""
        record = memoryview(self._chunks.read_stored(name))
        header = parse_lead(record)
        if header.depth <= most and all(self._stands(base, header.depth, self._depths) for base in header.bases):
            lead: Buffer = record[: header.lead_size]
            payload: tuple[Buffer, ...] = (record[header.lead_size :],)
            place = header.located(b"", pack.builder.size)
        else:
            raw = self._chunks.read(name)
            encoded = encode(raw, dtype, (), zstd_level=self._settings.zstd_level)
            lead, stored = make_lead(name, len(raw), encoded.codec, 0, (), encoded.params, encoded.payload)
            payload = encoded.payload
            place = Location(b"", pack.builder.size, len(raw), stored, encoded.codec, 0, len(encoded.params), ())
        pack.builder.append(lead, payload)
        pack.records[name] = place
        self._depths[name] = place.depth

    def _upload(self, pack: _Pack) -> None:
        builder = pack.builder
        try:
            pack_id = builder.finish()
            self._put(pack_id, builder.path, builder.size, pack.records)
        finally:
            builder.discard()

    def _upload_passing(self, passing: PassingOut, dtypes: Mapping[bytes, str]) -> None:
        pack_id = passing.finish()
        try:
            self._put(pack_id, passing, passing.size, passing.records)
        except IntegrityError as error:
            # It went as it lies here if the other end verifies, and was found to be damaged there.
            if not isinstance(error, Unsound) and passing.is_sound():
                raise
            # Another copy, or an error that says what is damaged.
            pack = _Pack(new_pack(self._remote))
            try:
                for name, place in passing.records.items():
                    self._add(pack, name, dtypes.get(name), place.depth)
            except BaseException:
                pack.builder.discard()
                raise
            self._upload(pack)

    def _put(self, pack_id: bytes, source: Source, size: int, records: Mapping[bytes, Location]) -> None:
        self._remote.backend.put(keys.chunk_pack(pack_id.hex()), source, progress=self._progress.advance)
        path = write_pack_idx(pack_id, size, records, self._pending, self._remote.repo.tmp_dir)
        with self._lock:
            self.sent += size
            self.chunks += len(records)
            self._uploaded[path] = Idx(path)
            self._fresh = True

    # ---- listing

    def list_packs(self) -> list[ChunkPack]:
        """Upload an idx of what was uploaded; what the next entry of the log is to list: the new packs, and those
        of older ones whose idx was merged with it."""
        if not self._uploaded:
            return []
        folder = idx_folder(self._remote.memory)
        merged = self._small_idx()
        if len(self._uploaded) == 1 and not merged and self._fresh:
            (path,) = self._uploaded
            fsio.make_dirs(folder)
            made = folder / path.name
            fsio.write_atomic(made, path.read_bytes(), tmp_dir=self._remote.repo.tmp_dir)
        else:
            live = {bytes.fromhex(pack.id) for pack in self._state.chunk_packs}
            parts = [*self._uploaded.values(), *merged]
            dead = {pack_id for idx in merged for pack_id, _ in idx.packs if pack_id not in live}
            table = idxbuild.merge([idxbuild.from_idx(idx) for idx in parts], without=dead)
            made = write_table(table, folder, self._remote.repo.tmp_dir, unique=not self._fresh)
        idx = Idx(made)
        self._remote.backend.put(keys.chunk_idx(made.stem), made)
        self.sent += idx.size
        return [ChunkPack(pack_id.hex(), size, made.stem, idx.size) for pack_id, size in idx.packs if size]

    def _small_idx(self) -> list[Idx]:
        """The idx files of the remote to be merged now: as in a log-structured tree, a record is merged seldom."""
        sizes = {pack.idx_id: pack.idx_size for pack in self._state.chunk_packs}
        if len(sizes) < MANY_IDX:
            return []
        chosen: list[str] = []
        total = sum(idx.size for idx in self._uploaded.values())
        for size, idx_id in sorted((size, idx_id) for idx_id, size in sizes.items()):
            if size > 2 * total and len(sizes) - len(chosen) < MANY_IDX:
                break
            chosen.append(idx_id)
            total += size
        folder = idx_folder(self._remote.memory)
        lacking = lacking_idx(self._remote.memory, self._state)
        bring_idx(self._remote, {idx_id: lacking[idx_id] for idx_id in chosen if idx_id in lacking}, self._progress)
        found = [Idx(folder / f"{idx_id}.idx") for idx_id in chosen]
        for idx in found:
            idx.check()  # it would get a new name over old damage
        return found

    def published(self) -> None:
        """An entry lists them: forget that they were pending."""
        for path in self._uploaded:
            fsio.unlink(path, missing_ok=True)


class _Running:
    """Uploads under way, no more than `most`. Leaving the block waits for them; raises what failed first."""

    def __init__(self, pool: ThreadPoolExecutor, most: int) -> None:
        self._pool, self._most = pool, most
        self._futures: set[Future[None]] = set()

    def __enter__(self) -> _Running:
        return self

    def submit(self, upload: Callable[[], None]) -> None:
        """Begin one; waits until there is room for it."""
        self._wait(self._most - 1)
        self._futures.add(self._pool.submit(upload))

    def _wait(self, most: int) -> None:
        while len(self._futures) > most:
            done, self._futures = wait(self._futures, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._wait(0)
        else:
            self._pool.shutdown(cancel_futures=True)


class _Pack:
    """A pack that is being built."""

    def __init__(self, builder: PackBuilder) -> None:
        self.builder = builder
        self.records: dict[bytes, Location] = {}


def new_pack(remote: Remote) -> PackBuilder:
    """A pack for a remote. Chance makes its name one that never was there: gc may be removing one of the same bytes."""
    salt = int.from_bytes(os.urandom(4))
    return PackBuilder(remote.repo.tmp_dir, remote.repo.settings.store.naming, salt=salt, lasting=False)


def write_table(table: idxbuild.Table, folder: Path, tmp_dir: Path, *, unique: bool) -> Path:
    """Write an idx that is to go to a remote; returns its path.

    `unique`: it lists no pack that is new, so the same bytes may have been there before, and gc may be removing
    them. Then it tells of a pack of no bytes whose name is chance.
    """
    if unique:
        packs = (*table.packs, (os.urandom(32), 0))
        table = idxbuild.merge([replace(table, packs=packs)])
    written = idxbuild.write(table, folder, tmp_dir)
    assert written is not None  # what goes to a remote holds records
    return written


def with_packs(state: State, packs: Iterable[ChunkPack], before: State) -> State:
    """A state that lists these packs too. `before` is the one that they were made for: where another has given a
    pack of that another idx since, that one stays."""
    was = {pack.id: pack for pack in before.chunk_packs}
    now = {pack.id: pack for pack in state.chunk_packs}
    for pack in packs:
        if now.get(pack.id) == was.get(pack.id):
            now[pack.id] = pack
    return replace(state, chunk_packs=tuple(sorted(now.values())))


def _sound(path: Path) -> Idx | None:
    with contextlib.suppress(FileNotFoundError, IntegrityError):
        idx = Idx(path)
        idx.check()
        return idx
    return None
