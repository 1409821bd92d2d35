"""What an outer Git project tracks: its index, read here since `status` asks for it at every start.

Git's index format: Documentation/gitformat-index.txt. Versions 2, 3 and 4 are read, with SHA-1 or
SHA-256. Split and sparse indexes, rare and made of several files, are left to `git ls-files`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mvc.errors import IntegrityError, UnsupportedFormat
from mvc.lazy import load

_HEADER = struct.Struct(">4sII")
_STAT_AND_MODE = 40
"""Bytes before an entry's object id: times, numbers, mode at 24, owner, size."""
_MODE_AT = 24
_EXTENDED = 0x4000
_LONG_NAME = 0xFFF
_SUBMODULE = 0o160000
_FOLDER = 0o40000

_NAMES = 64 * 1024 * 1024
_EXPANSION = 16
"""Names take at most so many bytes, or so many times the index's own size. In version 4 each tells only where it
differs from the one before, so their sum may grow with the square of the index."""

LOCK_FILE = "mvc.lock"
"""In a Git project: which mvc commit goes with a Git commit. For Git to track, not for mvc."""

RUN_GIT = {"run": "subprocess:run"}
"""Loaded only where git itself has to be asked."""


class GitTracked(NamedTuple):
    """What Git tracks below a folder, as paths from there (UTF-8 with surrogateescape)."""

    files: frozenset[str] = frozenset()
    submodules: frozenset[str] = frozenset()
    """Folders that are other repositories: all that is in them is theirs."""

    def holds(self, path: str) -> bool:
        """Is the path Git's: tracked, or inside a submodule?"""
        if path in self.files:
            return True
        return bool(self.submodules) and any(path == sub or path.startswith(sub + "/") for sub in self.submodules)


def git_tracked(project: Path, below: str = "") -> GitTracked:
    """What the Git worktree with the top folder `project` tracks below its folder `below` ("" is all).

    Raises IntegrityError if the index makes no sense, UnsupportedFormat if only git could read it
    and git is not there.
    """
    git_dir = _git_dir(project)
    try:
        data = (git_dir / "index").read_bytes()
    except FileNotFoundError:
        return GitTracked()
    try:
        entries = list(_parse(data, 32 if _is_sha256(git_dir) else 20))
    except _AskGit:
        entries = list(_ask_git(project, git_dir))
    except (struct.error, ValueError, IndexError):
        raise IntegrityError(f"Git's index in {git_dir} cannot be read", hint="git status") from None
    prefix = below.encode("utf-8", "surrogateescape") + b"/" if below else b""
    inside = [(_text(name[len(prefix) :]), mode) for name, mode in entries if name.startswith(prefix)]
    return GitTracked(
        frozenset(path for path, mode in inside if mode != _SUBMODULE),
        frozenset(path for path, mode in inside if mode == _SUBMODULE),
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def git_branch(project: Path) -> str | None:
    """The branch that Git is on (`main`), or None if its HEAD is detached."""
    head = (_git_dir(project) / "HEAD").read_text(encoding="utf-8", errors="surrogateescape").strip()
    return head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else None


class _AskGit(Exception):
    """The index is of a kind that is left to git."""


def _git_dir(project: Path) -> Path:
    found = project / ".git"
    if found.is_file():
        text = os.fsdecode(found.read_bytes()[:4096]).rstrip("\r\n")
        return Path(os.path.normpath(project / text.removeprefix("gitdir: ")))
    return found


def _is_sha256(git_dir: Path) -> bool:
    common = git_dir / "commondir"
    folder = git_dir / common.read_text().strip() if common.is_file() else git_dir
    try:
        text = (folder / "config").read_text(encoding="utf-8", errors="replace").lower()
    except FileNotFoundError:
        return False
    return "objectformat" in text and "sha256" in text


def _parse(data: bytes, id_size: int) -> Iterator[tuple[bytes, int]]:
    """Path and mode of each entry."""
    magic, version, count = _HEADER.unpack_from(data)
    if magic != b"DIRC" or version not in (2, 3, 4):
        raise _AskGit
    at = _HEADER.size
    fixed = _STAT_AND_MODE + id_size + 2
    name = b""
    end = len(data) - id_size
    room = max(_EXPANSION * len(data), _NAMES)
    entries: list[tuple[bytes, int]] = []
    for _ in range(count):
        mode = int.from_bytes(data[at + _MODE_AT : at + _MODE_AT + 4])
        flags = int.from_bytes(data[at + fixed - 2 : at + fixed])
        begin = at + fixed + (2 if flags & _EXTENDED else 0)
        if mode == _FOLDER:
            raise _AskGit
        if version == 4:
            strip, begin = _varint(data, begin)
            stop = data.index(b"\0", begin)
            if strip > len(name):
                raise ValueError("a name has more cut off than it has")
            name = name[: len(name) - strip] + data[begin:stop]
            at = stop + 1
        else:
            length = flags & _LONG_NAME
            stop = data.index(b"\0", begin) if length == _LONG_NAME else begin + length
            name = data[begin:stop]
            at += (stop - at + 8) & ~7
        room -= len(name)
        if at > end or room < 0:
            raise ValueError("entries reach past the end, or names grow without bound")
        entries.append((name, mode))
    if b"link" in _extensions(data, at, end):
        raise _AskGit
    return iter(entries)


def _extensions(data: bytes, at: int, end: int) -> set[bytes]:
    """The signatures of the extensions after the entries."""
    found: set[bytes] = set()
    while at + 8 <= end:
        found.add(data[at : at + 4])
        at += 8 + int.from_bytes(data[at + 4 : at + 8])
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Git's offset encoding (gitformat-pack.txt), and where it ends."""
    byte = data[at]
    value = byte & 0x7F
    while byte & 0x80:
        at += 1
        byte = data[at]
        value = ((value + 1) << 7) | (byte & 0x7F)
        if value > len(data):
            raise ValueError("a number that no name has")
    return value, at + 1


def _ask_git(project: Path, git_dir: Path) -> Iterator[tuple[bytes, int]]:
    run = load(RUN_GIT["run"])
    # Named outright, so that a GIT_DIR in the environment (mvc in a Git hook) does not decide.
    where = [f"--git-dir={git_dir}", f"--work-tree={project}"]
    message = f"Git's index in {git_dir} is of a kind that only git reads, and git could not be asked"
    try:
        asked = run(["git", *where, "ls-files", "-z", "--stage"], cwd=project, capture_output=True, check=False)
    except OSError as error:
        raise UnsupportedFormat(message, hint="install git") from error
    if asked.returncode:
        raise IntegrityError(message, hint="git status")
    for row in asked.stdout.split(b"\0"):
        head, _, name = row.partition(b"\t")
        if name:
            yield name, int(head.split(b" ", 1)[0], 8)
