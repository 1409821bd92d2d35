"""The metadata of a commit in its tree: `.mvcmeta/`, a closed list of small files (docs/format/metadata.md)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from mvc.errors import ParseError
from mvc.lazy import load
from mvc.metadata.lean import loads, loads_flat
from mvc.metadata.model import NOTHING, CommitMetadata
from mvc.metadata.values import MAX_BYTES, flatten, nest
from mvc.objects import trees
from mvc.objects.model import FILE, TreeEntry
from mvc.objects.reader import ObjectReader

if TYPE_CHECKING:
    from mvc.metadata.model import Point
    from mvc.objects.batch import ObjectBatch

_Read = TypeVar("_Read")

PARAMS = "params.yaml"
METRICS = "metrics.yaml"
DATASETS = "datasets.yaml"
ENVIRONMENT = "environment.yaml"
TAGS = "tags.yaml"
LINKS = "links.yaml"
LINEAGE = "lineage.yaml"
TABLES = "tables.yaml"
SERIES = "series.jsonl"

_FULL_READER = "mvc.metadata.files:grouped_values"
"""Loaded for files that mvc did not write."""

_WRITER = "mvc.metadata.canonical:dumps"
"""Loaded to commit, not to read."""

_RECORDS = {
    DATASETS: ("mvc.metadata.records:datasets", "mvc.metadata.records:dataset_groups"),
    TAGS: ("mvc.metadata.records:tags", "mvc.metadata.records:tag_groups"),
    LINEAGE: ("mvc.metadata.records:bases", "mvc.metadata.records:base_groups"),
    TABLES: ("mvc.metadata.records:tables", "mvc.metadata.records:table_groups"),
}
"""What reads and what makes the groups of the files that are more than names and values; not what `log` asks for."""

_SERIES_READER = "mvc.metadata.series:read_series"
_SERIES_WRITER = "mvc.metadata.series:dump_series"
_MAX_SERIES = 16 * 1024 * 1024

FILES = (DATASETS, ENVIRONMENT, LINEAGE, LINKS, METRICS, PARAMS, TABLES, TAGS)
"""What is read unless a part is asked for: all but the series, which may be long."""

EVERY_FILE = (*FILES, SERIES)


def write_tree(batch: ObjectBatch, metadata: CommitMetadata) -> str | None:
    """Write the files of `.mvcmeta/`; returns the tree's id, or None when there is nothing to say."""
    values: dict[str, Any] = {
        DATASETS: metadata.datasets,
        ENVIRONMENT: metadata.environment,
        LINEAGE: metadata.bases,
        LINKS: metadata.links,
        METRICS: metadata.metrics,
        PARAMS: metadata.params,
        TABLES: metadata.tables,
        TAGS: metadata.tags,
    }
    entries = [TreeEntry(name, FILE, batch.blob(_encoded(name, one))) for name, one in values.items() if one]
    if metadata.series:
        entries.append(TreeEntry(SERIES, FILE, batch.blob(load(_SERIES_WRITER)(metadata.series))))
    return batch.tree(entries) if entries else None


def read_metadata(objects: ObjectReader, tree_id: str, *, files: Collection[str] = FILES) -> CommitMetadata:
    """The metadata of a commit, by the id of its root tree; only what stands in `files`.

    Raises ParseError for a file that cannot be read (a person may have written it with git), and
    what reading an object raises.
    """
    return MetadataReader(objects, files).read(tree_id)


