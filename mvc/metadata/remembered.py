"""Params and metrics of commits as they were once read, for a long `log`: a derived file (docs/format/metadata.md).

To read them takes four objects a commit, ten times as long as the commit itself. The file can be lost, cut
short or deleted at any time: then the objects are read again. It is no source of anything: keys are the ids of
trees, whose content never changes, and a file whose checksum does not fit counts as none.
"""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha1
from pathlib import Path
from typing import Any

from mvc import fsio
from mvc.metadata.model import NOTHING, CommitMetadata
from mvc.metadata.tree import MetadataReader

MAX_BYTES = 32 * 1024 * 1024
"""Of the file, and of what a run remembers."""

_MAGIC = b"mvc metadata 1 "
_HEAD = len(_MAGIC) + 40 + 1
_ID = 40
_NOTHING = "[{},{}]"
_JSON = json.JSONDecoder()
_TEXT = json.JSONEncoder(separators=(",", ":")).encode
_SCALARS = frozenset((type(None), bool, int, float, str))


class RememberingReader:
    """A reader of params and metrics that knows again what it, or another process, has read before."""

    def __init__(self, reader: MetadataReader, path: Path) -> None:
        self._reader = reader
        self._path = path
        self._stored = _load(path)
        self._met: dict[str, str] = {}
        self._met_bytes = 0
        self.fresh = 0
        """How many trees were read that the file did not have."""

    def read(self, tree_id: str) -> CommitMetadata:
        """As `MetadataReader.read` for params and metrics."""
        text = self._stored.get(tree_id)
        found = None if text is None else _decoded(text)
        if found is None:
            found = self._reader.read(tree_id)
            text = _encoded(found)
            self.fresh += 1
        if text is not None and self._met_bytes < MAX_BYTES:
            self._met[tree_id] = text
            self._met_bytes += _ID + len(text) + 2
        return found

    def save(self, tmp_dir: Path) -> None:
        """Write what is known now. What this run did not meet goes when the file would get too large.

        Where nothing can be written, nothing is: the next one reads the objects again.
        """
        every = self._stored | self._met
        if sum(_ID + len(text) + 2 for text in every.values()) > MAX_BYTES:
            every = self._met
        body = "".join([f"{tree_id} {text}\n" for tree_id, text in every.items()]).encode()
        with suppress(OSError):
            fsio.write_atomic(self._path, _MAGIC + _digest(body) + b"\n" + body, tmp_dir=tmp_dir, sync=False)


def _load(path: Path) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            data = file.read(2 * MAX_BYTES + _HEAD)
    except OSError:
        return {}
    body = data[_HEAD:]
    if data[:_HEAD] != _MAGIC + _digest(body) + b"\n":
        return {}
    return {line[:_ID]: line[_ID + 1 :] for line in body.decode("ascii", "replace").split("\n") if line}


def _digest(body: bytes) -> bytes:
    return sha1(body, usedforsecurity=False).hexdigest().encode()


def _decoded(text: str) -> CommitMetadata | None:
    if text == _NOTHING:
        return NOTHING
    try:
        (params, metrics), end = _JSON.raw_decode(text)
    except (ValueError, TypeError, RecursionError):
        return None
    whole = end == len(text) and isinstance(params, dict) and isinstance(metrics, dict)
    return CommitMetadata(params, metrics) if whole else None


def _encoded(metadata: CommitMetadata) -> str | None:
    """None for what would not come back as it is."""
    parts = (dict(metadata.params), dict(metadata.metrics))
    for part in parts:
        if not _SCALARS.issuperset(map(type, part.values())) and not all(map(_is_plain, part.values())):
            return None
    try:
        return _TEXT(parts)
    except ValueError:  # a number of thousands of digits
        return None


def _is_plain(value: Any) -> bool:
    return type(value) in _SCALARS or (type(value) is list and all(map(_is_plain, value)))
