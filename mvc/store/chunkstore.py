"""The chunk store: chunks by name, in packs that idx files find them in.

Reading takes no lock. What a reader has opened stays readable when gc removes it; a lookup that
misses, or meets a pack that is gone, reloads the list of idx files and looks again.

    with store.intend("add") as intent, store.writer(intent) as writer:
        if writer.begin(name):                       # False: it stands already, nothing to encode
            writer.add(name, encoded, raw_size=..., bases=..., depth=...)
        writer.flush()                               # durable from here on
        intent.check()
        ...publish in stage or refs...               # before the intent ends: see intents.py
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mvc import fsio
from mvc.errors import IntegrityError, MissingObject, UsageError
from mvc.hashing import chunk_namer
from mvc.lazy import load
from mvc.progress import SILENT, Progress
from mvc.settings import StoreSettings
from mvc.store import intents
from mvc.store.files import OpenPacks, StorePaths
from mvc.store.idxset import IdxSet
from mvc.store.intents import Intent
from mvc.store.packfile import PackFile
from mvc.store.reading import ChunkReader, Nearby, RawCache
from mvc.store.received import Received
from mvc.store.records import Buffer, Location, RecordHeader, is_sound, parse_lead
from mvc.store.writer import Elsewhere, PackWriter

if TYPE_CHECKING:
    from mvc.store.report import Cutoff, Damage, PackInfo, Reencoder, RepackResult, StoreStatistics, SweepResult
    from mvc.store.settling import Settling
    from mvc.store.shared import SharedStore

UPKEEP = {
    "packs": "mvc.store.statistics:packs",
    "gather": "mvc.store.statistics:gather",
    "verify": "mvc.store.verify:verify",
    "rebuild": "mvc.store.sweep:rebuild_idx",
    "begin sweep": "mvc.store.sweep:begin",
    "sweep": "mvc.store.sweep:remove_unreachable",
    "repack": "mvc.store.repack:repack",
    "settling": "mvc.store.settling:Settling",
}
"""Loaded when it is asked for: it needs numpy, which reading and adding chunks do without."""

CACHE_BYTES = 16 * 1024 * 1024
"""Raw chunks that are held as likely bases of the next ones read."""


Missing = Callable[[Collection[bytes]], None]
"""Brings chunks into the store from elsewhere."""


class Stream(Protocol):
    """Reads chunks elsewhere, and stores none."""

    def expect(self, names: Iterable[bytes]) -> None:
        """Say that these will be read, in about this order. Raises MissingObject if one cannot be."""

    def read(self, name: bytes, nearby: Nearby | None = None) -> Buffer:
        """The chunk's raw bytes, verified."""


Promised = Callable[[bytes], bool]
"""Whether a remote was seen to hold a chunk."""


_BRINGS = 8
"""How often a chunk is brought for one read: others may make room in the shared store before it is read there."""


