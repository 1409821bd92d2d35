"""Where to look for the base of a new file: what stands, what this session has brought, the history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from mvc.errors import MvcError
from mvc.formats.base import ReadAt
from mvc.objects import manifest as manifests
from mvc.objects import trees
from mvc.objects.model import TreeItem, is_file
from mvc.objects.reader import ObjectReader
from mvc.objects.walk import Selection, walk
from mvc.repo.bases import BaseSource, Candidate, Option, Wanted, coverage, rank
from mvc.repo.repository import Repository

# A file is looked up at other paths only when its own path says too little, and then no further than this.
_ENOUGH = 0.9
_MAX_STANDING = 32
_MAX_COMMITS = 500
_MAX_HISTORY = 48
_MODEL_SUFFIXES = frozenset(
    {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".npz", ".npy", ".distcp", ".data", ".onnx_data"}
)


class BaseFinder:
    """Finds the options for each file of one `ingest`. Reads manifests only, but for a few samples."""

    def __init__(
        self,
        repo: Repository,
        chunks: BaseSource,
        standing: Mapping[str, TreeItem],
        objects: ObjectReader | None = None,
    ) -> None:
        """`objects`: where manifests are read, if not in the repository (a batch that holds more)."""
        self._repo = repo
        self._objects = objects or repo.objects
        self._chunks = chunks
        self._standing = standing
        self._session: list[Candidate] = []
        self._parsed: dict[str, Candidate | None] = {}
        self._history: list[Candidate] | None = None

    def add(self, manifest: manifests.Manifest) -> None:
        """A file of this session may be a base from now on."""
        self._session.append(Candidate(manifest))

    def options(self, path: str, wanted: Sequence[Wanted], read_at: ReadAt, limit: int) -> list[Option]:
        """The options for a file at `path`, the best first."""
        if not wanted or not limit:
            return []
        pool: list[Candidate] = []
        for source in (self._own(path), iter(self._session), self._others(path), self._past()):
            for candidate in source:
                if candidate not in pool and any(candidate.find(item.tensor) for item in wanted):
                    pool.append(candidate)
            if coverage(pool, wanted) >= _ENOUGH:
                break
        return rank(self._chunks, pool, wanted, read_at, limit)

    def _own(self, path: str) -> Iterator[Candidate]:
        yield from self._parse_all([self._standing[path]] if path in self._standing else [])

    def _others(self, path: str) -> Iterator[Candidate]:
        """What stands at other paths: files of the same name first, then those of the same kind."""
        own = PurePosixPath(path)
        models = [p for p in self._standing if p != path and PurePosixPath(p).suffix in _MODEL_SUFFIXES | {own.suffix}]
        models.sort(key=lambda p: (PurePosixPath(p).name != own.name, PurePosixPath(p).suffix != own.suffix, p))
        yield from self._parse_all(self._standing[p] for p in models[:_MAX_STANDING])

    def _past(self) -> Iterator[Candidate]:
        """The files of recent commits on any ref."""
        if self._history is None:
            self._history = list(self._parse_all(_recent_models(self._repo)))[:_MAX_HISTORY]
        yield from self._history

    def _parse_all(self, items: Iterable[TreeItem]) -> Iterator[Candidate]:
        for item in items:
            if item.id not in self._parsed:
                self._parsed[item.id] = _candidate(self._objects, item)
            candidate = self._parsed[item.id]
            if candidate is not None:
                yield candidate


def _candidate(objects: ObjectReader, item: TreeItem) -> Candidate | None:
    """The candidate that a tree item is, if it is a chunked file with tensors. What is damaged is none."""
    if not is_file(item.mode):
        return None
    try:
        blob = objects.blob(item.id)
        if not manifests.is_manifest(blob):
            return None
        candidate = Candidate(manifests.parse(blob))
    except MvcError:
        return None
    return candidate if candidate.same else None


def _recent_models(repo: Repository) -> Iterator[TreeItem]:
    """The model files that recent commits brought in, newest first."""
    tips = sorted(set(repo.refs.list("refs/heads/").values()) | set(repo.refs.list("refs/tags/").values()))
    head = repo.refs.head().id
    seen: set[str] = set()
    include = [repo.objects.peel(tip) for tip in tips] or ([head] if head else [])
    if not include:
        return
    for commit in walk(repo.objects, Selection(include=include, max_count=_MAX_COMMITS)):
        parent = repo.objects.commit(commit.parents[0]).tree if commit.parents else None
        for change in trees.diff(repo.objects, parent, commit.tree):
            if (
                change.new is not None
                and change.new.id not in seen
                and PurePosixPath(change.path).suffix in _MODEL_SUFFIXES
            ):
                seen.add(change.new.id)
                yield change.new
            if len(seen) > 2 * _MAX_HISTORY:
                return
