"""`mvc.lock`: which mvc commit goes with a Git commit. Git tracks it; specified in docs/format/lockfile.md.

mvc-lock 1
commit 6c1f...
remote "https://models.example.org/team/bert"
file 100644 45437760 blake3:9f1c... "model.safetensors"
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from mvc.errors import MvcError, ParseError, UnsupportedFormat
from mvc.fsio import write_atomic
from mvc.objects.model import EXEC, FILE, LINK
from mvc.objects.outergit import LOCK_FILE
from mvc.objects.paths import check_path
from mvc.repo.repository import Repository
from mvc.repo.stage import Stage, StageEntry

MAGIC = "mvc-lock"
VERSION = 1
_LARGEST = 64 * 1024 * 1024
_HEAD = 256
_LINE = re.compile(r"file (100644|100755|120000) (\d{1,19}) (blake3:[0-9a-f]{64}|git:[0-9a-f]{40}) (\".*\")")
_COMMIT = re.compile(r"commit ([0-9a-f]{40})")


@dataclass(frozen=True, slots=True)
class LockedFile:
    """A file of the commit."""

    path: str
    mode: int
    size: int
    digest: str
    """`blake3:` and 64 hex digits for a chunked file, `git:` and the 40 of its blob for a small one or a link."""


@dataclass(frozen=True, slots=True)
class Lock:
    """What the file says."""

    commit: str
    files: tuple[LockedFile, ...]
    """Ordered by the bytes of their path."""
    remote: str | None = None
    """Where the commit can be fetched from, without credentials."""


def read_lock(top: Path) -> Lock | None:
    """The lock of a worktree's top folder; None if there is none. Raises ParseError, UnsupportedFormat."""
    try:
        with open(top / LOCK_FILE, "rb") as file:
            return parse(file.read(_LARGEST))
    except FileNotFoundError:
        return None


def locked_commit(top: Path) -> str | None:
    """The commit that the lock of a worktree's top folder names, whatever follows in it; None where it names none."""
    try:
        with open(top / LOCK_FILE, "rb") as file:
            lines = file.read(_HEAD).decode("ascii", "replace").splitlines()
    except OSError:
        return None
    found = _COMMIT.fullmatch(lines[1]) if lines[:1] == [f"{MAGIC} {VERSION}"] and len(lines) > 1 else None
    return found[1] if found is not None else None


def update_lock(repo: Repository, stage: Stage, commit: str, *, remote: str | None = None) -> bool:
    """After a commit or switch in a Git project: write the lock of `commit`, which `stage` equals.

    Returns whether the file changed; nothing is done outside of a Git project. One that says the same of this commit
    stays to the byte, whatever remote it names: another's clone may have another, and a checkout is not to change it.
    """
    if repo.git_project is None or repo.worktree is None:
        return False
    lock = make_lock(stage, commit, remote)
    path = repo.worktree / LOCK_FILE
    if path.is_symlink() or _says_already(repo.worktree, lock):
        return False
    write_atomic(path, dump(lock), sync=False)
    return True


def make_lock(stage: Iterable[StageEntry], commit: str, remote: str | None = None) -> Lock:
    """The lock of `commit`, whose files `stage` holds. `remote`: its URL, credentials and all."""
    return Lock(commit, tuple(map(_locked, stage)), without_credentials(remote) if remote else None)


def _says_already(top: Path, lock: Lock) -> bool:
    try:
        standing = read_lock(top)
    except MvcError:
        return False
    return standing is not None and (standing.commit, standing.files) == (lock.commit, lock.files)


def dump(lock: Lock) -> bytes:
    """The file's bytes: ASCII, a line a file, so that Git merges and shows it well."""
    lines = [f"{MAGIC} {VERSION}", f"commit {lock.commit}"]
    if lock.remote is not None:
        lines.append(f"remote {json.dumps(lock.remote)}")
    lines += [f"file {file.mode:o} {file.size} {file.digest} {json.dumps(file.path)}" for file in lock.files]
    return ("\n".join(lines) + "\n").encode("ascii")


def parse(data: bytes) -> Lock:
    """What the file's bytes say. Raises ParseError with the line's number, UnsupportedFormat; UnsafePath for a
    path that must not reach a worktree."""
    lines = data.decode("ascii", "replace").splitlines()
    if not lines or not lines[0].startswith(MAGIC + " "):
        if b"<<<<<<<" in data:
            raise ParseError(
                f"{LOCK_FILE} holds a conflict of Git's", hint="mvc merge the other side; it writes it anew"
            )
        raise ParseError(f"{LOCK_FILE} is no lock of mvc")
    if lines[0] != f"{MAGIC} {VERSION}":
        raise UnsupportedFormat(f"{LOCK_FILE} was written by a newer mvc", hint="upgrade mvc")
    commit = _COMMIT.fullmatch(lines[1]) if len(lines) > 1 else None
    if commit is None:
        raise ParseError(f"{LOCK_FILE}, line 2: no commit", hint="conflict markers? mvc commit writes it anew")
    remote: str | None = None
    files: list[LockedFile] = []
    for number, line in enumerate(lines[2:], 3):
        if line.startswith("remote ") and number == 3:
            remote = _text(line[7:], number)
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ParseError(f"{LOCK_FILE}, line {number}: not understood", hint="mvc commit writes it anew")
        path = _text(found[4], number)
        check_path(path)
        files.append(LockedFile(path, int(found[1], 8), int(found[2]), found[3]))
    return Lock(commit[1], tuple(files), remote)


def without_credentials(url: str) -> str:
    """A remote's URL without user and password, which must not get into Git."""
    parts = urlsplit(url)
    if not parts.netloc or "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _text(quoted: str, number: int) -> str:
    try:
        value = json.loads(quoted)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, str):
        raise ParseError(f"{LOCK_FILE}, line {number}: no quoted text")
    return value


def _locked(entry: StageEntry) -> LockedFile:
    assert entry.mode in (FILE, EXEC, LINK)
    digest = f"blake3:{entry.blake3.hex()}" if entry.blake3 is not None else f"git:{entry.id}"
    return LockedFile(entry.path, entry.mode, entry.size, digest)


def differing(lock: Lock, entries: Iterable[StageEntry]) -> list[str]:
    """The paths at which a lock and a stage do not agree, ordered."""
    ours = {entry.path: _locked(entry) for entry in entries}
    theirs = {file.path: file for file in lock.files}
    return sorted(path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path))
