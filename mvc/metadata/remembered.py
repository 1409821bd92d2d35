"""Params and metrics of commits as they were once read, for a long `log`: a derived file (docs/format/metadata.md).

To read them takes four objects a commit, several times as long as the commit itself. So who commits adds a line, and
`log` reads and adds what it misses. The file can be lost, cut short, damaged or deleted at any time: then the
objects are read again. It is no source of anything: keys are the ids of trees, whose content never changes, and a
line whose checksum does not fit counts as none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha1
from pathlib import Path
from typing import Any

from mvc import fsio
from mvc.errors import ParseError
from mvc.metadata.model import NOTHING, CommitMetadata
from mvc.metadata.tree import METRICS, PARAMS, MetadataReader
from mvc.metadata.typed import words
from mvc.objects.reader import ObjectReader

MAX_BYTES = 32 * 1024 * 1024
"""Of the file, and of what a run remembers."""

_HEAD = b"mvc metadata 2\n"
_ID = 40
_CHECK = 16
_SHORTEST = _ID + 1 + 1 + 1 + _CHECK
_MOST_APPENDED = 64 * 1024
"""Bytes of a line that a commit adds: one write, which no other comes in between."""
_BETWEEN = "\x1f"
_VALUES = "\x1e"
"""In front of JSON, where words would hold what is not printable."""
_JSON = json.JSONEncoder(separators=(",", ":")).encode
_SCALARS = frozenset((type(None), bool, int, float, str))


class Remembered(Mapping[str, Any]):
    """Params or metrics, that `log` shows as words. The values are read when one is asked for."""

    __slots__ = ("_metrics", "_source", "_text", "_values", "words")

    def __init__(self, text: str, source: tuple[MetadataReader, str], metrics: bool) -> None:
        """`text`: as in the file. `source`: a reader and a tree, which have the values."""
        self.words = None if text.startswith(_VALUES) else text
        """All as "name=value" (`mvc.metadata.typed`), a tab between; None where one holds what is not printable."""
        self._text = text
        self._source = source
        self._metrics = metrics
        self._values: Mapping[str, Any] | None = None

    def _decoded(self) -> Mapping[str, Any]:
        values = self._values
        if values is None:
            values = _object(self._text[1:]) if self.words is None else None
            if values is None:
                reader, tree_id = self._source
                again = reader.read(tree_id)
                values = again.metrics if self._metrics else again.params
            self._values = values
        return values

    def __getitem__(self, name: str) -> Any:
        return self._decoded()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def __bool__(self) -> bool:
        return self.words != ""

    def __repr__(self) -> str:
        return repr(self._decoded())


class RememberingReader:
    """A reader of params and metrics that knows again what it, or another process, has read or written before."""

    def __init__(self, reader: MetadataReader, path: Path) -> None:
        self._reader = reader
        self._path = path
        self._stored = _load(path)
        self._met: dict[bytes, bytes] = {}
        self._met_bytes = 0
        self.fresh = 0
        """How many trees were read that the file did not have."""
        self.damaged = False
        """Whether a line of the file did not fit its checksum."""

    def read_all(self, tree_ids: Sequence[str]) -> list[CommitMetadata]:
        """As `MetadataReader.read_all` for params and metrics."""
        unknown = [tree_id for tree_id in tree_ids if tree_id.encode() not in self._stored]
        new = dict(zip(unknown, self._reader.read_all(unknown), strict=True)) if unknown else {}
        return [self._read(tree_id, new.get(tree_id)) for tree_id in tree_ids]

    def read(self, tree_id: str) -> CommitMetadata:
        """As `MetadataReader.read` for params and metrics."""
        return self._read(tree_id, None)

    def _read(self, tree_id: str, found: CommitMetadata | None) -> CommitMetadata:
        key = tree_id.encode()
        line = self._stored.get(key)
        fields = None if line is None else _fields(line)
        if fields is not None:
            found = NOTHING
            if fields != _BETWEEN:
                params, _, metrics = fields.partition(_BETWEEN)
                source = (self._reader, tree_id)
                found = CommitMetadata(Remembered(params, source, False), Remembered(metrics, source, True))
        else:
            self.damaged = self.damaged or line is not None
            found = self._reader.read(tree_id) if found is None else found
            line = _line(key, found)
            self.fresh += 1
        if line is not None and self._met_bytes < MAX_BYTES:
            self._met[key] = line
            self._met_bytes += len(line) + 1
        return found

    def save(self, tmp_dir: Path) -> None:
        """Write what is known now. What this run did not meet goes when the file would get too large.

        Where nothing can be written, nothing is: the next one reads the objects again.
        """
        every = self._stored | self._met
        if sum([len(line) + 1 for line in every.values()]) > MAX_BYTES:
            every = self._met
        body = b"".join([line + b"\n" for line in every.values()])
        with suppress(OSError):
            fsio.write_atomic(self._path, _HEAD + body, tmp_dir=tmp_dir, sync=False)


def line_of(objects: ObjectReader, tree_id: str) -> bytes | None:
    """What is to be remembered of a tree, for `append`; None for what would not come back as it is."""
    key = tree_id.encode()
    return _line(key, MetadataReader(objects, (PARAMS, METRICS)).read(tree_id))


def append(path: Path, line: bytes, tmp_dir: Path) -> None:
    """Add what was made by `line_of`. Not durable, and not done at all where there is no room or right.

    Two processes may do so at once, while a third writes the file anew: a line may be lost, which is read again then.
    """
    if len(line) > _MOST_APPENDED:
        return
    with suppress(OSError):
        try:
            # A line that was cut short before it ends here, and costs no other.
            fsio.append(path, b"\n" + line + b"\n", beginning=_HEAD, most=MAX_BYTES)
        except FileNotFoundError:
            fsio.write_atomic(path, _HEAD + line + b"\n", tmp_dir=tmp_dir, sync=False)


def _load(path: Path) -> dict[bytes, bytes]:
    try:
        with fsio.RandomFile(path) as file:
            data = file.read_at(0, 2 * MAX_BYTES)
    except OSError:
        return {}
    if not data.startswith(_HEAD):
        return {}
    return {line[:_ID]: line for line in data.split(b"\n") if len(line) >= _SHORTEST}


def _line(key: bytes, metadata: CommitMetadata) -> bytes | None:
    """None for what would not come back as it is."""
    try:
        said = _BETWEEN.join([_text(metadata.params), _text(metadata.metrics)])
    except (ValueError, ParseError):
        return None
    return _sealed(key + b" " + said.encode())


def _text(part: Mapping[str, Any]) -> str:
    """Raises ValueError for what would not come back as it is, and for a number of thousands of digits."""
    if not part:
        return ""
    every = words(part)
    if "".join(every).isprintable():
        return "\t".join(every)
    if not all(map(_is_plain, part.values())):
        raise ValueError
    return _VALUES + _JSON(dict(part))


def _sealed(said: bytes) -> bytes:
    return said + b" " + _digest(said)


def _fields(line: bytes) -> str | None:
    """What a line says, but for its key; None where it does not fit its checksum or makes no sense."""
    said = line[: -_CHECK - 1]
    if line[-_CHECK - 1 :] != b" " + _digest(said):
        return None
    try:
        fields = said[_ID + 1 :].decode()
    except UnicodeDecodeError:
        return None
    return fields if fields.count(_BETWEEN) == 1 else None


def _digest(said: bytes) -> bytes:
    return sha1(said, usedforsecurity=False).hexdigest()[:_CHECK].encode()


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_plain(value: Any) -> bool:
    return type(value) in _SCALARS or (type(value) is list and all(map(_is_plain, value)))
