"""Chunks on demand: what is lacking here comes from a remote, by ranges of its packs.

A few are decoded and held against their names before they are stored. Many are held against their checksums, and
stored as they came, apart from what is the repository's own until they were decoded (mvc.store.received).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import accumulate

from mvc.codecs.base import Encoded
from mvc.errors import (
    AuthError,
    IntegrityError,
    MissingObject,
    MvcError,
    NetworkError,
    NotFound,
    Refused,
    UsageError,
)
from mvc.objects.reachable import walk_objects
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import chunk_names, chunked_files
from mvc.repo.repository import Repository
from mvc.settings import MAX_DEPTH, StoreSettings
from mvc.store import intents
from mvc.store.chunkstore import ChunkStore
from mvc.store.intents import Claims
from mvc.store.leaning import register
from mvc.store.received import ReceivedWriter
from mvc.store.records import Location, RecordHeader, is_sound, parse_record
from mvc.store.shared import SharedStore
from mvc.store.writer import PackWriter
from mvc.sync import keys
from mvc.sync.destination import absent, has_room
from mvc.sync.located import index_for
from mvc.sync.ranges import runs
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotes import Remote, RemoteConfig, configured

_SEAL = 256 * 1024 * 1024
_LEAST_SEAL = 8 * 1024 * 1024
_SEALS = 16
"""What comes is sealed about so many times, if that is not too little or too much at a time: so much is lost, of each
pack that is being written, when bringing is killed."""
_BATCH = 4096
_ROW = 128
"""Bytes that a record takes in an idx, and a pack besides its records, at the most (about)."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What `bring` brought: chunks, bytes that came over the line (idx files too), and names that the remote lacks."""

    chunks: int = 0
    moved: int = 0
    lacking: frozenset[bytes] = frozenset()

    def plus(self, other: Brought) -> Brought:
        """Both together."""
        return Brought(self.chunks + other.chunks, self.moved + other.moved, self.lacking | other.lacking)


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: bytes
    place: Location


def bring(remote: Remote, names: Iterable[bytes], *, jobs: int = 0, progress: Progress = SILENT) -> Brought:
    """Bring those of `names` that are not here, with the bases they rest on. What came stays if it fails midway.

    It goes to the shared store, where one is set and has room; a chunk that is spoilt there to the repository. What
    is stored as the repository's own is decoded and held against its name before: what a remote says must not come to
    stand for what somebody adds later. Much goes, as it came, where it counts for nothing until that was done; what
    lies there already, and is asked for all the same, was found to be wrong there, and comes as the repository's own.
    Raises IntegrityError, NetworkError, AuthError, NotFound (no remote there).
    """
    repo = remote.repo
    chunks = open_chunks(repo)
    chunks.reload()
    wanted, spoilt = absent(chunks, names)
    if not wanted and not spoilt:
        return Brought()
    state = remote.remembered() or remote.state()
    index, moved = index_for(remote, state, progress)
    index.locate(wanted | spoilt)
    if any(name not in index for name in wanted | spoilt):
        # What was last seen may be old.
        fresh = remote.state()
        if fresh != state:
            index, more = index_for(remote, fresh, progress)
            index.locate(wanted | spoilt)
            moved += more
    settings = repo.settings.store
    settings = settings._replace(verify_writes=True, pack_size=min(settings.pack_size, _SEAL))
    done = Brought(moved=moved)
    if chunks.shared is not None and wanted:
        done = done.plus(_into_shared(remote, index, chunks.shared, settings, wanted, jobs, progress))
        chunks.reload()
        wanted, unread = absent(chunks, wanted - done.lacking)
        spoilt |= unread
    store = open_chunks(repo, settings)
    came = store.received
    wrong = {name for name in wanted if came is not None and name in came}
    if len(wanted) > len(wrong):
        done = done.plus(_receive_as_it_is(remote, index, store, wanted - wrong, jobs, progress))
        wanted = wrong | {name for name in wanted - done.lacking if not store.has(name)}
    if wanted or spoilt:
        levels, lacking = _plan(index, _claimable(store), wanted | spoilt)
        done = done.plus(_receive(remote, store, levels, lacking, jobs, progress))
    return done


