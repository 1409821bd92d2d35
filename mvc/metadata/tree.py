"""The metadata of a commit in its tree: `.mvcmeta/`, a closed list of small YAML files (docs/format/metadata.md)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from mvc.errors import ParseError
from mvc.lazy import load
from mvc.metadata.lean import loads, loads_flat
from mvc.metadata.model import NOTHING, CommitMetadata, Dataset
from mvc.metadata.values import MAX_BYTES, flatten, nest
from mvc.objects import trees
from mvc.objects.model import FILE, TreeEntry
from mvc.objects.reader import ObjectReader

if TYPE_CHECKING:
    from mvc.objects.batch import ObjectBatch

PARAMS = "params.yaml"
METRICS = "metrics.yaml"
DATASETS = "datasets.yaml"
ENVIRONMENT = "environment.yaml"
_FULL_READER = "mvc.metadata.files:grouped_values"
"""Loaded for files that mvc did not write."""

_WRITER = "mvc.metadata.canonical:dumps"
"""Loaded to commit, not to read."""

FILES = (DATASETS, ENVIRONMENT, METRICS, PARAMS)


def write_tree(batch: ObjectBatch, metadata: CommitMetadata) -> str | None:
    """Write the files of `.mvcmeta/`; returns the tree's id, or None when there is nothing to say."""
    groups: dict[str, Mapping[str, Any]] = {
        DATASETS: {dataset.name: _dataset_fields(dataset) for dataset in metadata.datasets},
        ENVIRONMENT: nest(metadata.environment),
        METRICS: nest(metadata.metrics),
        PARAMS: nest(metadata.params),
    }
    entries = [TreeEntry(name, FILE, batch.blob(_encoded(name, values))) for name, values in groups.items() if values]
    return batch.tree(entries) if entries else None


def read_metadata(objects: ObjectReader, tree_id: str, *, files: Collection[str] = FILES) -> CommitMetadata:
    """The metadata of a commit, by the id of its root tree; only what stands in `files`.

    Raises ParseError for a file that cannot be read (a person may have written it with git), and
    what reading an object raises.
    """
    return MetadataReader(objects, files).read(tree_id)


class MetadataReader:
    """Reads the metadata of many commits: what a commit says as the one before is read once."""

    def __init__(self, objects: ObjectReader, files: Collection[str] = FILES) -> None:
        self._objects = objects
        self._files = files
        self._folder: tuple[str, CommitMetadata] = ("", NOTHING)
        self._last: dict[str, tuple[str, Any]] = {}
        """By file: the id of the last one, and what it says."""

    def read(self, tree_id: str) -> CommitMetadata:
        """As `read_metadata`. What it returns is shared: do not change it."""
        folder = trees.metadata_tree(self._objects, tree_id)
        if folder is None:
            return NOTHING
        if folder != self._folder[0]:
            found = trees.files_in(self._objects, folder)
            made = CommitMetadata(
                params=self._part(PARAMS, found, _flat) or {},
                metrics=self._part(METRICS, found, _flat) or {},
                datasets=self._part(DATASETS, found, _datasets) or (),
                environment=self._part(ENVIRONMENT, found, _flat) or {},
            )
            self._folder = (folder, made)
        return self._folder[1]

    def _part(self, name: str, found: Mapping[str, str], read: Callable[[ObjectReader, str, str], Any]) -> Any:
        blob = found.get(name)
        if blob is None or name not in self._files:
            return None
        last = self._last.get(name)
        if last is None or last[0] != blob:
            last = self._last[name] = (blob, read(self._objects, name, blob))
        return last[1]


def _encoded(name: str, values: Mapping[str, Any]) -> bytes:
    try:
        data: bytes = load(_WRITER)(values).encode()
    except UnicodeEncodeError as error:
        raise ParseError(f"{name}: text that is not Unicode") from error
    if len(data) > MAX_BYTES:
        raise ParseError(f"{name} would be larger than {MAX_BYTES >> 20} MiB")
    return data


def _dataset_fields(dataset: Dataset) -> dict[str, Any]:
    fields = {
        "location": dataset.location,
        "digest": dataset.digest,
        "size": dataset.size,
        "files": dataset.files,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _blob(objects: ObjectReader, name: str, blob_id: str) -> bytes:
    data = objects.blob_within(blob_id, MAX_BYTES)
    if data is None:
        raise ParseError(f".mvcmeta/{name} is larger than {MAX_BYTES >> 20} MiB")
    return data


def _groups(name: str, data: bytes) -> dict[str, Any]:
    try:
        groups = loads(data.decode())
    except UnicodeDecodeError:
        groups = None
    if groups is None:
        groups = load(_FULL_READER)(data, "yaml", f".mvcmeta/{name}")
    return groups


def _flat(objects: ObjectReader, name: str, blob_id: str) -> dict[str, Any]:
    data = _blob(objects, name, blob_id)
    if data.isascii() and (flat := loads_flat(data.decode())) is not None:
        return flat
    try:
        return flatten(_groups(name, data))
    except ParseError as error:
        prefix = f".mvcmeta/{name}: "
        raise ParseError(prefix + error.message.removeprefix(prefix)) from error


def _datasets(objects: ObjectReader, name: str, blob_id: str) -> tuple[Dataset, ...]:
    # A dataset's name may hold dots, so the groups are taken as they stand.
    return tuple(_dataset(one, fields) for one, fields in _groups(name, _blob(objects, name, blob_id)).items())


def _dataset(name: str, fields: Any) -> Dataset:
    if not isinstance(fields, dict) or not isinstance(fields.get("location"), str):
        raise ParseError(f".mvcmeta/{DATASETS}: '{name}' has no location")
    digest, size, files = fields.get("digest"), fields.get("size"), fields.get("files")
    return Dataset(
        name,
        fields["location"],
        digest if isinstance(digest, str) else None,
        size if isinstance(size, int) else None,
        files if isinstance(files, int) else None,
    )
