"""What was said of commits and annotated tags afterwards: Git notes in `refs/notes/mvc` (docs/format/metadata.md).

`git --git-dir=.mvc notes --ref=mvc show REV` shows them.

A note is JSON Lines, only ever appended to. Two histories of notes are merged by the union of their lines, so that
whoever annotates at the same time elsewhere loses nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mvc.errors import ParseError
from mvc.metadata.model import NOTES, CommitMetadata
from mvc.metadata.values import MAX_BYTES, MAX_DEPTH
from mvc.objects.model import TREE, is_file
from mvc.objects.reader import ObjectReader
from mvc.objects.reffiles import RefFiles

_ID = 40
_FANOUT = 2
_DEEPEST = 19
_PARTS = ("params", "metrics", "tags")


class Annotation(NamedTuple):
    """One line of a note."""

    id: str
    """16 hex digits, its own."""
    at: int
    """When, in seconds since 1970."""
    who: str
    """ "Name <email>"."""
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    tags: Mapping[str, Any]
    removed: tuple[str, ...] = ()
    """Names that hold no longer, with their part: "metrics.acc"."""
    note: str | None = None
    """A sentence for people."""
    number: int = 0
    """How many lines its note had when it was written: the order of lines of one second."""


class Annotations(Mapping[str, tuple[Annotation, ...]]):
    """The notes by object id (a commit's, or an annotated tag's), each oldest first; read as they are asked for."""

    def __init__(self, objects: ObjectReader, tree: str | None) -> None:
        """`tree`: that of the notes' newest commit; None where there is none."""
        self._objects = objects
        self._tree = tree
        self._folders: dict[str, tuple[dict[str, str], dict[str, str]]] = {}

    def __getitem__(self, object_id: str) -> tuple[Annotation, ...]:
        found: list[Annotation] = []
        for blob in self.blobs(object_id):
            found += read_note(self._objects.blob_within(blob, MAX_BYTES) or b"")
        if not found:
            raise KeyError(object_id)
        return ordered(found)

    def __iter__(self) -> Iterator[str]:
        """The ids of the objects that have a note."""
        return iter(dict.fromkeys(name for name, _ in self.entries()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return self._tree is not None

    def entries(self) -> Iterator[tuple[str, str]]:
        """(object id, blob) of every note."""
        stack = [] if self._tree is None else [("", self._tree)]
        while stack:
            prefix, tree = stack.pop()
            notes, folders = self._folder(tree, prefix)
            yield from notes.items()
            stack += [(prefix + name, below) for name, below in folders.items()]

    def blobs(self, object_id: str) -> list[str]:
        """The blobs of an object's note: one, unless two mvc or git put it in two places."""
        return [blob for _, blob in self.places(object_id)]

    def places(self, object_id: str) -> list[tuple[str, str]]:
        """(path, blob) of an object's note, by Git's rules: at the top, or in folders of two digits each."""
        found = []
        tree, prefix, path = self._tree, "", ""
        while tree is not None and len(prefix) < _ID:
            notes, folders = self._folder(tree, prefix)
            if object_id in notes:
                found.append((path + object_id[len(prefix) :], notes[object_id]))
            part = object_id[len(prefix) : len(prefix) + _FANOUT]
            tree, prefix, path = folders.get(part), prefix + part, f"{path}{part}/"
        return found

    def _folder(self, tree: str, prefix: str) -> tuple[dict[str, str], dict[str, str]]:
        """The notes (by whole id) and the folders (by two digits) of a tree of the notes."""
        known = self._folders.get(tree)
        if known is None:
            notes, folders = {}, {}
            for name, mode, object_id in self._objects.tree(tree):
                if not _is_hex(name):
                    continue
                if is_file(mode) and len(prefix) + len(name) == _ID:
                    notes[prefix + name] = object_id
                elif mode == TREE and len(name) == _FANOUT and len(prefix) < _DEEPEST * _FANOUT:
                    folders[name] = object_id
            known = self._folders[tree] = (notes, folders)
        return known


def read_annotations(objects: ObjectReader, refs: RefFiles) -> Annotations:
    """The notes of a repository, as of now. Costs nothing where there are none, and little until one is asked for."""
    tip = refs.read(NOTES)
    return Annotations(objects, None if tip is None else objects.peel(tip, "tree"))


def read_note(data: bytes) -> list[Annotation]:
    """The annotations of a note, in its order. A line that is none (a person wrote it with git) is left alone."""
    found = []
    for line in data.split(b"\n"):
        if line.startswith(b"{"):
            try:
                found.append(parse_line(line))
            except ParseError:
                continue
    return found


def parse_line(line: bytes) -> Annotation:
    """A line as `dump_line` wrote it. Raises ParseError."""
    try:
        fields = json.loads(line.decode())
        if not isinstance(fields, dict) or not isinstance(fields.get("id"), str):
            raise ParseError("no annotation: it has no id")
        params, metrics, tags = (dict(_values(fields.get(part), "", 0)) for part in _PARTS)
    except (ValueError, RecursionError) as error:
        raise ParseError("not a line of JSON") from error
    removed, note = fields.get("removed"), fields.get("note")
    return Annotation(
        fields["id"],
        _whole(fields.get("at")),
        str(fields.get("who", "")),
        params,
        metrics,
        tags,
        tuple(name for name in removed if isinstance(name, str)) if isinstance(removed, list) else (),
        note if isinstance(note, str) else None,
        _whole(fields.get("n")),
    )


def dump_line(annotation: Annotation) -> bytes:
    """A line without its line feed. Raises ParseError for what cannot be recorded."""
    fields: dict[str, Any] = {
        "id": annotation.id,
        "at": annotation.at,
        "n": annotation.number,
        "who": annotation.who,
        "params": _written(annotation.params),
        "metrics": _written(annotation.metrics),
        "tags": _written(annotation.tags),
        "removed": list(annotation.removed),
        "note": annotation.note,
    }
    said = {key: value for key, value in fields.items() if value not in (None, {}, [])}
    try:
        # NaN and infinities are no JSON: `_plain` has made {"float": "nan"} of them.
        return json.dumps(said, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, TypeError, UnicodeEncodeError) as error:
        raise ParseError(f"an annotation cannot hold this: {error}") from error


def union(notes: Iterable[bytes]) -> bytes:
    """The lines of several notes, each once: those of people first, then annotations in their order."""
    people: dict[bytes, None] = {}
    said: dict[bytes, Annotation] = {}
    for data in notes:
        for line in data.split(b"\n"):
            if not line.strip():
                continue
            try:
                said[line] = parse_line(line)
            except ParseError:
                people[line] = None
    lines = [*people, *sorted(said, key=lambda line: (_order(said[line]), line))]
    return b"".join(line + b"\n" for line in lines)


def ordered(annotations: Iterable[Annotation]) -> tuple[Annotation, ...]:
    """Oldest first, each once."""
    return tuple(sorted({one.id: one for one in annotations}.values(), key=_order))


def annotated(metadata: CommitMetadata, annotations: Sequence[Annotation]) -> CommitMetadata:
    """The metadata with what was said later: the last word counts."""
    if not annotations:
        return metadata
    parts = {part: dict(getattr(metadata, part)) for part in _PARTS}
    for one in annotations:
        for name in one.removed:
            part, _, rest = name.partition(".")
            parts.get(part, {}).pop(rest, None)
        for part in _PARTS:
            parts[part].update(getattr(one, part))
    return metadata._replace(params=parts["params"], metrics=parts["metrics"], tags=parts["tags"])


def origins(annotations: Sequence[Annotation]) -> dict[str, Annotation]:
    """Which annotation each value is from that was added later: "metrics.acc" -> the annotation."""
    found: dict[str, Annotation] = {}
    for one in annotations:
        for name in one.removed:
            found.pop(name, None)
        for part in _PARTS:
            found.update((f"{part}.{name}", one) for name in getattr(one, part))
    return found


def note_path(object_id: str) -> str:
    """Where mvc puts a new note: as Git does where there are many."""
    return f"{object_id[:_FANOUT]}/{object_id[_FANOUT:]}"


def _order(annotation: Annotation) -> tuple[int, int, str]:
    return annotation.at, annotation.number, annotation.id


def _values(fields: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Values by dotted name; where a person nested them, joined."""
    if depth > MAX_DEPTH:
        raise ParseError(f"nested deeper than {MAX_DEPTH}")
    for name, value in fields.items() if isinstance(fields, dict) else ():
        if isinstance(value, dict) and value and not _is_word(value):
            yield from _values(value, f"{prefix}{name}.", depth + 1)
        else:
            yield f"{prefix}{name}", _read(value)


def _written(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _read(value: Any) -> Any:
    if isinstance(value, dict) and _is_word(value):
        return float(value["float"])
    return [_read(item) for item in value] if isinstance(value, list) else value


def _is_word(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and value.get("float") in ("nan", "inf", "-inf")


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**62 else 0


def _is_hex(name: str) -> bool:
    return not name.strip("0123456789abcdef")
