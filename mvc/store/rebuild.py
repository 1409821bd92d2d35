"""Making idx files from packs alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mvc import fsio
from mvc.errors import IntegrityError
from mvc.progress import Progress
from mvc.store import idxbuild
from mvc.store.files import StorePaths
from mvc.store.idxset import IdxSet
from mvc.store.packfile import HEADER_SIZE, TRAILER_SIZE, PackFile, list_packs, parse_header, walk
from mvc.store.records import Location, is_sound, parse_lead
from mvc.store.report import Damage


def index_packs(
    paths: StorePaths, packs: Mapping[bytes, Path], *, salvage: bool = False
) -> tuple[Path | None, list[Damage]]:
    """Write one idx over these packs; returns its path, and what is damaged.

    A pack whose records do not match its id is left out; with `salvage` its sound records are listed.
    """
    tables: list[idxbuild.Table] = []
    damage: list[Damage] = []
    for pack_id, path in sorted(packs.items()):
        try:
            file = PackFile(path)
        except FileNotFoundError:
            continue
        except IntegrityError as error:
            damage.append(Damage(path, error.message))
            continue
        try:
            records = [(record.name, record.located(pack_id, offset)) for offset, record in walk(file, pack_id)]
        except IntegrityError as error:
            damage.append(Damage(path, error.message))
            records = _sound_records(file, pack_id) if salvage else []
        if records:
            size = file.stat().st_size
            tables.append(idxbuild.merge([idxbuild.from_records([(pack_id, size)], records)]))
    return idxbuild.write(idxbuild.merge(tables), paths.idx, paths.tmp), damage


def replace_all(paths: StorePaths, idx: IdxSet, progress: Progress) -> list[Damage]:
    """Write one idx over all packs and remove the others. The caller holds the sweep lock and the idx lock."""
    before = set(paths.idx.glob("*.idx"))  # listed first: what a writer adds meanwhile stays
    packs = list_packs(paths.packs)
    progress.begin("reading packs", len(packs), "packs")
    try:
        written, damage = index_packs(paths, packs, salvage=True)
    finally:
        progress.end()
    for path in sorted(before):
        if path != written:
            fsio.unlink(path, missing_ok=True)
    fsio.fsync_dir(paths.idx)
    idx.load_anew()
    return damage


def _sound_records(file: PackFile, pack_id: bytes) -> list[tuple[bytes, Location]]:
    """The records of a damaged pack that match their checksums, as far as one leads to the next."""
    found: list[tuple[bytes, Location]] = []
    end = file.stat().st_size - TRAILER_SIZE
    offset = HEADER_SIZE
    try:
        parse_header(file.read_some(0, HEADER_SIZE))
        while offset < end:
            record = parse_lead(file.read_some(offset, 1024))
            if is_sound(file.read(offset, record.record_size)):
                found.append((record.name, record.located(pack_id, offset)))
            offset += record.record_size
    except IntegrityError:
        pass
    return found
