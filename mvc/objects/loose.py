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
_KIND: dict[bytes, Kind] = {kind.encode(): kind for kind in KINDS}
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)
_FIRST_READ = 4096
_NEXT_READ = 256 * 1024

SMALL = 8192
"""Bytes, header and all, of what `read_small` reads."""


def path_of(objects_dir: Path, object_id: str) -> str:
    """Where an object is if it is loose."""
    return f"{objects_dir}/{object_id[:2]}/{object_id[2:]}"


def read(objects_dir: Path, object_id: str) -> tuple[Kind, bytes] | None:
    """The object, or None if it is not loose. Raises IntegrityError; the caller compares the id."""
    path = path_of(objects_dir, object_id)
    try:
        # Not `open`: what it asks about a file takes as long as to read a small one.
        fd = os.open(path, _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    stream = zlib.decompressobj()
    try:
        kind, size, first = _head(stream, os.read(fd, _FIRST_READ), path)
        parts, got = [first], len(first)
        while not stream.eof and got <= size:
            more = stream.unconsumed_tail or os.read(fd, _NEXT_READ)
            if not more:
                break
            part = stream.decompress(more, size + 1 - got)
            parts.append(part)
            got += len(part)
        behind = stream.unused_data or os.read(fd, 1)
    except zlib.error as error:
        raise IntegrityError(f"{path} is damaged", hint="mvc fsck") from error
    finally:
        os.close(fd)
    if got != size or not stream.eof or behind:
        raise IntegrityError(f"{path} does not have the size that it tells", hint="mvc fsck")
    return kind, first if len(parts) == 1 else b"".join(parts)


def read_small(objects_dir: Path, object_id: str) -> tuple[Kind, bytes] | None:
    """As `read`, of an object of at most `SMALL` bytes; None for any other, and for what is damaged."""
    try:
        fd = os.open(path_of(objects_dir, object_id), _FLAGS)
    except OSError:
        return None
    try:
        stream = zlib.decompressobj()
        made = stream.decompress(os.read(fd, _FIRST_READ), SMALL)
        found = _HEAD.match(made)
        if found is None or not stream.eof or stream.unused_data or len(made) - found.end() != int(found[2]):
            return None
        return _KIND[found[1]], made[found.end() :]
    except (OSError, zlib.error):
        return None
    finally:
        os.close(fd)


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
    return _KIND[match[1]], int(match[2]), made[match.end() :]


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
