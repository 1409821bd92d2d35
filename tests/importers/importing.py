"""A repository that is imported into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mvc.importers.base import Source
from mvc.metadata.model import CommitMetadata
from mvc.metadata.tree import EVERY_FILE, read_metadata
from mvc.objects import trees
from mvc.objects.manifest import is_manifest, parse
from mvc.objects.model import Commit, Signature
from mvc.objects.revparse import resolve_commit
from mvc.ops.caller import Caller
from mvc.ops.fsck import fsck
from mvc.ops.import_source import Imported, ImportOptions, import_source
from mvc.progress import NullProgress
from mvc.repo.chunks import open_chunks
from mvc.repo.create import init
from mvc.repo.repository import Repository
from mvc.repo.tensors import file_chunks, read_chunk

WHO = Signature("Im Porter", "im@example.org", 1_750_000_000, 60)


class Heard(NullProgress):
    """Keeps warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


class Target:
    def __init__(self, path: Path) -> None:
        path.mkdir()
        init(path, initial_branch="trunk")
        self.path = path
        self.heard = Heard()

    @property
    def repo(self) -> Repository:
        return Repository.open(self.path)

    @property
    def caller(self) -> Caller:
        return Caller(WHO, self.heard)

    def take(self, source: Source, **options: Any) -> Imported:
        """Import, and close the source."""
        try:
            return import_source(self.repo, source, ImportOptions(**options), caller=self.caller)
        finally:
            source.close()

    def commit(self, revision: str) -> Commit:
        return self.repo.objects.commit(resolve_commit(self.repo.objects, self.repo.refs, revision))

    def files(self, revision: str) -> dict[str, bytes]:
        """Every file of a version, decoded."""
        repo = self.repo
        chunks = open_chunks(repo)
        found = {}
        for path, item in trees.flatten(repo.objects, self.commit(revision).tree).items():
            blob = repo.objects.blob(item.id)
            if is_manifest(blob):
                blob = b"".join(
                    read_chunk(chunks, ref, segment) for _, ref, segment in file_chunks(chunks, parse(blob))
                )
            found[path] = blob
        return found

    def known(self, revision: str) -> CommitMetadata:
        return read_metadata(self.repo.objects, self.commit(revision).tree, files=EVERY_FILE)

    def check(self) -> None:
        """All is sound, and nothing of the import is left but its record."""
        assert not fsck(self.repo).findings
        assert not self.repo.refs.list("refs/imports/")
