"""Git's loose objects: one zlib file each, below `objects/<2 digits>/<38 digits>`. Reading only: mvc writes packs."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from mvc.errors import IntegrityError
from mvc.objects.encoding import KINDS
from mvc.objects.model import Kind
from mvc.objects.packentry import MAX_OBJECT

_HEAD = re.compile(rb"(commit|tree|blob|tag) (0|[1-9][0-9]{0,18})\0")
_FOLDER = re.compile(r"[0-9a-f]{2}\Z")
_FILE = re.compile(r"[0-9a-f]{38}\Z")
_NEXT_READ = 256 * 1024


def path_of(objects_dir: Path, object_id: str) -> str:
    """Where an object is if it is loose."""
    return f"{objects_dir}/{object_id[:2]}/{object_id[2:]}"


def read(objects_dir: Path, object_id: str) -> tuple[Kind, bytes] | None:
    """The object, or None if it is not loose. Raises IntegrityError; the caller compares the id."""
    path = path_of(objects_dir, object_id)
    stream = zlib.decompressobj()
    try:
        with open(path, "rb") as file:
            kind, size, first = _head(stream, file.read(4096), path)
            parts, got = [first], len(first)
            while not stream.eof and got <= size:
                more = stream.unconsumed_tail or file.read(_NEXT_READ)
                if not more:
                    break
                part = stream.decompress(more, size + 1 - got)
                parts.append(part)
                got += len(part)
            behind = stream.unused_data or file.read(1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except zlib.error as error:
        raise IntegrityError(f"{path} is damaged", hint="mvc fsck") from error
    if got != size or not stream.eof or behind:
        raise IntegrityError(f"{path} does not have the size that it tells", hint="mvc fsck")
    return kind, b"".join(parts)


def head(objects_dir: Path, object_id: str) -> tuple[Kind, int] | None:
    """The kind and size that a loose object tells, or None if it is not loose."""
    path = path_of(objects_dir, object_id)
    try:
        with open(path, "rb") as file:
            data = file.read(512)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return _head(zlib.decompressobj(), data, path)[:2]
    except zlib.error as error:
        raise IntegrityError(f"{path} is damaged", hint="mvc fsck") from error


def _head(stream: zlib._Decompress, data: bytes, path: str) -> tuple[Kind, int, bytes]:
    made = stream.decompress(data, 8192)
    match = _HEAD.match(made)
    if match is None or int(match[2]) > MAX_OBJECT:
        raise IntegrityError(f"{path} is no Git object", hint="mvc fsck")
    kind = KINDS[[b"commit", b"tree", b"blob", b"tag"].index(match[1])]
    return kind, int(match[2]), made[match.end() :]


def folders(objects_dir: Path) -> list[str]:
    """The two-digit folders that are there."""
    try:
        return sorted(name for name in os.listdir(objects_dir) if _FOLDER.match(name))
    except FileNotFoundError:
        return []


def beside(objects_dir: Path, object_id: str) -> list[str]:
    """The ids of the other loose objects in this one's folder."""
    folder = object_id[:2]
    try:
        names = os.listdir(f"{objects_dir}/{folder}")
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder + name for name in names if _FILE.match(name) and folder + name != object_id]


def ids(objects_dir: Path, prefix: str = "") -> Iterator[str]:
    """The ids of all loose objects that begin with `prefix` (hex), ascending."""
    for folder in folders(objects_dir):
        if folder[: len(prefix)] != prefix[:2]:
            continue
        try:
            names = sorted(os.listdir(objects_dir / folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            if _FILE.match(name) and (folder + name).startswith(prefix):
                yield folder + name
