"""The Hub's cache on this machine as a source: each snapshot a commit, each ref a branch.

Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache. `models--ORG--NAME/` (datasets and spaces
alike) holds `blobs/` named by SHA-256 (large files) or Git's blob id, `refs/` that name a snapshot, `snapshots/ID/`
of links into `blobs/`. The cache keeps no history: snapshots have no parents, and dates are those of its files.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mvc.errors import IntegrityError, NotFound, UnsafePath
from mvc.fsio import RandomFile, read_small
from mvc.importers.base import Entry, Snapshot, SourceCommit, SourceRef
from mvc.importers.standing import file_size
from mvc.metadata.model import CommitMetadata
from mvc.objects.model import FILE, Signature
from mvc.objects.refnames import is_valid
from mvc.repo.sourcefiles import Opened

_FOLDER = re.compile(r"(models|datasets|spaces)--(.+)\Z")
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_BLOB = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_MAX_REF = 4096
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class _Version:
    """A snapshot of a repository of the Hub, cached in `folder`."""

    folder: Path
    name: str
    kind: str
    commit: str


class HubCacheSource:
    """The cache folder at `path`, or the folder of one repository in it."""

    kind = "hf-cache"

    def __init__(self, path: Path, who: Signature, *, names: Sequence[str] = ()) -> None:
        """`who` signs the commits, as the cache does not know who made them. `names`: these repositories alone
        ("org/name"). Raises NotFound where there is none."""
        top = Path(os.path.abspath(path))
        folders = (
            [top] if _FOLDER.match(top.name) else sorted(one for one in _subfolders(top) if _FOLDER.match(one.name))
        )
        self.place = os.fspath(top)
        self._who = who
        self._single = folders == [top]
        self._warned: dict[str, None] = {}
        self._folders = [one for one in folders if not names or _name(one)[1] in names]
        self._versions = {_id(one): one for one in self._find()}
        if not self._versions:
            asked = f" of {', '.join(names)}" if names else ""
            raise NotFound(
                f"{path} holds no snapshot{asked}", hint="the cache is the folder that holds models--ORG--NAME"
            )
        self._paths: dict[str, Path] = {}
        self._snapshot = lru_cache(maxsize=4)(self._make_snapshot)

    def ids(self) -> Sequence[str]:
        return list(self._versions)

    def commit(self, commit_id: str) -> SourceCommit:
        version = self._versions[commit_id]
        made = self._who._replace(time=int(os.stat(version.folder / "snapshots" / version.commit).st_mtime))
        message = f"{version.name} at {version.commit[:12]}\n\nFrom the cache of the Hugging Face Hub.\n"
        return SourceCommit(commit_id, (), made, made, message)

    def snapshot(self, commit_id: str) -> Snapshot:
        return self._snapshot(commit_id)

    def refs(self) -> Sequence[SourceRef]:
        found: list[SourceRef] = []
        named: set[str] = set()
        by_commit = {(version.folder, version.commit): one for one, version in self._versions.items()}
        for folder in self._folders:
            _, name = _name(folder)
            above = "" if self._single else f"{name}/"
            for ref, commit in self._refs_of(folder):
                target = by_commit.get((folder, commit), "")
                full = f"refs/heads/{above}{ref.removeprefix('refs/')}"
                if target and is_valid(full):
                    found.append(SourceRef(full, target))
                    named.add(target)
        for commit_id, version in self._versions.items():
            if commit_id not in named:
                above = "" if self._single else f"{version.name}/"
                found.append(SourceRef(f"refs/tags/{above}{version.commit[:12]}", commit_id))
        return found

    def head(self) -> str | None:
        return "refs/heads/main" if self._single else None

    def size(self, entry: Entry) -> int | None:
        path = self._paths.get(entry.key)
        return file_size((path,), follow=False) if path is not None else None

    def open(self, entry: Entry) -> Opened:
        path = self._paths.get(entry.key)
        if path is None or self.size(entry) is None:
            raise NotFound(f"{entry.key} is not in the cache")
        return RandomFile(path)

    def warnings(self) -> Sequence[str]:
        return tuple(self._warned)

    def close(self) -> None:
        pass

    def _find(self) -> Iterator[_Version]:
        for folder in self._folders:
            kind, name = _name(folder)
            for one in sorted(_subfolders(folder / "snapshots")):
                if _COMMIT.match(one.name):
                    yield _Version(folder, name, kind, one.name)

    def _refs_of(self, folder: Path) -> Iterator[tuple[str, str]]:
        for path in sorted(_files(folder / "refs", folder / "refs", 0)):
            try:
                text = read_small(path, _MAX_REF).decode("ascii", "replace").strip()
            except (OSError, IntegrityError):
                continue
            if _COMMIT.match(text):
                yield path.relative_to(folder / "refs").as_posix(), text

    def _make_snapshot(self, commit_id: str) -> Snapshot:
        version = self._versions[commit_id]
        top = version.folder / "snapshots" / version.commit
        files = {path.relative_to(top).as_posix(): self._entry(version, path) for path in _files(top, top, 0)}
        tags = {"source": f"hf://{'' if version.kind == 'models' else version.kind + '/'}{version.name}"}
        return Snapshot(
            files, CommitMetadata(links={"hub.repo": version.name, "hub.commit": version.commit}, tags=tags)
        )

    def _entry(self, version: _Version, path: Path) -> Entry:
        """A file of a snapshot: a link into `blobs/`; where links could not be made, the file itself."""
        found = os.lstat(path)
        if not stat.S_ISLNK(found.st_mode):
            key = f"file:{version.folder.name}/{version.commit}/{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
            self._warned.setdefault(f"{version.name}: files that are no links into blobs/ cannot be verified")
            self._paths[key] = path
            return Entry(FILE, key, found.st_size)
        target = Path(os.path.normpath(path.parent / os.readlink(path)))
        if target.parent != version.folder / "blobs" or not _BLOB.match(target.name):
            raise UnsafePath(f"{path} leads to {target}, out of the model's blobs")
        key = f"{'sha256' if len(target.name) == 64 else 'git'}:{target.name}"
        self._paths[key] = target
        return Entry(FILE, key)


def _id(version: _Version) -> str:
    """A snapshot as it stands now: one of which more files were downloaded since makes another commit."""
    top = version.folder / "snapshots" / version.commit
    names = sorted(path.relative_to(top).as_posix() for path in _files(top, top, 0))
    listed = hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{version.folder.name}@{version.commit}-{listed[:8]}"


def _name(folder: Path) -> tuple[str, str]:
    """("models", "org/name") of a folder's name."""
    match = _FOLDER.match(folder.name)
    assert match is not None  # folders with other names have been left out
    return match[1], match[2].replace("--", "/")


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            return [Path(one.path) for one in found if one.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(folder: Path, top: Path, depth: int) -> Iterator[Path]:
    """Files and links below a folder; no link to a folder is entered."""
    if depth > _MAX_DEPTH:
        raise UnsafePath(f"{top} holds folders deeper than {_MAX_DEPTH}")
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda one: one.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for one in entries:
        if one.is_dir(follow_symlinks=False):
            yield from _files(Path(one.path), top, depth + 1)
        elif one.is_file(follow_symlinks=False) or one.is_symlink():
            yield Path(one.path)
