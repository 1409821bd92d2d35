"""All that is known of a commit: what it says of itself, and what was said of it since (`mvc annotate`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property

from mvc.metadata.annotations import Annotation, Annotations, annotated, ordered, origins, read_annotations
from mvc.metadata.model import CommitMetadata
from mvc.metadata.tree import FILES, MetadataReader
from mvc.ops.names import TAGS, peel
from mvc.repo.readable import Readable


def known(repo: Readable, commit_id: str, *, files: Collection[str] = FILES) -> CommitMetadata:
    """What is known of a commit. Raises ParseError for metadata that nobody can read."""
    return Known(repo, files).read(commit_id)


class Known:
    """What is known of many commits. Notes are those that stood when the first was asked for."""

    def __init__(self, repo: Readable, files: Collection[str] = FILES) -> None:
        self._repo = repo
        self._reader = MetadataReader(repo.objects, files)

    def read(self, commit_id: str) -> CommitMetadata:
        """As `known`. What it returns is shared: do not change it."""
        return self.of_tree(commit_id, self._repo.objects.commit(commit_id).tree)

    def of_tree(self, commit_id: str, tree_id: str) -> CommitMetadata:
        """As `read`, for who has read the commit: `tree_id` is its tree."""
        metadata = self._reader.read(tree_id)
        return annotated(metadata, self.annotations(commit_id)) if self.notes else metadata

    def annotations(self, commit_id: str) -> tuple[Annotation, ...]:
        """What was said of a commit, and of annotated tags that stand for it, oldest first."""
        found = list(self.notes.get(commit_id, ()))
        for tag in self._tags.get(commit_id, ()):
            found += self.notes.get(tag, ())
        return ordered(found) if found else ()

    @cached_property
    def notes(self) -> Annotations:
        """All notes, by the id of a commit or of an annotated tag. False where there are none."""
        return read_annotations(self._repo.objects, self._repo.refs)

    @cached_property
    def _tags(self) -> dict[str, list[str]]:
        """Annotated tags that have a note, by the commit that they stand for."""
        found: dict[str, list[str]] = {}
        if self.notes:
            for target in self._repo.refs.list(TAGS).values():
                if self.notes.blobs(target) and (commit := peel(self._repo.objects, target)) != target:
                    found.setdefault(commit, []).append(target)
        return found


def later(repo: Readable) -> Callable[[str, CommitMetadata], tuple[CommitMetadata, Mapping[str, Annotation] | None]]:
    """From a commit's id and what it says of itself to what is known of it, and what of that was added later."""
    known = Known(repo, ())

    def add(commit_id: str, metadata: CommitMetadata) -> tuple[CommitMetadata, Mapping[str, Annotation] | None]:
        found = known.annotations(commit_id)
        return (annotated(metadata, found), origins(found)) if found else (metadata, None)

    return add
