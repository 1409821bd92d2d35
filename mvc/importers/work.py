"""Commits made one after the other of a source's: contents stored, verified as they pass, trees, commits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mvc.errors import IntegrityError, NotFound, ParseError
from mvc.importers.base import Entry, Snapshot, Source
from mvc.importers.digests import Digest, digest_for
from mvc.importers.facts import fitted
from mvc.importers.record import Record
from mvc.metadata.model import CommitMetadata
from mvc.metadata.tree import write_tree
from mvc.objects import trees
from mvc.objects.batch import ObjectBatch
from mvc.objects.manifest import is_manifest
from mvc.objects.model import TreeItem, is_link
from mvc.progress import Progress
from mvc.repo.encoding import Buffer
from mvc.repo.ingest import ingest_large
from mvc.repo.repository import Repository
from mvc.repo.sourcefiles import Opened
from mvc.settings import SMALL_FILE
from mvc.store.writer import PackWriter

_EVERY_SECONDS = 30.0
_EVERY_BYTES = 2 * 1024**3
_GROUP = 1024**3
"""Bytes of files that are handed on at once, one more file at the most: between two groups, progress may be saved."""
_REMEMBERED = 64
"""Trees of commits that are held, for their children to differ from."""

Save = Callable[[], None]


@dataclass(slots=True)
class Taken:
    """What an import brought. Sizes in bytes: of what was read, and what it took to store."""

    commits: dict[str, str] = field(default_factory=dict)
    """Source commit -> ours, all of them."""
    new: int = 0
    contents: int = 0
    raw: int = 0
    stored: int = 0


class Work:
    """One run. `tips`: the newest commits made; `pending`: blobs that no commit has yet."""

    def __init__(
        self,
        repo: Repository,
        source: Source,
        record: Record,
        writer: PackWriter,
        batch: ObjectBatch,
        taken: Taken,
        progress: Progress,
    ) -> None:
        self._repo, self._source, self._record = repo, source, record
        self._writer, self._batch, self._taken, self._progress = writer, batch, taken, progress
        self._recent: dict[str, dict[str, TreeItem]] = {}
        newest = next(reversed(record.commits.values()), None)
        self._last = self._items(newest) if newest is not None else {}
        self.tips: set[str] = set()
        self.pending: set[str] = set()
        self.unsaved = False
        self._saved_at, self._saved_bytes = time.monotonic(), 0

    def saved(self) -> None:
        """All that was done is durable."""
        self.unsaved = False
        self._saved_at, self._saved_bytes = time.monotonic(), self._taken.raw

    def commit(self, source_id: str, save: Save) -> None:
        """Make one commit, whose parents are made. `save` is called now and then."""
        made, snapshot = self._source.commit(source_id), self._source.snapshot(source_id)
        parents = [self._record.commits[one] for one in made.parents]
        standing = self._items(parents[0]) if parents else {}
        # What has no parent may still be a fine-tune of what was made before it.
        items = self._take(snapshot, standing if parents else self._last, save)
        base = self._batch.reader.commit(parents[0]).tree if parents else None
        changes: dict[str, TreeItem | None] = {path: item for path, item in items.items() if standing.get(path) != item}
        changes.update((path, None) for path in standing.keys() - items.keys())
        metadata = self._metadata(snapshot.metadata)
        tree = trees.update(self._batch, base, changes, metadata=metadata)
        new = self._batch.commit(tree, parents, made.author, made.committer, made.message)
        self._record.add_commit(source_id, new)
        self._remember(new, items)
        self._last = items or self._last
        self.tips -= set(parents)
        self.tips.add(new)
        self.pending.clear()
        self.unsaved = True
        self._taken.new += 1
        self._save_if_due(save)

    def _metadata(self, given: CommitMetadata) -> str | None:
        """The tree of the metadata; of what cannot be recorded as it is, what can."""
        if not given:
            return None
        try:
            return write_tree(self._batch, given)
        except ParseError:
            return write_tree(self._batch, fitted(given, self._progress.warn))

    def _save_if_due(self, save: Save) -> None:
        grown = self._taken.raw - self._saved_bytes
        if self.unsaved and (grown >= _EVERY_BYTES or time.monotonic() - self._saved_at >= _EVERY_SECONDS):
            save()

    def _items(self, commit_id: str) -> dict[str, TreeItem]:
        found = self._recent.get(commit_id)
        if found is None:
            found = trees.flatten(self._batch.reader, self._batch.reader.commit(commit_id).tree)
            self._remember(commit_id, found)
        return found

    def _remember(self, commit_id: str, items: dict[str, TreeItem]) -> None:
        while len(self._recent) >= _REMEMBERED:
            self._recent.pop(next(iter(self._recent)))
        self._recent[commit_id] = items

    def _take(self, snapshot: Snapshot, standing: Mapping[str, TreeItem], save: Save) -> dict[str, TreeItem]:
        """The items of a snapshot, new contents stored. What the source does not have is left out."""
        contents = self._record.contents
        large: dict[str, tuple[int, str, Entry]] = {}
        for path, entry in snapshot.files.items():
            if entry.key in contents or entry.key in large or (size := self._source.size(entry)) is None:
                continue
            if size > SMALL_FILE or not self._small(path, entry, size):
                large[entry.key] = (size, path, entry)
        # Large ones first, as `add` does: FP32 is there before what was cast from it.
        self._store(sorted(large.values(), key=lambda one: (-one[0], one[1])), standing, snapshot.files, save)
        found = ((path, entry.mode, contents.get(entry.key)) for path, entry in snapshot.files.items())
        return {path: TreeItem(mode, blob) for path, mode, blob in found if blob is not None}

    def _small(self, path: str, entry: Entry, size: int) -> bool:
        """Store a file as a blob; False for one that must be chunked after all."""
        with self._source.open(entry) as file:
            data = file.read_at(0, size + 1)
        if is_manifest(data) and not is_link(entry.mode):
            return False
        check = Check(path, entry, size)
        check.update(data)
        check.verify()
        self._done(entry.key, self._batch.blob(data), size)
        self._progress.advance(size)
        return True

    def _store(
        self,
        ordered: Sequence[tuple[int, str, Entry]],
        standing: Mapping[str, TreeItem],
        around: Mapping[str, Entry],
        save: Save,
    ) -> None:
        group: dict[str, Entry] = {}
        room = _GROUP
        for size, path, entry in ordered:
            group[path] = entry
            room -= size
            if room <= 0:
                self._store_group(group, standing, around)
                self._save_if_due(save)
                group, room = {}, _GROUP
        self._store_group(group, standing, around)

    def _store_group(
        self, group: Mapping[str, Entry], standing: Mapping[str, TreeItem], around: Mapping[str, Entry]
    ) -> None:
        if not group:
            return
        files = _Files(self._source, around)
        done = ingest_large(
            self._repo,
            self._writer,
            self._batch,
            list(group),
            files,
            standing=standing,
            seen=files.seen,
            progress=self._progress,
        )
        for one in done:
            files.verify(one.path)
            self._done(group[one.path].key, one.id, one.size)

    def _done(self, key: str, blob: str, size: int) -> None:
        self._record.add_content(key, blob)
        self.pending.add(blob)
        self.unsaved = True
        self._taken.contents += 1
        self._taken.raw += size


class Check:
    """A file's bytes on their way: are there as many as the source says, and do they have the digest?"""

    def __init__(self, path: str, entry: Entry, size: int) -> None:
        self._path, self._entry, self._wanted, self._size = path, entry, size, 0
        self._digest: tuple[Digest, str] | None = digest_for(entry.key, size)

    def update(self, data: Buffer) -> None:
        self._size += len(data)
        if self._digest is not None:
            self._digest[0].update(data)

    def verify(self) -> None:
        """Raises IntegrityError."""
        told = self._entry.size
        if self._size != self._wanted or (told is not None and told != self._size):
            wanted = self._wanted if told is None else told
            raise IntegrityError(f"'{self._path}': the source holds {self._size} bytes of it, not {wanted}")
        if self._digest is not None and self._digest[0].hexdigest() != self._digest[1]:
            raise IntegrityError(
                f"'{self._path}' is damaged in the source: it does not have the digest {self._entry.key}"
            )


