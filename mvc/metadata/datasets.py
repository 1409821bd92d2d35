"""Datasets that a model was made from: named, and pinned by a digest."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from mvc.errors import FileChanged, NotFound, Refused, UsageError
from mvc.hashing import FileHasher, digest
from mvc.metadata.digests import DigestCache, Seen, clock
from mvc.metadata.model import Dataset
from mvc.metadata.secrets import without_credentials

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_DIGEST = re.compile(r"(?:[a-z][a-z0-9_-]*:[A-Za-z0-9+/=_-]{4,}|[0-9a-f]{7,128})\Z")
_READ = 4 * 1024 * 1024
_THREADS = 8
_WINDOW = 4096
_LEFT_OUT = {".git", ".mvc"}


class _Hasher(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


def describe_dataset(name: str, text: str, cwd: Path, top: Path | None, remembered: Path | None = None) -> Dataset:
    """The dataset that `PATH|URI[@DIGEST]` stands for.

    A local file or folder is hashed (see `hash_folder`) and must match the digest, if one is
    given. A path inside `top` is recorded relative to it. A URI is recorded without credentials.
    `remembered`: the folder of what is known of files by their stat (`mvc.metadata.digests`).
    Raises UsageError, NotFound, Refused (another digest), FileChanged.
    """
    location, given = _split_digest(text)
    if not location:
        raise UsageError(f"--dataset {name}: no path and no URI")
    if "://" in location:
        return Dataset(name, without_credentials(location), given)
    path = cwd / location
    if not os.path.lexists(path):
        if (cwd / text).exists():  # the "@" was part of the name
            path, given = cwd / text, None
        elif _URI.match(location) and not re.match(r"[A-Za-z]:[\\/]", location):
            return Dataset(name, without_credentials(location), given)
        else:
            raise NotFound(f"--dataset {name}: no such file or folder: {location}")
    return _local(name, path, given, top, remembered)


def hash_file(path: Path, make: Callable[[], _Hasher] = FileHasher) -> tuple[bytes, int]:
    """(digest, bytes) of a file. Raises FileChanged if it is written to meanwhile."""
    hasher = make()
    size = 0
    with path.open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise UsageError(f"{path} is not a regular file")
        while piece := file.read(_READ):
            hasher.update(piece)
            size += len(piece)
        after = os.fstat(file.fileno())
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size) or size != after.st_size:
        raise FileChanged(f"{path} changed while it was read", hint="wait until nothing writes to it, then repeat")
    return hasher.digest(), size


def hash_folder(folder: Path, remembered: Path | None = None) -> tuple[bytes, int, int]:
    """(digest, bytes, files) of a folder. Files are read by several threads, those that look as they did not at all.

    The digest is the BLAKE3 of a line for each file, sorted by the bytes of its path:
    `<64 hex digits of the file's BLAKE3>  <path>\\n`, the form of `b3sum`. A symbolic link counts
    as a file that holds its target. Left out: .git and .mvc folders, and anything that is
    neither file, folder nor link.
    """
    cache = DigestCache(remembered, Path(os.path.abspath(folder)))
    lines = FileHasher()
    total = files = 0
    found = sorted(_files(folder, b""))
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), thread_name_prefix="dataset") as pool:
        for start in range(0, len(found), _WINDOW):
            window = found[start : start + _WINDOW]
            known = {relative: _known(cache, relative, path) for relative, path in window}
            unknown = [one for one in window if known[one[0]] is None]
            read = pool.map(lambda one: _hashed(cache, *one), unknown)
            known.update(zip((relative for relative, _ in unknown), read, strict=True))
            for relative, _ in window:
                name, size = known[relative] or (b"", 0)  # none is left open
                lines.update(name.hex().encode() + b"  " + relative + b"\n")
                total += size
                files += 1
    cache.save()
    return lines.digest(), total, files


def _known(cache: DigestCache, relative: bytes, path: Path) -> tuple[bytes, int] | None:
    """(BLAKE3, bytes) of a file that looks as it did, or of a link's target; None for one that has to be read."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        target = os.fsencode(os.readlink(path))
        return digest(target), len(target)
    name = cache.find(relative, found)
    return None if name is None else (name, found.st_size)


def _hashed(cache: DigestCache, relative: bytes, path: Path) -> tuple[bytes, int]:
    """As `_known`, of a file that is read."""
    found = path.lstat()
    began = clock()
    name, size = hash_file(path)
    if Seen.of(path.lstat()) == Seen.of(found):
        cache.note(relative, found, name, began)
    return name, size


def _files(folder: Path, prefix: bytes) -> Iterator[tuple[bytes, Path]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            relative = prefix + os.fsencode(entry.name)
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _LEFT_OUT:
                    yield from _files(Path(entry.path), relative + b"/")
            elif entry.is_symlink() or entry.is_file(follow_symlinks=False):
                yield relative, Path(entry.path)


def _local(name: str, path: Path, given: str | None, top: Path | None, remembered: Path | None) -> Dataset:
    files: int | None = None
    if path.is_dir():
        found, size, files = hash_folder(path, remembered)
        _compare(name, given, {"blake3": found})
    else:
        cache = DigestCache(remembered, Path(os.path.abspath(path)))
        if path.is_symlink():
            found, size = hash_file(path)
        else:
            found, size = _known(cache, b"", path) or _hashed(cache, b"", path)
            cache.save()
        _compare(name, given, {"blake3": found}, path)
    return Dataset(name, _recorded(path, top), f"blake3:{found.hex()}", size, files)


def _compare(name: str, given: str | None, known: dict[str, bytes], path: Path | None = None) -> None:
    """Raise Refused unless the data has the digest that the user gave (algorithm:hex, or hex of the BLAKE3)."""
    if given is None:
        return
    algorithm, _, value = given.rpartition(":")
    algorithm = algorithm or "blake3"
    if algorithm not in known:
        if path is None or algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):
            raise UsageError(
                f"--dataset {name}: {algorithm} cannot be computed of it", hint="leave the digest out, or use blake3"
            )
        known[algorithm] = hash_file(path, lambda: hashlib.new(algorithm))[0]
    if not known[algorithm].hex().startswith(value.lower()):
        raise Refused(
            f"--dataset {name}: its {algorithm} is {known[algorithm].hex()}, not {value}",
            hint="the data is not what it was: leave the digest out to record what it is now",
        )


def _recorded(path: Path, top: Path | None) -> str:
    whole = Path(os.path.abspath(path))
    if top is not None and whole.is_relative_to(top):
        return whole.relative_to(top).as_posix()
    return whole.as_posix()


def _split_digest(text: str) -> tuple[str, str | None]:
    location, at, ending = text.rpartition("@")
    if at and location and _DIGEST.match(ending):
        return location, ending
    return text, None
