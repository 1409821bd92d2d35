"""`log --tensor`: which commits change certain tensors. Compares manifests; no weight is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from mvc.errors import ParseError
from mvc.formats.base import Layout
from mvc.formats.registry import detect
from mvc.hashing import digest
from mvc.objects import trees
from mvc.objects.manifest import is_manifest, parse
from mvc.objects.model import Commit, TreeItem, is_file
from mvc.objects.reader import ObjectReader

_MOST_CACHED = 512


class TensorFilter:
    """Tells whether a commit changes a tensor whose name fits one of `patterns`, in a file whose path `fits`.

    A tensor that only moved to another file has not changed.
    """

    def __init__(self, patterns: Sequence[str], fits: Callable[[str], bool]) -> None:
        self._patterns = tuple(patterns)
        self._fits = fits
        self._known: dict[str, dict[str, bytes]] = {}

    def changes(self, commit: Commit, objects: ObjectReader) -> bool:
        """Whether it does so with respect to its first parent (a first commit: to nothing)."""
        parent = objects.commit(commit.parents[0]).tree if commit.parents else None
        old: dict[str, set[bytes]] = {}
        new: dict[str, set[bytes]] = {}
        for change in trees.diff(objects, parent, commit.tree):
            if not self._fits(change.path):
                continue
            for item, side in ((change.old, old), (change.new, new)):
                for name, content in self._tensors(objects, change.path, item).items():
                    side.setdefault(name, set()).add(content)
        return old != new

    def _tensors(self, objects: ObjectReader, path: str, item: TreeItem | None) -> dict[str, bytes]:
        if item is None or not is_file(item.mode):
            return {}
        found = self._known.get(item.id)
        if found is None:
            blob = objects.blob(item.id)
            found = self._chunked(blob) if is_manifest(blob) else self._plain(blob, path)
            while len(self._known) >= _MOST_CACHED:
                self._known.pop(next(iter(self._known)))
            self._known[item.id] = found
        return found

    def _chunked(self, blob: bytes) -> dict[str, bytes]:
        try:
            manifest = parse(blob)
        except ParseError:
            return {}
        tensors: dict[str, bytes] = {}
        for segment in manifest.segments:
            tensor = segment.tensor
            if tensor is not None and self._wanted(tensor.name):
                names = b"".join([*(ref.name for ref in segment.chunks), *(ref.name for ref in segment.lists)])
                tensors[tensor.name] = digest(f"{tensor.dtype} {tensor.shape} ".encode() + names)
        return tensors

    def _plain(self, blob: bytes, path: str) -> dict[str, bytes]:
        """A file that is so small that it is stored as it is: an adapter, a scaler."""

        def read_at(offset: int, length: int, /) -> bytes:
            return blob[offset : offset + length]

        try:
            layout = detect(read_at, len(blob), path) or Layout("", ())
        except ParseError:
            return {}
        tensors: dict[str, bytes] = {}
        for segment in layout.segments:
            tensor = segment.tensor
            if tensor is not None and self._wanted(tensor.name):
                content = blob[segment.offset : segment.offset + segment.length]
                tensors[tensor.name] = digest(f"{tensor.dtype} {tensor.shape} ".encode() + content)
        return tensors

    def _wanted(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._patterns)
