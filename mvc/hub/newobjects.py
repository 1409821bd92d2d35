"""The Git objects that an entry's refs reach: all there, each what it must be, and every chunk they name live."""

from __future__ import annotations

from collections.abc import Sequence

from mvc.errors import IntegrityError, MissingObject, MvcError
from mvc.hub.changes import HEADS, TAGS, Changes
from mvc.hub.chunkcheck import Decoding
from mvc.hub.messages import Right
from mvc.objects import ancestry, chunklist
from mvc.objects.manifest import is_manifest, parse
from mvc.objects.model import is_file
from mvc.objects.reader import ObjectReader
from mvc.objects.transfer import check_connected, new_objects
from mvc.sync.state import State


def check_history(objects: ObjectReader, before: State, changes: Changes) -> list[str]:
    """Raises IntegrityError, UnsafePath unless all that new refs reach is there; returns what stood before."""
    for name, value in [*changes.new_refs.items(), *((name, new) for name, (_, new) in changes.moved_refs.items())]:
        if not objects.contains(value):
            raise MissingObject(f"'{name}' is to be at {value}, which is not there")
        if name.startswith(HEADS) and objects.kind(value) != "commit":
            raise IntegrityError(f"'{name}' is to be at {value}, which is no commit")
    have = [value for value in set(before.refs.values()) if objects.contains(value)]
    check_connected(objects, changes.tips, have)
    return have


def check_files(objects: ObjectReader, tips: Sequence[str], have: Sequence[str], chunks: Decoding) -> None:
    """Every chunk that a new file names is there, with the size that it says. Raises IntegrityError, ParseError."""
    seen: set[bytes] = set()

    def look(name: bytes, size: int, blob: str) -> None:
        if name in seen:
            return
        seen.add(name)
        place = chunks.find(name)
        if place is None:
            raise IntegrityError(f"file {blob} needs chunk {name.hex()}, which is not there")
        if place.raw_size != size:
            raise IntegrityError(f"file {blob} says that chunk {name.hex()} has {size} bytes")

    for reached in new_objects(objects, tips, have):
        if reached.kind != "blob" or not (is_file(reached.mode) or not reached.mode):
            continue
        blob = objects.blob(reached.id)
        if not is_manifest(blob):
            continue
        for segment in parse(blob).segments:
            for row in segment.lists:
                look(row.name, row.size, reached.id)
            for chunk in chunklist.chunks_of(segment, lambda name: bytes(chunks.read(name))):
                look(chunk.name, chunk.size, reached.id)


def right_for_moves(objects: ObjectReader, changes: Changes) -> Right:
    """APPEND if every ref that moves contains what it held, else WRITE."""
    for name, (old, new) in changes.moved_refs.items():
        if name.startswith(TAGS) or not _contains(objects, old, new):
            return Right.WRITE
    return Right.APPEND


def _contains(objects: ObjectReader, old: str, new: str) -> bool:
    try:
        return ancestry.is_ancestor(objects, objects.peel(old, "commit"), objects.peel(new, "commit"))
    except MvcError:
        return False
