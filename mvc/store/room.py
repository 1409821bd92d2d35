"""Making room in a shared store: whole packs go, those first that were used least recently, and only what is held
elsewhere. See docs/format/sharedstore.md.

When a pack was used is its file's time (`files.note_use`, and what writers claim). A pack whose chunks others rest on
counts as used when they were, and goes along with them at the latest: so the store stays closed.

    finish   what a removal that was killed had begun
    index    packs that no idx lists; those that cannot be, and idx that lie, are of no use to anybody: they go
    choose   packs, by use; each is asked for before it may go
    condemn  publish the list (a writer that counts on one of them sees it); those used since stay
    remove   idx without them, then packs, then the list

Who reads meanwhile reads on from what is open, and else looks for the chunk in its remote.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvc import fsio
from mvc.errors import IntegrityError
from mvc.progress import SILENT, Progress
from mvc.settings import MAX_DEPTH
from mvc.store import condemned, idxbuild
from mvc.store.files import StorePaths
from mvc.store.graph import Graph
from mvc.store.idx import Idx
from mvc.store.idxset import IdxSet
from mvc.store.locks import hold, remove_stale
from mvc.store.packfile import list_packs
from mvc.store.rebuild import index_packs
from mvc.store.shared import check_folders, space_paths, spaces
from mvc.store.sweep import finish

IN_USE_SECONDS = 3600.0
"""What was used within is not taken: somebody may be about to read it."""
_LEFT_SECONDS = 24 * 3600.0
"""What lies in `tmp` for so long was left by a process that was killed."""
_HELD_AT_ONCE = 1024

Held = Callable[[Sequence[bytes]], bool]
"""Whether all of these chunks are held by a remote, which was asked just now."""


@dataclass(frozen=True, slots=True)
class PackUse:
    """A pack of a shared store: its id, the bytes of its file, its chunks, when it was used last (ns since 1970)."""

    id: bytes
    size: int
    chunks: int
    used_ns: int


class _OnDisk(NamedTuple):
    """A pack's file: its size (-1: it is not there), and its time."""

    size: int
    used_ns: int


@dataclass(frozen=True, slots=True)
class Room:
    """What was removed from a space, or with `dry_run` would be."""

    removed: tuple[PackUse, ...]
    unproven: int
    """Bytes of packs that were to go, had a remote been known to hold them."""
    in_use: int
    """Bytes of packs that were used too recently."""

    @property
    def freed(self) -> int:
        return sum(pack.size for pack in self.removed)


class _Wish(NamedTuple):
    """What is to be freed: see `make_room`."""

    need: int
    in_use_seconds: float
    only: Collection[bytes] | None


def disk_usage(root: Path) -> int:
    """Bytes of all packs and idx, and of what is being written, in all spaces of a store. 0 where there is none."""
    total = 0
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for space in spaces(root):
            paths = space_paths(root, space)
            for folder in (paths.idx, paths.tmp, *_pack_folders(paths)):
                total += sum(_sizes(folder))
    return total


def pack_uses(paths: StorePaths, progress: Progress = SILENT) -> list[PackUse]:
    """The packs of a space that an idx lists, the least recently used first."""
    idx = IdxSet(paths.idx, mapped=False, wary=True)
    leave_out_lies(idx, progress)
    graph = Graph(idx.all)
    found = _look(paths, graph)
    return sorted((_use(graph, found, number) for number in range(len(graph.packs))), key=lambda pack: pack.used_ns)