def _receive_as_it_is(
    remote: Remote, index: RemoteIndex, store: ChunkStore, names: set[bytes], jobs: int, progress: Progress
) -> Brought:
    """Bring these, if they are many, to where what came lies undecoded; with what they rest on."""
    settings = remote.repo.settings.store
    if settings.verify_writes or not _is_much(index, names, settings.decode_below):
        return Brought()
    with intents.register(remote.repo.intents_dir, "fetch") as intent:
        claims = Claims(store.paths.condemned, intent.start_ns)
        came = store.receiving()

        def stands(name: bytes, below: int) -> bool:
            """gc is kept from taking what is counted on: it makes what came the repository's own before it removes."""
            here = store.find_own(name)
            if here is not None and here.depth < below and claims.claim(here.pack, store.paths.pack(here.pack)):
                return True
            there = came.find(name)
            return there is not None and there.depth < below

        levels, lacking = _plan(index, stands, names)
        rows = sorted((one for level in levels for one in level), key=lambda one: (one.place.pack, one.place.offset))
        total = sum(one.place.record_size for one in rows)
        progress.begin("receiving", total)
        at_once = jobs or remote.backend.capabilities.parallel
        try:
            settings = settings._replace(pack_size=min(store.settings.pack_size, max(_LEAST_SEAL, total // _SEALS)))
            with ReceivedWriter(came, settings, claims, expected=total, threads=os.cpu_count() or 1) as writer:
                run = _AsItIs(remote, writer, at_once, progress)
                run.bring(rows)
        finally:
            progress.end()
    return Brought(run.chunks, run.moved, frozenset(lacking))


def _is_much(index: RemoteIndex, names: Iterable[bytes], least: int) -> bool:
    """Whether these have so many stored bytes, without what they rest on."""
    sizes = accumulate(place.record_size for name in names for place in index.copies(name)[:1])
    return any(size >= least for size in sizes)


def _into_shared(
    remote: Remote,
    index: RemoteIndex,
    shared: SharedStore,
    settings: StoreSettings,
    wanted: set[bytes],
    jobs: int,
    progress: Progress,
) -> Brought:
    """Bring chunks into the shared store. If it cannot be used, that is no error: they are still lacking then."""
    try:
        store = shared.writable(verify_writes=True, pack_size=settings.pack_size)
        levels, lacking = _plan(index, _claimable(store), wanted)
        need = sum(one.place.record_size + _ROW for level in levels for one in level) + _ROW
        if not has_room(remote, shared, need, progress):
            progress.warn(f"the shared store {shared.root} is full: {need:,} bytes go to the repository")
            return Brought()
        register(shared.root, remote.repo.common_dir, shared.space)
        return _receive(remote, store, levels, lacking, jobs, progress)
    except (IntegrityError, Refused, UsageError, OSError) as error:
        progress.warn(f"the shared store {shared.root} cannot be used: {error}")
        return Brought()


def _receive(
    remote: Remote,
    store: ChunkStore,
    levels: list[list[_Wanted]],
    lacking: set[bytes],
    jobs: int,
    progress: Progress,
) -> Brought:
    """Bring what was planned for `store` into it."""
    progress.begin("receiving", sum(one.place.record_size for level in levels for one in level))
    try:
        # It is told at home: the shared store keeps no list of who writes.
        with intents.register(remote.repo.intents_dir, "fetch") as intent, store.writer(intent) as writer:
            run = _Run(remote, store, writer, jobs or remote.backend.capabilities.parallel, progress)
            try:
                for level in levels:  # chunks of one depth: none rests on another
                    run.bring(level)
            except (MvcError, OSError, KeyboardInterrupt):
                writer.flush()  # what came is whole, and is not asked for again
                raise
    finally:
        progress.end()
    return Brought(run.chunks, run.moved, frozenset(lacking))


def bring_files(
    remote: Remote,
    tips: Collection[str],
    *,
    wants: Callable[[str], bool] = lambda path: True,
    jobs: int = 0,
    progress: Progress = SILENT,
) -> Brought:
    """Bring all chunks that the whole history of these objects names, of files that `wants` says, by their path."""
    repo = remote.repo
    chunks = open_chunks(repo)
    total = Brought()
    waiting: set[bytes] = set()

    def go() -> None:
        nonlocal total
        found = bring(remote, waiting, jobs=jobs, progress=progress)
        total = total.plus(found)
        waiting.clear()
        chunks.reload()

    for file in chunked_files(repo.objects, walk_objects(repo.objects, tips)):
        if not wants(file.path):
            continue
        lists = [ref.name for segment in file.manifest.segments for ref in segment.lists]
        if not all(chunks.has(name) for name in lists):
            waiting.update(lists)
            go()
        if total.lacking.intersection(lists):
            continue
        waiting.update(name for name in chunk_names(chunks, file.manifest) if not chunks.has(name))
        if len(waiting) >= _BATCH:
            go()
    go()
    return total


Stands = Callable[[bytes, int], bool]
"""Whether a chunk is here at a depth below that, for others to rest on."""


def _claimable(chunks: ChunkStore) -> Stands:
    """What a session of the store finds (and claims, when it takes what rests on it)."""

    def stands(name: bytes, below: int) -> bool:
        here = chunks.find_own(name)
        return here is not None and here.depth < below

    return stands


def _plan(index: RemoteIndex, stands: Stands, wanted: set[bytes]) -> tuple[list[list[_Wanted]], set[bytes]]:
    """What to bring, by depth, in the order of packs; and what the remote has not."""
    levels: list[dict[bytes, Location]] = [{} for _ in range(MAX_DEPTH + 1)]
    lacking: set[bytes] = set()
    pending = [(name, MAX_DEPTH + 1) for name in wanted]
    while pending:
        name, below = pending.pop()
        place = next((one for one in index.copies(name) if one.depth < below), None)
        if place is None:
            if below <= MAX_DEPTH:
                raise IntegrityError(f"a base of chunks of the remote is not there: {name.hex()}")
            lacking.add(name)
            continue
        if name in levels[place.depth]:
            continue
        levels[place.depth][name] = place
        for base in place.bases:
            if not stands(base, place.depth):
                pending.append((base, place.depth))
    rows = [[_Wanted(name, place) for name, place in level.items()] for level in levels]
    for row in rows:
        row.sort(key=lambda one: (one.place.pack, one.place.offset))
    return rows, lacking


class _Requests:
    """Requests in several threads, no more under way than `jobs`; each stores what it brought."""

    def __init__(self, remote: Remote, jobs: int, progress: Progress) -> None:
        self._remote = remote
        self._jobs, self._progress = max(1, jobs), progress
        self._lock = threading.Lock()
        self.chunks = 0
        self.moved = 0

    def bring(self, rows: Sequence[_Wanted]) -> None:
        """Bring and store these. Raises what failed first."""
        with ThreadPoolExecutor(self._jobs, thread_name_prefix="receive") as pool:
            running: set[Future[None]] = set()
            try:
                for batch in runs(rows):
                    running.add(pool.submit(self._range, batch))
                    while len(running) > 2 * self._jobs:
                        done, running = wait(running, return_when=FIRST_COMPLETED)
                        for future in done:
                            future.result()
                for future in running:
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _range(self, rows: Sequence[_Wanted]) -> None:
        first, last = rows[0].place, rows[-1].place
        key = keys.chunk_pack(first.pack.hex())
        length = last.offset + last.record_size - first.offset
        try:
            data = memoryview(self._remote.backend.get(key, first.offset, length))
        except NotFound as error:
            raise IntegrityError(f"{self._remote.backend.url} lacks its '{key}'", hint="repeat it") from error
        records: list[tuple[_Wanted, memoryview]] = []
        for one in rows:
            start = one.place.offset - first.offset
            records.append((one, data[start : start + one.place.record_size]))
        self._store(records, key)
        with self._lock:
            self.moved += len(data)

    def _store(self, records: Sequence[tuple[_Wanted, memoryview]], key: str) -> None:
        raise NotImplementedError

    def _stored(self, records: Sequence[tuple[_Wanted, memoryview]]) -> None:
        self._progress.advance(sum(len(record) for _, record in records))
        with self._lock:
            self.chunks += len(records)

    def _checked(self, one: _Wanted, record: memoryview) -> tuple[RecordHeader, memoryview]:
        """Header and payload of a record that matches its checksum, and is what the idx says."""
        if len(record) != one.place.record_size or not is_sound(record):
            raise IntegrityError("the bytes do not match their checksum")
        return parse_record(record, one.name, one.place)

    def _from(self, one: _Wanted, key: str, error: IntegrityError) -> IntegrityError:
        where = f"{self._remote.backend.url} '{key}' at {one.place.offset}"
        return IntegrityError(f"chunk {one.name.hex()} from {where}: {error.message}")


class _AsItIs(_Requests):
    """Stores records as they come."""

    def __init__(self, remote: Remote, writer: ReceivedWriter, jobs: int, progress: Progress) -> None:
        super().__init__(remote, jobs, progress)
        self._writer = writer

    def _store(self, records: Sequence[tuple[_Wanted, memoryview]], key: str) -> None:
        for one, record in records:
            try:
                self._checked(one, record)
            except IntegrityError as error:
                raise self._from(one, key, error) from error
        self._writer.add([(one.name, one.place, record) for one, record in records])
        self._stored(records)


class _Run(_Requests):
    """Decodes records, and stores what is right."""

    def __init__(self, remote: Remote, store: ChunkStore, writer: PackWriter, jobs: int, progress: Progress) -> None:
        super().__init__(remote, jobs, progress)
        self._store_at, self._writer = store, writer

    def _store(self, records: Sequence[tuple[_Wanted, memoryview]], key: str) -> None:
        for row in records:
            self._add(*row, key)
            self._stored((row,))

    def _add(self, one: _Wanted, record: memoryview, key: str) -> None:
        try:
            header, payload = self._checked(one, record)
            encoded = Encoded(header.codec, header.params, (payload,))
            self._writer.add(
                one.name,
                encoded,
                raw_size=header.raw_size,
                bases=header.bases,
                depth=header.depth,
                again=self._store_at.find_own(one.name) is not None,
            )
        except IntegrityError as error:
            raise self._from(one, key, error) from error


class FromRemotes:
    """What `Repository.missing_chunks` is set to: brings missing chunks from the repository's remotes, in turn.

    `opened` opens a remote (ops knows the environment); none is before the first miss. `close` it at the end.
    """

    def __init__(
        self,
        repo: Repository,
        opened: Callable[[RemoteConfig], Remote],
        *,
        jobs: int = 0,
        progress: Progress = SILENT,
    ) -> None:
        self._repo, self._opened, self._jobs, self._progress = repo, opened, jobs, progress
        self._lock = threading.Lock()
        self._remotes: dict[str, Remote] = {}
        self.moved = 0
        """Bytes that came so far."""

    def __call__(self, names: Collection[bytes]) -> None:
        """Bring these. Raises MissingObject naming the remotes that were asked where one cannot be had."""
        tried: dict[str, MvcError | None] = {}
        left = frozenset(names)
        with self._lock:
            for config in configured(self._repo.config):
                try:
                    found = bring(self._remote(config), left, jobs=self._jobs, progress=self._progress)
                    self.moved += found.moved
                    left, tried[config.name] = found.lacking, None
                except (NetworkError, AuthError, NotFound) as error:
                    tried[config.name] = error
                if not left:
                    return
        failures = [error for error in tried.values() if error is not None]
        if failures:
            raise failures[0]
        where = f"in {' or '.join(tried)}" if tried else "there is no remote to ask"
        raise MissingObject(f"chunk {min(left).hex()} is neither here nor {where}", hint="mvc fsck")

    def _remote(self, config: RemoteConfig) -> Remote:
        if config.name not in self._remotes:
            self._remotes[config.name] = self._opened(config)
        return self._remotes[config.name]

    def close(self) -> None:
        """Close the remotes that were opened; they are opened again when needed."""
        with self._lock:
            while self._remotes:
                self._remotes.popitem()[1].close()