class _Files:
    """Files of a source, for `mvc.repo.ingest`, with a check on each."""

    def __init__(self, source: Source, entries: Mapping[str, Entry]) -> None:
        self._source, self._entries = source, entries
        self._checks: dict[str, Check] = {}
        self._opened: set[str] = set()

    def seen(self, path: str, data: Buffer) -> None:
        if path in self._opened:  # for the first time, or again since it changed
            self._opened.remove(path)
            self._checks[path] = Check(path, self._entries[path], self._source.size(self._entries[path]) or 0)
        self._checks[path].update(data)

    def verify(self, path: str) -> None:
        self._checks.pop(path).verify()

    def open_file(self, path: str) -> Opened:
        self._opened.add(path)
        return self._source.open(self._entries[path])

    def names(self, folder: str) -> Sequence[str]:
        return [path.rpartition("/")[2] for path in self._entries if path.rpartition("/")[0] == folder]

    def lstat(self, path: str) -> os.stat_result | None:
        return None

    def open_read(self, path: str) -> int:
        raise NotFound(f"'{path}' is not on this disk")

    def open_known(self, path: str) -> tuple[int, os.stat_result]:
        raise NotFound(f"'{path}' is not on this disk")

    def readlink(self, path: str) -> bytes:
        raise NotFound(f"'{path}' is not on this disk")