def make_room(
    root: Path,
    space: str,
    need: int,
    held: Held,
    *,
    in_use_seconds: float = IN_USE_SECONDS,
    only: Collection[bytes] | None = None,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> Room:
    """Free at least `need` bytes of a space, if that can be. Raises Locked, Refused, OSError.

    `only`: these packs (ids) and what rests on them, all of them, whenever they were used.
    """
    paths = space_paths(root, space)
    idx = IdxSet(paths.idx, mapped=False, wary=True)
    if dry_run:
        leave_out_lies(idx, progress)
        return _choose(paths, Graph(idx.all), _Wish(need, in_use_seconds, only), held, progress)[0]
    check_folders(root, space)
    with hold(paths.sweep_lock, what="store prune"):
        for one in leave_out_lies(idx, progress):
            paths.check_folder(paths.idx)
            fsio.unlink(one, missing_ok=True)
        finish(paths, idx)
        _adopt(paths, idx, progress)
        _clean(paths, idx)
        graph = Graph(idx.all)
        room, before = _choose(paths, graph, _Wish(need, in_use_seconds, only), held, progress)
        if not room.removed:
            return room
        condemned.write(paths.condemned, [pack.id for pack in room.removed], paths.tmp, final=False)
        room = _recheck(graph, room, _look(paths, graph), before)
        condemned.write(paths.condemned, [pack.id for pack in room.removed], paths.tmp, final=True)
        finish(paths, idx)
        return room


def leave_out_lies(idx: IdxSet, progress: Progress = SILENT) -> list[Path]:
    """Use only those idx whose every number makes sense; returns the others."""
    for one in idx.all:
        try:
            _check(one)
        except IntegrityError as error:
            progress.warn(error.message)
            idx.leave_out(one, error)
    return [path for path, _ in idx.broken]


def _check(one: Idx) -> None:
    one.check()
    table = idxbuild.from_idx(one)
    entries = table.entries
    ends = entries["base"].astype(np.int64) + entries["nbases"]
    sound = bool((entries["pack"] < len(table.packs)).all() and (ends <= len(table.bases)).all())
    sound = sound and bool((entries["depth"] <= MAX_DEPTH).all())
    if not sound or any(size < 0 or size > 2**60 for _, size in table.packs):
        raise IntegrityError(f"idx {one.path.name} tells of what cannot be")


def _choose(paths: StorePaths, graph: Graph, wish: _Wish, held: Held, progress: Progress) -> tuple[Room, list[_OnDisk]]:
    found = _look(paths, graph)
    leaning: dict[int, list[int]] = defaultdict(list)
    for above, below in graph.leaning().tolist():
        leaning[below].append(above)
    effective = [max(found[one].used_ns for one in _with_leaning(number, leaning)) for number in range(len(found))]
    limit = time.time_ns() - int(wish.in_use_seconds * 1e9)
    going: dict[int, None] = {}
    freed = unproven = in_use = 0
    known = {number: True for number, one in enumerate(found) if one.size < 0}
    """Whether a pack may go: one that is listed and not there needs nobody's word."""
    progress.begin("asking what is held elsewhere", None, "packs")
    try:
        for number in sorted(range(len(found)), key=lambda one: (effective[one], one)):
            if number in going or (wish.only is not None and graph.packs[number][0] not in wish.only):
                continue
            if wish.only is None and effective[number] > limit:
                in_use += max(found[number].size, 0)
                continue
            if wish.only is None and freed >= wish.need:
                break
            unit = [one for one in _with_leaning(number, leaning) if one not in going]
            for one in unit:
                if one not in known:
                    known[one] = _is_held(graph, one, held)
                    progress.advance(1)
            if all(known[one] for one in unit):
                going.update(dict.fromkeys(unit))
                freed += sum(max(found[one].size, 0) for one in unit)
            else:
                unproven += max(found[number].size, 0)
    finally:
        progress.end()
    return Room(tuple(_use(graph, found, number) for number in going), unproven, in_use), found


def _is_held(graph: Graph, number: int, held: Held) -> bool:
    names = graph.names_in(number)
    return all(held(names[at : at + _HELD_AT_ONCE]) for at in range(0, len(names), _HELD_AT_ONCE))


def _recheck(graph: Graph, room: Room, now: list[_OnDisk], before: list[_OnDisk]) -> Room:
    """Without the packs that were used since they were chosen, and those that these rest on."""
    numbers = {pack_id: number for number, (pack_id, _) in enumerate(graph.packs)}
    staying = {numbers[pack.id] for pack in room.removed if now[numbers[pack.id]] != before[numbers[pack.id]]}
    pairs = graph.leaning().tolist()
    while True:
        more = {below for above, below in pairs if above in staying} - staying
        if not more:
            break
        staying |= more
    return Room(tuple(p for p in room.removed if numbers[p.id] not in staying), room.unproven, room.in_use)


def _with_leaning(number: int, leaning: dict[int, list[int]]) -> list[int]:
    """A pack, and all that rest on it, directly or not."""
    found: dict[int, None] = {number: None}
    waiting = [number]
    while waiting:
        for above in leaning.get(waiting.pop(), ()):
            if above not in found:
                found[above] = None
                waiting.append(above)
    return list(found)


def _use(graph: Graph, found: Sequence[_OnDisk], number: int) -> PackUse:
    size, used_ns = found[number]
    return PackUse(graph.packs[number][0], max(size, 0), len(graph.names_in(number)), used_ns)


def _look(paths: StorePaths, graph: Graph) -> list[_OnDisk]:
    """Of each pack what its file tells, whatever an idx says of it."""
    found: list[_OnDisk] = []
    for pack_id, _ in graph.packs:
        try:
            status = os.lstat(paths.pack(pack_id))
            found.append(_OnDisk(status.st_size, status.st_mtime_ns))
        except OSError:
            found.append(_OnDisk(-1, 0))
    return found


def _adopt(paths: StorePaths, idx: IdxSet, progress: Progress) -> None:
    """Index the packs that no idx lists: their writer was killed. Where that cannot be, they are of no use."""
    found = list_packs(paths.packs)
    idx.reload()
    listed = idx.pack_sizes()
    for pack_id, path in found.items():
        if pack_id not in listed:
            try:
                damaged = index_packs(paths, {pack_id: path})[1]
            except OSError as error:
                progress.warn(f"{path.name}: {error.strerror}")
            else:
                for damage in damaged:
                    progress.warn(f"{path.name}: {damage.message}")
    idx.reload()


def _clean(paths: StorePaths, idx: IdxSet) -> None:
    """Remove packs that cannot be read (no idx could be made of them), and what killed processes left."""
    listed = idx.pack_sizes()
    left = time.time() - _LEFT_SECONDS
    for pack_id, path in list_packs(paths.packs).items():
        if pack_id not in listed:
            paths.check_folder(path.parent)
            _remove_old(path, time.time() - IN_USE_SECONDS)
    paths.check_folder(paths.tmp)
    for name in os.listdir(paths.tmp):
        _remove_old(paths.tmp / name, left)
    remove_stale(paths.locks, before_ns=int(left * 1e9))


def _remove_old(path: Path, before: float) -> None:
    with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
        if os.lstat(path).st_mtime < before:
            fsio.unlink(path)


def _pack_folders(paths: StorePaths) -> Iterable[Path]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return [paths.packs / name for name in os.listdir(paths.packs)]
    return ()


def _sizes(folder: Path) -> Iterator[int]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    yield entry.stat(follow_symlinks=False).st_size
