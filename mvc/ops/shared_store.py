"""`mvc store`: what the shared store holds, whether it is sound, and making room in it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mvc import fsio
from mvc.errors import MvcError, NotFound
from mvc.hashing import chunk_namer
from mvc.ops.connect import Outside
from mvc.ops.proving import asking
from mvc.progress import SILENT, Progress
from mvc.repo.repository import Repository
from mvc.settings import StoreSettings
from mvc.store.files import OpenPacks, StorePaths
from mvc.store.idxset import IdxSet
from mvc.store.leaning import Leaning, registered
from mvc.store.reading import ChunkReader, RawCache
from mvc.store.records import Location
from mvc.store.report import Damage
from mvc.store.room import PackUse, Room, disk_usage, leave_out_lies, make_room, pack_uses
from mvc.store.shared import check_folders, check_root, space_of, space_paths, spaces
from mvc.store.verify import verify
from mvc.sync.held import Held


@dataclass(frozen=True, slots=True)
class Space:
    """The chunks of one naming. `packs`: the least recently used first."""

    name: str
    packs: tuple[PackUse, ...]

    @property
    def size(self) -> int:
        """Bytes of the packs."""
        return sum(pack.size for pack in self.packs)


@dataclass(frozen=True, slots=True)
class Listed:
    """A shared store. Bytes; `limit` 0: none."""

    path: Path
    size: int
    limit: int
    spaces: tuple[Space, ...]
    repositories: tuple[Leaning, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """What is damaged, by space; and with `repair` the packs that were taken out for it."""

    damage: tuple[tuple[str, Damage], ...]
    packs: int
    removed: tuple[PackUse, ...] = ()


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or with `dry_run` would: see `store.room.Room`. `size`: of the store before, in bytes."""

    size: int
    goal: int
    removed: tuple[PackUse, ...]
    unproven: int
    in_use: int

    @property
    def freed(self) -> int:
        return sum(pack.size for pack in self.removed)


@dataclass(frozen=True, slots=True)
class Proofs:
    """Whose remotes are asked: those of the repository at hand, and of the user's own that lean on the store."""

    repo: Repository | None
    outside: Outside
    global_configs: Sequence[Path] = ()


def list_store(root: Path, limit: int, *, progress: Progress = SILENT) -> Listed:
    """What is in a store. Raises NotFound where there is none, Refused, UnsupportedFormat."""
    _require(root)
    found = tuple(Space(name, tuple(pack_uses(space_paths(root, name), progress))) for name in spaces(root))
    return Listed(root, disk_usage(root), limit, found, tuple(registered(root)))


def verify_store(
    root: Path, settings: StoreSettings, *, repair: Proofs | None = None, progress: Progress = SILENT
) -> Verified:
    """Read every byte. Chunks of a naming whose key is not that of `settings` are held against checksums alone.

    `repair`: take out damaged packs, with what rests on them, if remotes hold all that was in them.
    """
    _require(root)
    damage: list[tuple[str, Damage]] = []
    removed: list[PackUse] = []
    packs = 0
    for name in spaces(root):
        found, count = _verify(space_paths(root, name), settings, name == space_of(settings.naming), progress)
        damage += [(name, one) for one in found]
        packs += count
        if repair is not None and found:
            broken = {bytes.fromhex(one.path.stem) for one in found if one.path.suffix == ".pack"}
            with _asking(root, name, repair, progress) as held:
                removed += make_room(root, name, 0, held, only=broken, progress=progress).removed
    return Verified(tuple(damage), packs, tuple(removed))


def prune_store(
    root: Path,
    goal: int,
    proofs: Proofs,
    *,
    unused_seconds: float,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> Pruned:
    """Bring the store down to `goal` bytes: packs go, the least recently used first, if a remote says that it holds
    all that is in them. What was used within `unused_seconds` stays. Raises as `list_store`, and Locked."""
    _require(root)
    before = disk_usage(root)
    need = before - goal
    rooms: list[Room] = []
    for name in spaces(root):
        need_here = need - sum(room.freed for room in rooms)
        if need_here > 0:
            with _asking(root, name, proofs, progress) as held:
                rooms.append(
                    make_room(
                        root, name, need_here, held, in_use_seconds=unused_seconds, dry_run=dry_run, progress=progress
                    )
                )
    if not dry_run:
        _forget_gone(root)
    removed = tuple(pack for room in rooms for pack in room.removed)
    return Pruned(before, goal, removed, sum(room.unproven for room in rooms), sum(room.in_use for room in rooms))


def remove_chunks(
    root: Path, space: str, names: Collection[bytes], proofs: Proofs, *, progress: Progress = SILENT
) -> tuple[int, int]:
    """Remove the packs that hold any of these chunks, whoever holds those, if remotes hold all else that is in them.

    Returns the bytes that went, and how many of the chunks are there still. Raises as `list_store`, and Locked.
    """
    _require(root)
    if space not in spaces(root):
        return 0, 0
    packs = {place.pack for places in _places(root, space, names).values() for place in places}
    if not packs:
        return 0, 0
    with _asking(root, space, proofs, progress) as held:

        def may_go(wanted: Sequence[bytes]) -> bool:
            others = [name for name in wanted if name not in names]
            return not others or held(others)

        room = make_room(root, space, 0, may_go, only=packs, progress=progress)
    return room.freed, len(_places(root, space, names))


def _places(root: Path, space: str, names: Collection[bytes]) -> dict[bytes, list[Location]]:
    """Where the chunks lie of these that are there."""
    idx = IdxSet(space_paths(root, space).idx, mapped=False, wary=True)
    leave_out_lies(idx)
    found = {name: list(idx.copies(name)) for name in names}
    return {name: places for name, places in found.items() if places}


def _require(root: Path) -> None:
    try:
        check_root(root)
        for name in spaces(root):
            check_folders(root, name)
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no shared store in {root}", hint="the first clone, fetch or checkout with it set makes one"
        ) from error


def _verify(paths: StorePaths, settings: StoreSettings, named: bool, progress: Progress) -> tuple[list[Damage], int]:
    paths = replace(paths, shared=False)  # that all is read now is no use
    idx = IdxSet(paths.idx, mapped=False, wary=True)
    leave_out_lies(idx)
    packs = OpenPacks(paths)
    namer = chunk_namer(settings.naming)
    reader = ChunkReader(idx.copies, packs.fetch, idx.reload, namer, RawCache(16 * 1024 * 1024))
    return verify(paths, idx, packs, reader, settings, progress, decode=named), len(idx.pack_sizes())


@contextlib.contextmanager
def _asking(root: Path, space: str, proofs: Proofs, progress: Progress) -> Iterator[Held]:
    """What asks the remotes of all repositories of that naming that may be asked."""
    with contextlib.ExitStack() as stack:
        asked = [
            stack.enter_context(asking(repo, proofs.outside, progress))
            for repo in _repositories(root, proofs)
            if space_of(repo.settings.store.naming) == space
        ]
        yield lambda names: any(held(names) for held in asked)


def _repositories(root: Path, proofs: Proofs) -> list[Repository]:
    found = [proofs.repo] if proofs.repo is not None else []
    for one in registered(root):
        if one.is_mine and all(one.path != repo.common_dir for repo in found):
            with contextlib.suppress(MvcError, OSError):
                found.append(Repository.open(one.path, global_configs=tuple(proofs.global_configs)))
    return found


def _forget_gone(root: Path) -> None:
    for one in registered(root):
        if one.is_gone:
            with contextlib.suppress(OSError):
                fsio.unlink(one.file, missing_ok=True)