class ChunkStore:
    """Chunks by name. One object may be used from several threads.

    With a `shared` store behind it, a chunk that is not here is found and read there. What lists, counts, checks
    and removes chunks, and `find_own`, know of this store alone; what is written goes here.
    """

    def __init__(
        self,
        paths: StorePaths,
        settings: StoreSettings,
        *,
        mapped: bool,
        missing: Missing | None = None,
        streamed: Stream | None = None,
        shared: SharedStore | None = None,
        promised: Promised | None = None,
        received: Path | None = None,
    ) -> None:
        self._paths = paths
        self._settings = settings
        self._bring = missing
        self._streamed = streamed
        self._shared = shared
        self._promised = promised
        self._idx = IdxSet(paths.idx, mapped=mapped, wary=paths.shared)
        self._packs = OpenPacks(paths)
        self._cache = RawCache(CACHE_BYTES)
        self._mapped = mapped
        self._namer = chunk_namer(settings.naming)
        self._reader = ChunkReader(self._idx.copies, self._packs.fetch, self._idx.reload, self._namer, self._cache)
        self._received_folder = received
        self._received: Received | None = None
        self._look_for_received()

    @classmethod
    def open(
        cls,
        chunks_dir: Path,
        tmp_dir: Path,
        settings: StoreSettings,
        *,
        create: bool = False,
        mapped: bool = True,
        locks_dir: Path | None = None,
        intents_dir: Path | None = None,
        missing: Missing | None = None,
        streamed: Stream | None = None,
        shared: SharedStore | None = None,
        promised: Promised | None = None,
        received: Path | None = None,
    ) -> ChunkStore:
        """The store in `chunks_dir`. With `mapped` false the idx files are read whole (network file systems).

        `locks_dir` and `intents_dir` are `locks` and `intents` beside `chunks_dir` unless given.
        `missing` brings chunks that `read` and `ensure` do not find into the store, or raises; `streamed`, in
        place of it, reads them elsewhere and stores nothing. A writer does not
        store what `shared` has and `promised` says a remote holds, too.
        `received` is the folder of what came from remotes and was not decoded yet (docs/format/received.md).
        A folder that is not there is an empty store, and is made with `create`, or when something is written.
        An idx that is damaged, or of a newer mvc, is left out: `verify` names it.
        """
        beside = chunks_dir.parent
        paths = StorePaths(chunks_dir, tmp_dir, locks_dir or beside / "locks", intents_dir or beside / "intents")
        if create:
            for folder in (paths.packs, paths.idx, paths.tmp, paths.locks, paths.intents):
                fsio.make_dirs(folder)
        return cls(
            paths,
            settings,
            mapped=mapped,
            missing=missing,
            streamed=streamed,
            shared=shared,
            promised=promised,
            received=received,
        )

    @property
    def paths(self) -> StorePaths:
        return self._paths

    @property
    def settings(self) -> StoreSettings:
        return self._settings

    def close(self) -> None:
        """Close the packs that are open. The store may be used on: it opens them again."""
        self._packs.close()
        if self._received is not None:
            self._received.close()

    # Looking up -----------------------------------------------------------------------------

    @property
    def shared(self) -> SharedStore | None:
        """The store behind this one."""
        return self._shared

    def find(self, name: bytes) -> Location | None:
        """Where the chunk lies, or None. Looks at the idx files as loaded; `reload` sees newer ones."""
        found = self.find_own(name)
        return self._shared.find(name) if found is None and self._shared is not None else found

    def find_own(self, name: bytes) -> Location | None:
        """As `find`, but in this store alone."""
        found = self._idx.find(name)
        return None if found is None else found[0].location(found[1])

    def __contains__(self, name: bytes) -> bool:
        return self._idx.find(name) is not None or (self._shared is not None and name in self._shared)

    def reload(self) -> bool:
        """Look for idx files that came or went; whether there were any."""
        changed = self._shared is not None and self._shared.reload()
        if self._received is None:
            self._look_for_received()
        elif self._received.idx.reload():
            changed = True
        return self._idx.reload() or changed

    # What was received and not decoded -------------------------------------------------------

    @property
    def received(self) -> Received | None:
        """What came from remotes and was not decoded yet, if anything did."""
        return self._received

    def receiving(self) -> Received:
        """The same, to put something there."""
        if self._received_folder is None:
            raise UsageError("this store receives nothing")
        if self._received is None:
            fsio.make_dirs(self._received_folder / "idx")
            self._look_for_received()
        assert self._received is not None
        return self._received

    def has(self, name: bytes) -> bool:
        """Whether the chunk can be read without a remote, by what is known before it is. (`in` says whether it is
        stored, and known to be right.)"""
        return name in self or (self._received is not None and name in self._received)

    def settle(self, progress: Progress = SILENT, *, read: bool = False) -> list[Damage]:
        """Make what was received this store's own: what does not decode to its name goes, and is returned.

        With `read` only whole packs of which all was read by this object; nothing else is decoded.
        """
        received = self._received
        if received is None or not received.packs():
            return []
        with self.intend("settle") as intent:
            settling: Settling = load(UPKEEP["settling"])(
                received, self._idx, self._paths, self._namer, intent, lambda: self.writer(intent)
            )
            if read:
                settling.take_read()
            else:
                settling.take_all(self._settings.threads or os.cpu_count() or 1, progress)
        return settling.damage

    def _look_for_received(self) -> None:
        folder = self._received_folder
        if folder is not None and (folder / "idx").is_dir():
            paths = self._paths
            at = StorePaths(folder, paths.tmp, paths.locks, paths.intents)
            self._received = Received(at, self._idx, self._packs, self._namer, self._cache, mapped=self._mapped)

    # Reading --------------------------------------------------------------------------------

    def read(self, name: bytes, *, out: bytearray | memoryview | None = None, nearby: Nearby | None = None) -> Buffer:
        """The chunk's raw bytes, verified against its name. With `out` (of just its size) decoded into it, as a rule.

        Do not change what comes back without `out`: it may be held as the base of another read. `nearby` may
        spare reading the chunk or its bases here; what it tells is verified as everything is.
        After an error `out` may hold anything. Raises MissingObject if the chunk is not here,
        IntegrityError (naming pack and chunk) if no sound copy is.
        """
        for attempt in range(_BRINGS + 1):
            try:
                return self._reader.read(name, out, nearby)
            except MissingObject as error:
                missing = error
            found = self._read_beside(name, out, nearby)
            if found is not None:
                return found
            if self._streamed is not None:
                return self._streamed.read(name, nearby)
            if self._bring is None or self._idx.broken or attempt == _BRINGS:
                break
            if self.find_own(name) is None:  # (else another process has just brought it)
                self._bring((name,))  # also one that is spoilt in the shared store
                self.reload()
        raise self._missing(missing) from missing

    def _read_beside(self, name: bytes, out: bytearray | memoryview | None, nearby: Nearby | None) -> Buffer | None:
        """A chunk that is not the store's own, from the shared store or from what was received."""
        found = self._shared.read(name, out, nearby) if self._shared is not None else None
        if found is None and self._received is not None:
            found = self._read_received(self._received, name, out, nearby)
            if found is None and self.find_own(name) is None:
                self._idx.reload()
            if found is None and self.find_own(name) is not None:
                found = self._reader.read(name, out, nearby)  # it has just become the store's own
        return found

    def _read_received(
        self, received: Received, name: bytes, out: bytearray | memoryview | None, nearby: Nearby | None
    ) -> Buffer | None:
        try:
            return received.read(name, out, nearby)
        except (IntegrityError, MissingObject):
            if self._bring is None and self._streamed is None:
                raise
            return None  # it comes anew, and is looked at before it is stored: that tells which pack of a remote lies

    def ensure(self, names: Iterable[bytes]) -> None:
        """Bring those of `names` that are not here, all at once, where this store knows from where; raises if it fails.

        Without that, nothing is done: `read` tells what is lacking.
        """
        if self._streamed is not None:
            self._streamed.expect(name for name in names if not self.has(name))
        if self._bring is None or self._streamed is not None:
            return
        names = set(names)
        if self._shared is not None:
            self._shared.use(name for name in names if self.find_own(name) is None)
        lacking = {name for name in names if not self.has(name)}
        if lacking and self.reload():
            lacking = {name for name in lacking if not self.has(name)}
        if lacking:
            self._bring(lacking)
            self.reload()

    def use_pack(self, pack_id: bytes) -> None:
        """Open a pack that will be read from. Raises FileNotFoundError."""
        self._packs.open(pack_id)

    def header(self, name: bytes) -> RecordHeader:
        """All of the chunk's record but its payload. Raises as `read` does."""
        return parse_lead(self._record(name, lambda data: True))

    def read_stored(self, name: bytes) -> bytes:
        """The chunk's whole record as it stands in its pack, its checksum verified. Raises as `read` does.

        One from the shared store was also decoded, and held against its name.
        """
        return self._record(name, is_sound)

    def lead(self, name: bytes, place: Location) -> bytes:
        """What stands before the payload of a record of this store itself, held against what the idx says, and not
        against its checksum. Raises IntegrityError."""
        data = self._packs.lead(place)
        header = parse_lead(data)
        if header.name != name or header.located(place.pack, place.offset) != place or len(data) != header.lead_size:
            raise IntegrityError("the record is not what the idx says it is")
        return data

    def read_into(self, place: Location, out: memoryview) -> None:
        """The whole record at `place`, in this store itself, into `out`, which has just its size.

        Its checksum is verified. Raises IntegrityError, also where gc has moved it.
        """
        self._packs.fetch_into(place, out)
        if not is_sound(out):
            raise IntegrityError(f"the record in pack {place.pack.hex()} at {place.offset} is damaged", hint="mvc fsck")

    def lying(self, place: Location) -> PackFile:
        """The pack of a record of this store itself, open, which goes to the record's end: to be read at `place`, and
        trusted for nothing. Raises IntegrityError, also where gc has moved it."""
        return self._packs.lying(place)

    def names(self) -> Iterator[bytes]:
        """The names of all chunks, each once, in order."""
        last = b""
        for name in heapq.merge(*(idx.names() for idx in self._idx.all)):
            if name != last:
                yield name
                last = name

    def records(self) -> Iterator[tuple[bytes, Location]]:
        """All records of all packs; a chunk that is stored twice comes twice."""
        return self._idx.records()

    def packs(self) -> list[PackInfo]:
        """All packs that an idx lists."""
        found: list[PackInfo] = load(UPKEEP["packs"])(self._idx, self._paths)
        return found

    def statistics(self) -> StoreStatistics:
        result: StoreStatistics = load(UPKEEP["gather"])(self._idx)
        return result

    # Writing --------------------------------------------------------------------------------

    def intend(self, what: str) -> Intent:
        """Register that this process is about to write (see intents.py). A context manager."""
        return intents.register(self._paths.intents, what)

    def writer(self, intent: Intent) -> PackWriter:
        """A session that stores chunks; `intent` must outlive what publishes them. A context manager."""
        self._idx.reload()
        shared, promised = self._shared, self._promised
        elsewhere = Elsewhere(shared, promised) if shared is not None else None
        return PackWriter(self._paths, self._settings, self._idx, self._packs, self._cache, intent, elsewhere)

    # Upkeep ---------------------------------------------------------------------------------

    def verify(self, progress: Progress = SILENT, *, decode: bool = True) -> list[Damage]:
        """Check every byte of every pack and idx; with `decode` also that each chunk decodes to its name."""
        check = load(UPKEEP["verify"])
        found: list[Damage] = check(
            self._paths, self._idx, self._packs, self._reader, self._settings, progress, decode=decode
        )
        return found

    def rebuild_idx(self, progress: Progress = SILENT) -> list[Damage]:
        """Write one new idx over all packs, from the packs alone, in place of those that stand.

        What is damaged is left out and returned.
        """
        found: list[Damage] = load(UPKEEP["rebuild"])(self._paths, self._idx, progress)
        return found

    def begin_sweep(self, *, grace_seconds: float, tmp_grace_seconds: float = 3600.0) -> Cutoff:
        """The first step of gc: to be called BEFORE reading refs, stage and reflogs for what is live."""
        cutoff: Cutoff = load(UPKEEP["begin sweep"])(self._paths, grace_seconds, tmp_grace_seconds)
        # Only now: what rests on a chunk here and is received later has claimed that chunk's pack after the cutoff.
        self.settle()
        return cutoff

    def remove_unreachable(
        self,
        live: Container[bytes],
        cutoff: Cutoff,
        *,
        dry_run: bool = False,
        prune_now: bool = False,
        shallow: Container[bytes] = (),
        progress: Progress = SILENT,
    ) -> SweepResult:
        """The second step of gc: remove chunks that are neither `live` nor bases of live ones, nor too young.

        A pack with live and dead chunks is rewritten only where that frees a fair share of it, or
        with `prune_now`. Of the chunks `shallow` the copy of the least depth is kept, however large. Crash-safe: new
        packs and idx are durable before old ones go. Also removes what crashed writers left in `tmp/`, and indexes
        packs that no idx lists. Raises Locked, IntegrityError if an idx is damaged (then nothing is removed).
        """
        if self._received is not None and not dry_run:
            self._received.sweep(cutoff.packs_ns)
        result: SweepResult = load(UPKEEP["sweep"])(
            self._paths,
            self._idx,
            self._packs,
            self._settings,
            live,
            cutoff,
            dry_run=dry_run,
            prune_now=prune_now,
            shallow=shallow,
            progress=progress,
        )
        return result

    def repack(self, reencode: Reencoder, intent: Intent, *, progress: Progress = SILENT) -> RepackResult:
        """Store chunks anew as `reencode` says, where that is smaller. The old copies go with the next sweep."""
        with self.writer(intent) as writer:
            result: RepackResult = load(UPKEEP["repack"])(self._idx, self._reader, writer, reencode, progress)
        return result

    # ----------------------------------------------------------------------------------------

    def _record(self, name: bytes, accept: Callable[[Buffer], bool]) -> bytes:
        try:
            return self._reader.record(name, accept)
        except MissingObject as error:
            found = self._shared.record(name) if self._shared is not None else None
            if found is not None:
                return found
            spoilt = self._shared is not None and name in self._shared and self.find_own(name) is None
            if not spoilt or self._bring is None:
                raise self._missing(error) from error
        self._bring((name,))
        self.reload()
        return self._reader.record(name, accept)

    def _missing(self, error: MissingObject) -> IntegrityError:
        broken = self._idx.broken
        if not broken:
            return error
        return MissingObject(f"{error.message}; but {broken[0][1].message}", hint="mvc fsck --rebuild-idx")
