"""A Git repository with Git LFS as a source: each Git commit, with contents in place of pointers.

Pointers: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md. Objects lie in `lfs/objects/ab/cd/abcd...`, by the
SHA-256 of their bytes: in the repository, and in that of a remote or `lfs.url` on this machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mvc.errors import NotFound
from mvc.fsio import RandomFile
from mvc.importers.base import Entry, Snapshot, SourceCommit, SourceRef
from mvc.importers.gitsource import BlobFile, GitSource
from mvc.importers.standing import file_size
from mvc.metadata.model import CommitMetadata
from mvc.objects.config import ConfigFile
from mvc.objects.model import TreeItem, is_file
from mvc.repo.sourcefiles import Opened

MAX_POINTER = 1024
"""Bytes, as the specification says."""
_POINTER = re.compile(
    rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/v1\n"
    rb"((?:ext-[0-9]-[^\n]*\n)*)oid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]{0,18})\n?\Z"
)


class LfsSource:
    """The repository at `path`: its top folder, or a bare one."""

    kind = "git-lfs"

    def __init__(self, path: Path, *, models_only: bool = False, remotes: bool = False) -> None:
        """`models_only`: the files that LFS keeps, and not the others. Raises NotFound."""
        self._git = GitSource(path, remotes=remotes)
        self._models_only = models_only
        self.place = os.fspath(self._git.common_dir)
        self._folders = [*_object_folders(self._git)]
        self._pointers: dict[str, Entry | None] = {}
        self._snapshot = lru_cache(maxsize=4)(self._make_snapshot)

    def ids(self) -> Sequence[str]:
        return self._git.ids(self.refs())

    def commit(self, commit_id: str) -> SourceCommit:
        return self._git.commit(commit_id)

    def snapshot(self, commit_id: str) -> Snapshot:
        return self._snapshot(commit_id)

    def refs(self) -> Sequence[SourceRef]:
        return self._git.refs

    def head(self) -> str | None:
        return self._git.head()

    def size(self, entry: Entry) -> int | None:
        algorithm, _, digest = entry.key.partition(":")
        if algorithm == "git":
            return self._git.size(digest)
        if algorithm != "sha256":
            return None
        return file_size(self._places(digest), follow=True)

    def open(self, entry: Entry) -> Opened:
        algorithm, _, digest = entry.key.partition(":")
        if algorithm == "git":
            return BlobFile(self._git.objects.blob(digest))
        for path in self._places(digest):
            try:
                return RandomFile(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
        raise NotFound(f"LFS object {digest} is not on this machine", hint="git lfs fetch --all")

    def warnings(self) -> Sequence[str]:
        return self._git.warnings()

    def close(self) -> None:
        self._git.close()

    def _make_snapshot(self, commit_id: str) -> Snapshot:
        files: dict[str, Entry] = {}
        for path, item in self._git.files(commit_id).items():
            pointer = self._pointer(path, item)
            if pointer is not None:
                files[path] = pointer
            elif not self._models_only:
                files[path] = self._git.entry(item)
        return Snapshot(files, CommitMetadata(environment={"code.commit": commit_id}))

    def _pointer(self, path: str, item: TreeItem) -> Entry | None:
        """The content that a file stands for; None for a file that is no pointer."""
        if not is_file(item.mode):
            return None
        if item.id not in self._pointers:
            size = self._git.size(item.id)
            small = size is not None and size <= MAX_POINTER
            self._pointers[item.id] = self._parse(path, item, self._git.objects.blob(item.id)) if small else None
        found = self._pointers[item.id]
        return found._replace(mode=self._git.entry(item).mode) if found is not None else None

    def _parse(self, path: str, item: TreeItem, data: bytes) -> Entry | None:
        match = _POINTER.match(data)
        if match is None:
            return None
        if match[1]:
            self._git.warn(f"'{path}' went through an extension of LFS: its content is not brought back")
            return Entry(item.mode, f"lost:{item.id}")
        return Entry(item.mode, f"sha256:{match[2].decode()}", int(match[3]))

    def _places(self, digest: str) -> Iterator[Path]:
        for folder in self._folders:
            yield folder / digest[:2] / digest[2:4] / digest


def _object_folders(git: GitSource) -> Iterator[Path]:
    """Where objects may lie, the repository's own first."""
    yield Path(os.path.normpath(git.common_dir / (git.config.get("lfs.storage") or "lfs"))) / "objects"
    urls = [git.config.get("lfs.url"), ConfigFile(git.top / ".lfsconfig").get("lfs.url")]
    urls += [value for key, value in git.config.items() if re.fullmatch(r"remote\..*\.(?:lfs)?url", key)]
    for url in dict.fromkeys(urls):
        path = _local(git.top, url)
        if path is not None:
            yield from (path / inner for inner in ("lfs/objects", ".git/lfs/objects") if (path / inner).is_dir())


def _local(top: Path, url: str | None) -> Path | None:
    """The folder of this machine that a URL names, if it does."""
    if not url:
        return None
    if url.startswith("file://"):
        return Path(unquote(urlsplit(url).path))
    if "://" in url or re.match(r"[^/\\]+:", url):
        return None
    return Path(os.path.normpath(top / url))
