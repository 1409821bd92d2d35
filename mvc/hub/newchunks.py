"""The packs of chunks that an entry adds: there, verified, closed under bases, and rightly told of by their idx."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from mvc.errors import IntegrityError, NotFound
from mvc.hub.changes import Changes
from mvc.hub.chunkcheck import Decoding, Find, Part, part_of, read_note, walk_stored, write_note
from mvc.hub.passing import PassingPack, Rows, Take
from mvc.hub.served import Served
from mvc.store import idxbuild
from mvc.store.idx import Idx
from mvc.store.idxbuild import Table
from mvc.store.records import Location
from mvc.sync import keys
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.state import ChunkPack, State

_MOST_EMPTY = 64
"""An idx may list so many packs of no bytes (docs/format/remote.md tells why it does at all)."""


def check_chunks(served: Served, before: State, after: State, changes: Changes) -> Decoding:
    """Raises IntegrityError. What comes back finds and reads chunks of the state after."""
    index = served.index(before)
    for pack in changes.chunk_packs:
        if served.backend.size(keys.chunk_pack(pack.id)) != pack.size:
            raise IntegrityError(f"pack {pack.id} is not there, or has another size")
    notes = _notes(served, index, changes.chunk_packs)
    wanted = {pack.idx_id: pack.idx_size for pack in (*changes.chunk_packs, *changes.relisted)}
    opened = {idx_id: _check_idx(served, index, notes, after, idx_id, size) for idx_id, size in wanted.items()}
    # By their idx, which tell what the notes do, and are few: a push may bring thousands of packs.
    new = {idx.packs[0][0] for idx in notes.values()}
    parts = [Part(bytes.fromhex(idx_id), _finder(idx, new)) for idx_id, idx in opened.items()]
    _check_closed(index, notes.values(), parts)
    return Decoding(served, index, parts)


def _finder(idx: Idx, packs: Collection[bytes]) -> Find:
    """Looks up chunks in those of an idx's packs: the copy of the least depth."""

    def find(name: bytes) -> Location | None:
        places = (idx.location(number) for number in idx.find_all(name))
        return next((place for place in places if place.pack in packs), None)

    return find


def _notes(served: Served, index: RemoteIndex, packs: Sequence[ChunkPack]) -> dict[str, Idx]:
    """What each new pack holds: noted when it was uploaded, else found out now."""
    found = {pack.id: read_note(served, pack.id) for pack in packs}
    lacking = [pack for pack in packs if found[pack.id] is None]
    if lacking:
        _verify(served, index, lacking, [part_of(idx) for idx in found.values() if idx is not None])
        found.update({pack.id: read_note(served, pack.id) for pack in lacking})
    notes: dict[str, Idx] = {}
    for pack in packs:
        note = found[pack.id]
        if note is None or note.packs[0][1] != pack.size:
            raise IntegrityError(f"pack {pack.id} could not be verified")
        notes[pack.id] = note
    return notes


def _verify(served: Served, index: RemoteIndex, packs: Sequence[ChunkPack], parts: Iterable[Part]) -> None:
    """Read packs whose bases had not come when they were uploaded: first what they hold, then if it decodes."""
    naming = 0 if served.naming() == "naming plain" else 1
    decoding = Decoding(served, index, parts)
    tables: dict[str, Rows] = {}

    def walk(pack: ChunkPack, take: Take) -> None:
        passing = PassingPack(bytes.fromhex(pack.id), pack.size, served.limits.records, naming, take)
        try:
            walk_stored(served, pack.id, pack.size, passing)
        except NotFound as error:
            raise IntegrityError(error.message) from error

    for pack in packs:
        rows = tables[pack.id] = Rows(bytes.fromhex(pack.id))
        walk(pack, _adder(rows))
        decoding.add(Part(rows.pack_id, rows.find))

    def check(name: bytes, place: Location, record: memoryview) -> None:
        if not decoding.check(name, place, record):
            raise IntegrityError(f"chunk {name.hex()} rests on one that is not there")

    for pack in packs:
        walk(pack, check)
        write_note(served, tables[pack.id], pack.size)


def _adder(rows: Rows) -> Take:
    return lambda name, place, record: rows.add(name, place)


def _check_closed(index: RemoteIndex, notes: Iterable[Idx], parts: Sequence[Part]) -> None:
    """Every record's bases are live, or come now, at smaller depths."""
    for idx in notes:
        for name, place in idx:
            for base in place.bases:
                beside = [found.depth for part in parts if (found := part.find(base)) is not None]
                live = index.depth(base)
                if min([*beside, *([live] if live is not None else [])], default=place.depth) >= place.depth:
                    raise IntegrityError(f"chunk {name.hex()} rests on {base.hex()}, which is not there")


def _check_idx(
    served: Served, index: RemoteIndex, notes: Mapping[str, Idx], after: State, idx_id: str, size: int
) -> Idx:
    """An idx, which is byte for byte what the records of its packs make. Raises IntegrityError."""
    try:
        idx = served.open_idx(idx_id, size)
    except NotFound as error:
        raise IntegrityError(f"idx {idx_id} is not there") from error
    if idx.size != size:
        raise IntegrityError(f"idx {idx_id} has another size")
    sizes = {bytes.fromhex(pack.id): pack.size for pack in after.chunk_packs}
    listed = {pack_id: bytes_ for pack_id, bytes_ in idx.packs if bytes_}
    empty = [pack_id for pack_id, bytes_ in idx.packs if not bytes_]
    if len(empty) > _MOST_EMPTY or any(sizes.get(pack_id) != bytes_ for pack_id, bytes_ in listed.items()):
        raise IntegrityError(f"idx {idx_id} lists a pack that is not")
    if any(pack.idx_id == idx_id and bytes.fromhex(pack.id) not in listed for pack in after.chunk_packs):
        raise IntegrityError(f"idx {idx_id} does not list a pack that is said to be in it")
    tables = [idxbuild.from_idx(notes[pack_id.hex()]) for pack_id in listed if pack_id.hex() in notes]
    old = {pack_id for pack_id in listed if pack_id.hex() not in notes}
    tables += [idxbuild.from_idx(one) for one in index.all if any(pack_id in old for pack_id, _ in one.packs)]
    tables.append(Table(tuple((pack_id, 0) for pack_id in empty), *idxbuild.nothing()))
    without = {pack_id for table in tables for pack_id, _ in table.packs} - listed.keys() - set(empty)
    # The idx has the bytes that its id stands for: that was seen when it came.
    if idxbuild.dumped(idxbuild.merge(tables, without=without))[1].hex() != idx_id:
        raise IntegrityError(f"idx {idx_id} does not tell what its packs hold")
    return idx
