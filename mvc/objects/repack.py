"""Packs made anew: many small ones merged, unreachable objects dropped.

No lock is needed against readers and writers:

- A pack's name is unique, and packs go only when what they hold stands, durable, in another, or is
  needed by nobody. A reader that finds a pack gone lists the packs again.
- A writer that skips an object because it exists first makes its pack young, then looks whether the
  pack's index is still there. `prune` first takes the index away, then looks whether the pack is
  old still, and else puts it back. Whichever of the two comes second sees the other.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
import zlib
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

from mvc import fsio
from mvc.errors import IntegrityError
from mvc.objects import loose
from mvc.objects.model import Kind
from mvc.objects.pack import Pack
from mvc.objects.packentry import TYPES, deflate, encode_head, parse_head
from mvc.objects.packset import PackSet
from mvc.objects.packwriter import PackWriter
from mvc.progress import SILENT, Progress

_ORPHAN_SECONDS = 24 * 3600.0
_BESIDE = ("pack", "rev", "bitmap", "mtimes", "keep")
_FOREIGN = (".promisor", ".mtimes")


@dataclass(frozen=True, slots=True)
class RepackResult:
    """What happened (or would): objects and their stored bytes removed; packs and loose objects before; packs after."""

    removed_ids: tuple[str, ...]
    removed_bytes: int
    packs_before: int
    loose_before: int
    packs_after: int


def consolidate(packs: PackSet, tmp_dir: Path, label: str | None, *, at_most: int) -> int:
    """Merge small packs with this label, if there are more than `at_most`; returns how many went.

    As a log-structured merge: a pack is taken along while it is no more than twice as large as all
    smaller ones together, so an object is copied a logarithmic number of times. A damaged pack is
    left for `fsck` to find: nothing is merged then.
    """
    group = [pack for pack, found in _labelled(packs) if found == label]
    if len(group) <= at_most:
        return 0
    try:
        group.sort(key=lambda pack: pack.index.count)
        total = group[0].index.count
        chosen = group[:1]
        for pack in group[1:]:
            if pack.index.count > 2 * total and len(group) - len(chosen) < at_most:
                break
            chosen.append(pack)
            total += pack.index.count
        return _replace(packs, tmp_dir, chosen, label)
    except (FileNotFoundError, IntegrityError):
        packs.reload()
        return 0


def _labelled(packs: PackSet) -> Iterator[tuple[Pack, str | None]]:
    """The packs that may be merged, and their label. What somebody else keeps, or git made for a purpose, may not."""
    packs.reload()
    labels = packs.labels()
    for pack in packs.packs():
        foreign = pack.name in labels and labels[pack.name] is None
        if not foreign and not any(pack.path.with_suffix(suffix).exists() for suffix in _FOREIGN):
            yield pack, labels.get(pack.name)


def _replace(packs: PackSet, tmp_dir: Path, chosen: list[Pack], label: str | None) -> int:
    writer = PackWriter(packs.pack_dir, tmp_dir)
    try:
        for pack in chosen:
            copy(pack, writer, lambda _raw_id: True)
        idx_path = writer.seal(label)
    except BaseException:
        writer.discard()
        raise
    packs.add(idx_path)
    _forget_lists(packs.pack_dir)
    for pack in chosen:
        _remove(pack)
    packs.reload()
    return len(chosen)


def copy(pack: Pack, writer: PackWriter, wanted: Callable[[bytes], bool]) -> None:
    """Copy the wanted objects as they are stored. Raises IntegrityError if bytes do not have their CRC-32.

    A delta stays one where its base comes along before it, else the object is written whole.
    """
    file = pack.file()
    rows = list(pack.spans())
    at_offset = {offset: raw_id for raw_id, _, offset, _ in rows}
    for raw_id, crc, offset, length in rows:
        if raw_id in writer or not wanted(raw_id):
            continue
        stored = file.read_exact(offset, length)
        if zlib.crc32(stored) != crc:
            raise IntegrityError(f"{pack.path.name} at {offset} is damaged", hint="mvc fsck")
        head = parse_head(stored, offset)
        base = at_offset.get(head.base) if isinstance(head.base, int) else head.base
        if base is None:
            writer.add_entry(raw_id, stored)
        elif base in writer:
            writer.add_delta(raw_id, head.size, base, stored[head.length :])
        else:
            kind, data = pack.read(offset)
            writer.add_entry(raw_id, encode_head(TYPES[kind], len(data)) + deflate(data))


def _remove(pack: Pack) -> None:
    """Remove a pack, its index first: without it, a pack is not there."""
    fsio.unlink(pack.idx_path, missing_ok=True)
    for suffix in _BESIDE:
        path = pack.path.with_suffix(f".{suffix}")
        if path.exists():
            # On systems that hold open files, a reader's pack stays until the next gc.
            with contextlib.suppress(PermissionError):
                fsio.unlink(path, missing_ok=True)


def _forget_lists(pack_dir: Path) -> None:
    """Git's index over many packs, and its graph of commits, name what is about to go: git makes them anew when it
    wants them. They go first, for git takes a graph with commits that are not there for damage."""
    info = pack_dir.parent / "info"
    found = (pack_dir.glob("multi-pack-index*"), info.glob("commit-graph"), info.glob("commit-graphs/*"))
    for path in chain.from_iterable(found):
        if path.is_file():
            fsio.unlink(path, missing_ok=True)


def prune(
    objects: Repackable,
    live: Container[str],
    *,
    older_than: float | None = None,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> RepackResult:
    """One pack of all live objects, the rest dropped.

    What is not in `live` stays if its pack (or loose file) is not older than `older_than` (seconds
    since 1970; None: any age goes). Kept packs are not touched. The caller holds the gc lock.
    """
    packs = objects.packs
    group = [pack for pack, label in _labelled(packs) if label is None]
    limit = math.inf if older_than is None else older_than
    old = [pack for pack in group if pack.mtime() < limit]
    loose_ids = list(loose.ids(objects.objects_dir))
    removed = _dead(old, live, loose_ids, objects.objects_dir, limit)
    staying = [pack for pack in packs.packs() if pack not in old]
    removed = {
        name: size for name, size in removed.items() if all(pack.find(bytes.fromhex(name)) is None for pack in staying)
    }
    result = RepackResult(
        tuple(sorted(removed)), sum(removed.values()), len(packs.packs()), len(loose_ids), len(packs.packs())
    )
    if dry_run or (not removed and len(old) < 2 and not loose_ids):
        return result
    progress.begin("Packing objects", len(old) + 1, "packs")
    writer = PackWriter(packs.pack_dir, objects.tmp_dir)
    try:
        for pack in old:
            copy(pack, writer, lambda raw_id: raw_id.hex() in live)
            progress.advance(1)
        live_loose = [name for name in loose_ids if name in live]
        for name in live_loose:
            kind, data = objects.raw(name)
            writer.add(bytes.fromhex(name), kind, data)
        if len(writer):
            packs.add(writer.seal(None))
        else:
            writer.discard()
    except BaseException:
        writer.discard()
        raise
    _forget_lists(packs.pack_dir)
    for pack in old:
        _remove_if_old(pack, objects.tmp_dir, limit)
    _remove_orphans(packs.pack_dir)
    _remove_loose(objects.objects_dir, live_loose, [name for name in loose_ids if name in removed], limit)
    objects.reload()
    progress.end()
    return RepackResult(
        result.removed_ids, result.removed_bytes, result.packs_before, result.loose_before, len(packs.packs())
    )


class Repackable(Protocol):
    """What `prune` needs of the database."""

    objects_dir: Path
    tmp_dir: Path
    packs: PackSet

    def raw(self, object_id: str) -> tuple[Kind, bytes]:
        """Read an object."""

    def reload(self) -> None:
        """List the packs again."""


def _dead(
    packs: Iterable[Pack], live: Container[str], loose_ids: list[str], objects_dir: Path, limit: float
) -> dict[str, int]:
    """What is to go: id -> stored bytes."""
    found: dict[str, int] = {}
    for pack in packs:
        for raw_id, _, _, length in pack.spans():
            if raw_id.hex() not in live:
                found[raw_id.hex()] = found.get(raw_id.hex(), 0) + length
    for name in loose_ids:
        if name not in live:
            with contextlib.suppress(FileNotFoundError):
                stat = os.stat(loose.path_of(objects_dir, name))
                if stat.st_mtime < limit:
                    found[name] = found.get(name, 0) + stat.st_size
    return found


def _remove_if_old(pack: Pack, tmp_dir: Path, limit: float) -> None:
    """Remove a pack unless a writer made it young meanwhile (see the module's text)."""
    hidden = tmp_dir / f"{pack.name}.idx"
    try:
        fsio.replace(pack.idx_path, hidden)
        if pack.mtime() < limit:
            _remove(pack)
            fsio.unlink(hidden, missing_ok=True)
        else:
            fsio.replace(hidden, pack.idx_path)
    except FileNotFoundError:
        return


def _remove_orphans(pack_dir: Path) -> None:
    """Packs without an index: a crash left them between two steps. A young one may be just being made."""
    for path in pack_dir.glob("pack-*.*"):
        if path.suffix in {f".{suffix}" for suffix in _BESIDE} and not path.with_suffix(".idx").exists():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _ORPHAN_SECONDS:
                    fsio.unlink(path, missing_ok=True)


def _remove_loose(objects_dir: Path, packed: list[str], dead: list[str], limit: float) -> None:
    for name in packed:
        fsio.unlink(loose.path_of(objects_dir, name), missing_ok=True)
    for name in dead:
        path = loose.path_of(objects_dir, name)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_mtime < limit:
                fsio.unlink(path, missing_ok=True)
    for folder in loose.folders(objects_dir):
        with contextlib.suppress(OSError):
            os.rmdir(objects_dir / folder)
