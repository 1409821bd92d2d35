"""What a source of an import is: commits, the files of each, and where the bytes lie.

A source only reads, and never trusts what it reads: `mvc.importers.intake` checks paths, and verifies bytes against
the digest in an entry's key as they are stored. Nothing is written before `preflight` has seen all that is new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from mvc.metadata.model import NOTHING, CommitMetadata
from mvc.objects.model import Signature
from mvc.repo.sourcefiles import Opened


class Entry(NamedTuple):
    """A file of a commit. Entries with equal keys have equal bytes.

    `key` is "algorithm:digest" where the source names files by a digest ("md5:...", "md5-dos2unix:...", "sha256:...",
    "git:..." for Git's own blob id), else "file:" and what tells that file from others. `size` in bytes, None where
    the source does not tell.
    """

    mode: int
    key: str
    size: int | None = None


class SourceCommit(NamedTuple):
    """A version of the source. `id` is the source's own name for it; parents are ids of the same kind."""

    id: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str


class Snapshot(NamedTuple):
    """The files of a commit by path ("/"-separated), and what is known of it."""

    files: Mapping[str, Entry]
    metadata: CommitMetadata = NOTHING


class SourceRef(NamedTuple):
    """A name for a version: `ref` is the full name that it gets here, before any prefix.

    With `message` a tag is annotated, by `tagger`.
    """

    ref: str
    target: str
    tagger: Signature | None = None
    message: str | None = None


class Source(Protocol):
    """Versions kept by another tool."""

    @property
    def kind(self) -> str:
        """ "dvc", "git-lfs", "mlflow", "hf-cache"."""

    @property
    def place(self) -> str:
        """Which source it is, for its record: an absolute path."""

    def ids(self) -> Sequence[str]:
        """All commits, no parent behind its child."""

    def commit(self, commit_id: str) -> SourceCommit: ...

    def snapshot(self, commit_id: str) -> Snapshot:
        """Raises ParseError or UnsafePath, naming the file, where the source makes no sense."""

    def refs(self) -> Sequence[SourceRef]: ...

    def head(self) -> str | None:
        """The branch (full name) that the source itself is on."""

    def size(self, entry: Entry) -> int | None:
        """Bytes of a file's content, or None if the source does not have it (any more)."""

    def open(self, entry: Entry) -> Opened:
        """The content, to be read at any place. Raises NotFound."""

    def warnings(self) -> Sequence[str]:
        """What was left out, a line each, as far as it was met by now."""

    def close(self) -> None: ...
