"""Removing what nothing refers to. How writers are kept from harm is argued in intents.py.

    begin              note the time and who is writing, before the caller finds out what is live
    remove_unreachable
        finish         what a gc that was killed had begun
        adopt          index packs that no idx lists (a writer was killed before it wrote the idx)
        plan           which records stay, which packs go (sweepplan.py)
        copy           records that stay, out of packs that go: new packs and their idx, durable
        condemn        publish the list of packs to go; keep those that a writer has claimed since the plan
        remove         idx files without them, durable, in place of the old; then the packs; then the list

A crash before "remove" leaves everything there was, and perhaps some copies; a crash in it leaves garbage
that the next gc finishes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Container
from pathlib import Path

import numpy as np

from mvc import fsio
from mvc.errors import IntegrityError
from mvc.progress import Progress
from mvc.settings import StoreSettings
from mvc.store import compact, condemned, intents
from mvc.store.files import OpenPacks, StorePaths
from mvc.store.graph import Graph
from mvc.store.holder import fs_now
from mvc.store.idxbuild import Array
from mvc.store.idxset import IdxSet
from mvc.store.intents import Claims
from mvc.store.locks import hold, remove_stale
from mvc.store.packfile import PackBuilder, list_packs
from mvc.store.rebuild import index_packs, replace_all
from mvc.store.records import Location, is_sound, parse_record
from mvc.store.report import Cutoff, Damage, SweepResult
from mvc.store.sealing import seal
from mvc.store.sweepplan import Plan, make_plan, recheck


def begin(paths: StorePaths, grace_seconds: float, tmp_grace_seconds: float) -> Cutoff:
    """Note the time, and then who is writing. See intents.py."""
    fsio.make_dirs(paths.tmp)
    now = fs_now(paths.tmp)
    writers = [one for one in intents.list_intents(paths.intents) if one.alive]
    oldest = min((one.start_ns for one in writers), default=now)
    writers_ns = min(now, oldest)
    return Cutoff(
        packs_ns=min(writers_ns, now - int(grace_seconds * 1e9)),
        writers_ns=writers_ns,
        tmp_ns=min(writers_ns, now - int(tmp_grace_seconds * 1e9)),
        writers=tuple(one.describe() for one in writers),
    )


def remove_unreachable(
    paths: StorePaths,
    idx: IdxSet,
    packs: OpenPacks,
    settings: StoreSettings,
    live: Container[bytes],
    cutoff: Cutoff,
    *,
    dry_run: bool,
    prune_now: bool,
    shallow: Container[bytes] = (),
    progress: Progress,
) -> SweepResult:
    """See `ChunkStore.remove_unreachable`."""
    if dry_run:
        return _dry_run(paths, idx, settings, live, cutoff, prune_now)
    with hold(paths.sweep_lock, what="gc"):
        finish(paths, idx)
        adopt(paths, idx, progress)
        _check(idx)
        graph = Graph(idx.all)
        mtimes = pack_times(paths, graph)
        plan = make_plan(graph, live, mtimes, cutoff, settings, rewrite_all=prune_now, shallow=shallow)
        if plan.copied_bytes > shutil.disk_usage(paths.chunks).free:
            progress.warn("no room to rewrite packs that hold both live and dead chunks: only whole packs are removed")
            plan = make_plan(graph, live, mtimes, cutoff, settings, rewrite_all=False, rewrite=False)
        written, damaged = _copy(paths, packs, settings, graph, plan, progress)
        plan = recheck(graph, plan, damaged)
        plan = _condemn(paths, graph, plan, mtimes, progress)
        finish(paths, idx)
        for pack_id in plan.victims:
            packs.forget(pack_id)
        compact.compact(paths, idx)
        return plan.result(graph, written, clean_tmp(paths, cutoff))


def finish(paths: StorePaths, idx: IdxSet) -> None:
    """Remove the packs that were condemned for good. The caller holds the sweep lock."""
    try:
        listed = condemned.read(paths.condemned)
    except IntegrityError:
        listed = condemned.Condemned(frozenset(), False)  # it cannot be told what was begun: all is planned anew
    if listed.final:
        with hold(paths.idx_lock, what="gc", wait=60.0):
            idx.reload()
            old = [one for one in idx.all if any(pack_id in listed.packs for pack_id, _ in one.packs)]
            if old:
                compact.replace(paths, idx, old, without=listed.packs)
        folders = set()
        for pack_id in sorted(listed.packs):
            path = paths.pack(pack_id)
            if path.exists():
                paths.check_folder(path.parent)
                fsio.unlink(path, missing_ok=True)
                folders.add(path.parent)
        for folder in sorted(folders):
            fsio.fsync_dir(folder)
    if listed is not condemned.NOTHING:
        fsio.unlink(paths.condemned, missing_ok=True)
        fsio.fsync_dir(paths.chunks)


def adopt(paths: StorePaths, idx: IdxSet, progress: Progress) -> None:
    """Index the packs that no idx lists. The caller holds the sweep lock."""
    found = list_packs(paths.packs)
    idx.reload()
    lost = {pack_id: path for pack_id, path in found.items() if pack_id not in idx.pack_sizes()}
    for damage in index_packs(paths, lost)[1]:
        progress.warn(f"{damage.path.name}: {damage.message}")
    idx.reload()


def rebuild_idx(paths: StorePaths, idx: IdxSet, progress: Progress) -> list[Damage]:
    """See `ChunkStore.rebuild_idx`."""
    with hold(paths.sweep_lock, what="rebuilding idx"):
        finish(paths, idx)
        with hold(paths.idx_lock, what="rebuilding idx", wait=60.0):
            return replace_all(paths, idx, progress)


def clean_tmp(paths: StorePaths, cutoff: Cutoff) -> tuple[str, ...]:
    """Remove what processes that were killed left in `tmp/`, `intents/` and `locks/`."""
    removed: list[str] = []
    for path in sorted(paths.tmp.iterdir()):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime_ns < cutoff.tmp_ns:
                fsio.unlink(path)
                removed.append(path.name)
    intents.remove_dead(paths.intents, intents.list_intents(paths.intents), before_ns=cutoff.tmp_ns)
    remove_stale(paths.locks, before_ns=cutoff.tmp_ns)
    return tuple(removed)


def pack_times(paths: StorePaths, graph: Graph) -> Array:
    """When each pack was written or claimed last, in nanoseconds; 0 for one that is missing."""
    return np.array([_pack_time(paths.pack(pack_id)) for pack_id, _ in graph.packs], np.int64)


def _pack_time(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDONLY)  # opening, as a network file system then asks its server
    except FileNotFoundError:
        return 0
    try:
        return os.fstat(fd).st_mtime_ns
    finally:
        os.close(fd)


def _check(idx: IdxSet) -> None:
    """Raises IntegrityError if the word of an idx cannot be relied on."""
    for _, error in idx.broken:
        raise IntegrityError(error.message, hint="mvc fsck --rebuild-idx")
    for one in idx.all:
        one.check()


def _dry_run(
    paths: StorePaths, idx: IdxSet, settings: StoreSettings, live: Container[bytes], cutoff: Cutoff, prune_now: bool
) -> SweepResult:
    idx.reload()
    _check(idx)
    graph = Graph(idx.all)
    plan = make_plan(graph, live, pack_times(paths, graph), cutoff, settings, rewrite_all=prune_now)
    old = [path.name for path in paths.tmp.glob("*") if path.is_file() and path.stat().st_mtime_ns < cutoff.tmp_ns]
    return plan.result(graph, (), tuple(sorted(old)))


def _copy(
    paths: StorePaths, packs: OpenPacks, settings: StoreSettings, graph: Graph, plan: Plan, progress: Progress
) -> tuple[tuple[bytes, ...], frozenset[bytes]]:
    """Copy the records that stay out of the packs that go.

    Returns the ids of the new packs, and of those old ones that must stay as something in them is damaged.
    """
    copier = _Copier(paths, settings)
    damaged: set[bytes] = set()
    progress.begin("rewriting packs", plan.copied_bytes)
    try:
        for row in graph.in_pack_order(plan.copied):
            name, place = graph.name(row), graph.location(row)
            progress.advance(place.record_size)
            try:
                copier.copy(name, place, packs.fetch(place))
            except IntegrityError as error:
                if place.pack not in damaged:
                    progress.warn(f"pack {place.pack.hex()} stays: chunk {name.hex()} is damaged: {error.message}")
                damaged.add(place.pack)
        copier.seal()
    finally:
        progress.end()
        copier.discard()
    return tuple(copier.written), frozenset(damaged)


class _Copier:
    """Puts records into new packs, as they are."""

    def __init__(self, paths: StorePaths, settings: StoreSettings) -> None:
        self._paths, self._settings = paths, settings
        self._claims = Claims(paths.condemned)
        self._pack: PackBuilder | None = None
        self._records: dict[bytes, Location] = {}
        self.written: list[bytes] = []

    def copy(self, name: bytes, place: Location, data: bytes) -> None:
        """Append a whole record. Raises IntegrityError if it is not sound."""
        header, payload = parse_record(data, name, place)
        if not is_sound(data):
            raise IntegrityError("its bytes do not match its checksum")
        if self._pack is None:
            self._pack = PackBuilder(self._paths.tmp, self._settings.naming)
        offset = self._pack.append(data[: header.lead_size], (payload,))
        self._records[name] = place._replace(offset=offset)
        if self._pack.size >= self._settings.pack_size:
            self.seal()

    def seal(self) -> None:
        """Make what was copied durable."""
        if self._pack is not None:
            self.written.append(seal(self._paths, self._pack, self._records, self._claims))
            self._pack, self._records = None, {}

    def discard(self) -> None:
        """Drop what is not sealed."""
        if self._pack is not None:
            self._pack.discard()


def _condemn(paths: StorePaths, graph: Graph, plan: Plan, mtimes: Array, progress: Progress) -> Plan:
    """Publish which packs are to go, and take back those that a writer has claimed since the plan was made."""
    if not plan.victims:
        return plan
    condemned.write(paths.condemned, plan.victims, paths.tmp, final=False)
    far = [one for one in intents.list_intents(paths.intents) if one.alive and not one.near]
    if far:
        progress.warn(f"nothing is removed while another machine writes: {far[0].describe()}")
        claimed: Collection[bytes] = plan.victims
    else:
        claimed = [
            pack_id
            for (pack_id, _), mtime in zip(graph.packs, mtimes.tolist(), strict=True)
            if pack_id in plan.victims and _pack_time(paths.pack(pack_id)) != mtime
        ]
    plan = recheck(graph, plan, claimed)
    condemned.write(paths.condemned, plan.victims, paths.tmp, final=True)
    return plan
