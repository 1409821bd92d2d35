"""The Hub's cache: `models--ORG--NAME/{blobs,refs,snapshots}`, as huggingface_hub reads it without a network."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mvc import fsio
from mvc.errors import Refused, UsageError
from mvc.exporters.contents import Contents
from mvc.objects import trees
from mvc.objects.manifest import is_manifest
from mvc.objects.model import LINK, TreeItem
from mvc.progress import Progress
from mvc.repo.repository import Repository

_NAME = re.compile(r"(?:[\w.-]{1,96}/)?[\w.-]{1,96}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class CacheExported:
    """`folder`: that of the model. Sizes in bytes."""

    folder: Path
    snapshots: Mapping[str, str]
    """Name in `refs/` to the commit whose snapshot it names."""
    contents: int
    size: int


def export_cache(
    repo: Repository, dest: Path, name: str, versions: Mapping[str, str], progress: Progress
) -> CacheExported:
    """Write versions (name to commit) of the model `name` ("org/name") into the cache folder `dest`.

    A snapshot is called by our commit's id. What stands is kept: contents are there once, by their digest. Links of a
    version to a file of it become that file; any other is refused. Raises UsageError, Refused.
    """
    if not _NAME.match(name) or "--" in name or ".." in name:
        raise UsageError(f"'{name}' is no name of a model on the Hub", hint="--name ORG/NAME")
    folder = dest / f"models--{name.replace('/', '--')}"
    with Contents(repo) as contents:
        run = _Run(repo, folder, contents, progress)
        progress.begin("exporting", run.weigh(versions.values()))
        try:
            for commit in dict.fromkeys(versions.values()):
                run.snapshot(commit)
        finally:
            progress.end()
    for ref, commit in versions.items():
        target = folder / "refs" / ref
        fsio.make_dirs(target.parent)
        fsio.write_atomic(target, commit.encode())
    return CacheExported(folder, dict(versions), run.written, run.size)


class _Run:
    def __init__(self, repo: Repository, folder: Path, contents: Contents, progress: Progress) -> None:
        self._repo, self._folder, self._contents, self._progress = repo, folder, contents, progress
        self._blobs = folder / "blobs"
        self._known: dict[str, str] = {}
        self.written = self.size = 0
        fsio.make_dirs(self._blobs)

    def weigh(self, commits: Iterable[str]) -> int:
        """Bytes of all contents."""
        seen: dict[str, int] = {}
        for commit in set(commits):
            for item in trees.flatten(self._repo.objects, self._repo.objects.commit(commit).tree).values():
                if item.mode != LINK and item.id not in seen:
                    seen[item.id] = self._contents.size(item)
        return sum(seen.values())

    def snapshot(self, commit: str) -> None:
        items = trees.flatten(self._repo.objects, self._repo.objects.commit(commit).tree)
        top = self._folder / "snapshots" / commit
        fsio.make_dirs(top)
        for path, item in items.items():
            blob = self._blob(path, self._followed(path, item, items))
            place = top / path
            fsio.make_dirs(place.parent)
            target = os.path.relpath(self._blobs / blob, place.parent)
            if not place.is_symlink() or os.readlink(place) != target:
                place.unlink(missing_ok=True)
                fsio.step("link", place)
                os.symlink(target, place)

    def _followed(self, path: str, item: TreeItem, items: Mapping[str, TreeItem]) -> TreeItem:
        """The file that a link of the version leads to."""
        for _ in range(8):
            if item.mode != LINK:
                return item
            text = os.fsdecode(self._repo.objects.blob(item.id))
            path = os.path.normpath(os.path.join(os.path.dirname(path), text))
            if path not in items:
                break
            item = items[path]
        raise Refused(f"'{path}' is a link out of the version: the Hub's cache cannot hold it")

    def _blob(self, path: str, item: TreeItem) -> str:
        """The name of a file's blob, written if it is not there: SHA-256 of a large file, else Git's own id."""
        known = self._known.get(item.id)
        if known is not None:
            return known
        data = self._contents.blob(item)
        if is_manifest(data):
            name = self._large(path, item)
        else:
            name = item.id
            if not (self._blobs / name).exists():
                fsio.write_atomic(self._blobs / name, data)
                self._note(len(data))
        self._known[item.id] = name
        return name

    def _large(self, path: str, item: TreeItem) -> str:
        placed = self._contents.write(item, path, self._blobs, "sha256", self._progress)
        name = placed.written.digest
        if (self._blobs / name).exists():
            placed.discard()
        else:
            placed.place(self._blobs / name)
            self._note(placed.written.size)
        return name

    def _note(self, size: int) -> None:
        self.written += 1
        self.size += size