def series_steps(objects: ObjectReader, tree_id: str) -> int:
    """How many steps a commit's series has, by its lines; 0 for one that is too large to be read."""
    folder = trees.metadata_tree(objects, tree_id)
    blob = None if folder is None else trees.files_in(objects, folder).get(SERIES)
    return 0 if blob is None else (objects.blob_within(blob, _MAX_SERIES) or b"").count(b"\n")


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
        return self.read_folder(trees.metadata_tree(self._objects, tree_id))

    def read_folder(self, folder: str | None) -> CommitMetadata:
        """As `read`, for who has looked into the root: the id of `.mvcmeta/`, if there is one."""
        if folder is None:
            return NOTHING
        if folder != self._folder[0]:
            found = trees.files_in(self._objects, folder)
            parts: dict[str, Any] = {}
            for name in self._files:
                blob = found.get(name)
                if blob is not None and (value := self._part(name, blob)):
                    parts[_FIELDS[name][0]] = value
            self._folder = (folder, CommitMetadata(**parts))
        return self._folder[1]

    def _part(self, name: str, blob: str) -> Any:
        last = self._last.get(name)
        if last is None or last[0] != blob:
            last = self._last[name] = (blob, _FIELDS[name][1](self._objects, name, blob))
        return last[1]

    def read_all(self, tree_ids: Sequence[str]) -> list[CommitMetadata]:
        """As `read` of each. Each step is done for all of them: that takes half the time of all steps for each."""
        objects = self._objects
        folders = [trees.metadata_tree(objects, tree_id) for tree_id in tree_ids]
        found = {folder: trees.files_in(objects, folder) for folder in folders if folder is not None}
        parts: dict[str, dict[str, Any]] = {folder: {} for folder in found}
        for name in self._files:
            field, read = _FIELDS[name]
            blobs = {folder: files[name] for folder, files in found.items() if name in files}
            if read is _flat:
                data = {blob: _blob(objects, name, blob) for blob in blobs.values()}
                said = {blob: _flat_values(name, one) for blob, one in data.items()}
            else:
                said = {blob: read(objects, name, blob) for blob in blobs.values()}
            for folder, blob in blobs.items():
                if said[blob]:
                    parts[folder][field] = said[blob]
        made = {folder: CommitMetadata(**one) for folder, one in parts.items()}
        return [NOTHING if folder is None else made[folder] for folder in folders]


def _encoded(name: str, values: Any) -> bytes:
    groups = load(_RECORDS[name][1])(values) if name in _RECORDS else nest(values)
    try:
        data: bytes = load(_WRITER)(groups).encode()
    except UnicodeEncodeError as error:
        raise ParseError(f"{name}: text that is not Unicode") from error
    if len(data) > MAX_BYTES:
        raise ParseError(f"{name} would be larger than {MAX_BYTES >> 20} MiB")
    return data


def _blob(objects: ObjectReader, name: str, blob_id: str, most: int = MAX_BYTES) -> bytes:
    data = objects.blob_within(blob_id, most)
    if data is None:
        raise ParseError(f".mvcmeta/{name} is larger than {most >> 20} MiB")
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
    return _flat_values(name, _blob(objects, name, blob_id))


def _flat_values(name: str, data: bytes) -> dict[str, Any]:
    if data.isascii() and (flat := loads_flat(data.decode())) is not None:
        return flat
    return _named(name, lambda: flatten(_groups(name, data)))


def _records(objects: ObjectReader, name: str, blob_id: str) -> Any:
    data = _blob(objects, name, blob_id)
    return _named(name, lambda: load(_RECORDS[name][0])(_groups(name, data)))


def _series(objects: ObjectReader, name: str, blob_id: str) -> tuple[Point, ...]:
    return tuple(load(_SERIES_READER)(_blob(objects, name, blob_id, _MAX_SERIES), f".mvcmeta/{name}"))


def _named(name: str, read: Callable[[], _Read]) -> _Read:
    """What `read` reads; an error that it raises says which file it is about."""
    try:
        return read()
    except ParseError as error:
        prefix = f".mvcmeta/{name}: "
        raise ParseError(prefix + error.message.removeprefix(prefix)) from error


_FIELDS: dict[str, tuple[str, Callable[[ObjectReader, str, str], Any]]] = {
    PARAMS: ("params", _flat),
    METRICS: ("metrics", _flat),
    DATASETS: ("datasets", _records),
    ENVIRONMENT: ("environment", _flat),
    TAGS: ("tags", _records),
    LINKS: ("links", _flat),
    LINEAGE: ("bases", _records),
    TABLES: ("tables", _records),
    SERIES: ("series", _series),
}
"""A file's field of `CommitMetadata`, and what reads it."""
