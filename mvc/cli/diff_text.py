"""A diff for the terminal, as Markdown and as JSON: files, the tensors of models, params and metrics."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mvc.cli.commit_text import base_text, dataset_text, shown, table_text
from mvc.cli.files_text import file_json, file_lines
from mvc.cli.markdown import code, escaped
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.tables import table
from mvc.cli.text import one_line, printable, printable_path
from mvc.formats.base import Tensor
from mvc.lazy import load
from mvc.metadata.annotations import Annotation
from mvc.metadata.compare import MetadataDiff, ValueChange
from mvc.metadata.model import Base, Dataset, Table
from mvc.ops.diff import Diff, FileDiff
from mvc.ops.tensor_changes import TensorChange, TensorChanges, TensorStatus

_LATER = "mvc.cli.annotation_text:later"
"""Loaded where a value was added later."""

_TABLE_CHANGE = "mvc.cli.table_text:change_summary"
"""Loaded where a table changed."""

_DELTA_TEXT = "mvc.cli.deltatext:delta_text"
_DELTA_MARKDOWN = "mvc.cli.deltatext:delta_markdown"
_DELTA_DOCUMENT = "mvc.cli.deltatext:delta_document"
_LAYER_DOCUMENTS = "mvc.cli.deltatext:layer_documents"
"""Loaded with numpy, only where tensors were read."""

_SIGNS = {
    TensorStatus.ADDED: ("+", "green"),
    TensorStatus.REMOVED: ("-", "red"),
    TensorStatus.RENAMED: (">", "cyan"),
    TensorStatus.MOVED: (">", "cyan"),
    TensorStatus.RECAST: ("~", "magenta"),
    TensorStatus.RESHAPED: ("~", "magenta"),
    TensorStatus.CHANGED: ("~", "yellow"),
}
_MOST = 60
_MOST_LINES = 200
_LINE_STYLES = {"+": "green", "-": "red", "@": "cyan"}

Deltas = Mapping[str, Mapping[str, Any]]
"""Path of a model to (tensor to its figures)."""
Texts = Mapping[str, Sequence[str]]
"""Path of a text to the hunks that changed."""


def diff_lines(session: Session, found: Diff, deltas: Deltas, texts: Texts) -> list[str]:
    """For the terminal: the files, models followed by their tensors, texts by their lines; then params and metrics."""
    lines: list[str] = []
    if found.files:
        *rows, total = file_lines(session, found.files)
        for one, row in zip(found.files, rows, strict=False):
            lines.append(row)
            if one.tensors is not None:
                lines += _tensor_lines(session, one.tensors, deltas.get(one.path))
            lines += _hunk_lines(session, texts.get(one.path, ()))
        lines += [*rows[len(found.files) :], total]
    if found.metadata:
        lines += ["", *_metadata_lines(session, found)] if lines else _metadata_lines(session, found)
    return lines


def diff_markdown(found: Diff, deltas: Deltas, texts: Texts) -> list[str]:
    """Tables for a pull request."""
    lines = [f"### {found.left} → {found.right}", ""]
    if found.files:
        lines += ["| | file | before | after |", "|---|---|---:|---:|"]
        for one in found.files:
            name = code(printable_path(f"{one.old_path} → {one.path}" if one.old_path else one.path))
            lines.append(f"| {one.status.value} | {name} | {_size(one, old=True)} | {_size(one, old=False)} |")
    for one in found.files:
        if one.tensors is not None:
            lines += ["", f"**{escaped(one.path)}**: {_summary(one.tensors)}", ""]
            lines += list(_tensor_rows(one.tensors))
            if one.path in deltas:
                lines += ["", *load(_DELTA_MARKDOWN)(deltas[one.path])]
        if hunks := texts.get(one.path):
            shown = [printable(line) for line in _first(hunks)]
            fence = "`" * max(3, 1 + max(len(run) for run in re.findall("`*", "\n".join(shown))))
            lines += ["", f"**{escaped(one.path)}**", "", f"{fence}diff", *shown, fence]
    if found.metadata:
        lines += ["", "| | name | before | after |", "|---|---|---|---|"]
        for group, change in _changes(found.metadata):
            old, new = _told(found, group, change)
            lines.append(f"| {group} | {code(change.name)} | {escaped(old)} | {escaped(new)} |")
    return lines


def diff_document(found: Diff, deltas: Deltas, texts: Texts) -> dict[str, Any]:
    """The fields of `--json`: sizes in bytes, tensors with what became of them, `hunks` of small texts."""
    return {
        "left": {"name": found.left, "commit": found.left_commit},
        "right": {"name": found.right, "commit": found.right_commit},
        "files": [_file_document(one, deltas.get(one.path), texts.get(one.path)) for one in found.files],
        "metadata": [_change_document(found, group, one) for group, one in _changes(found.metadata)]
        if found.metadata
        else [],
    }


def _file_document(one: FileDiff, deltas: Mapping[str, Any] | None, hunks: Sequence[str] | None) -> dict[str, Any]:
    document = file_json(one)
    if one.tensors is not None:
        document["tensor_changes"] = [_tensor_document(change, deltas) for change in one.tensors.changes]
        document["other_bytes_differ"] = one.tensors.other_bytes_differ
    if deltas:
        document["layers"] = load(_LAYER_DOCUMENTS)(deltas)
    if hunks is not None:
        document["hunks"] = list(hunks)
    return document


def _tensor_document(change: TensorChange, deltas: Mapping[str, Any] | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "status": change.status.value,
        "name": change.name,
        "old_path": change.old_path,
        "old": _declared(change.old),
        "new": _declared(change.new),
        "new_nan": change.new_nan,
        "new_inf": change.new_inf,
    }
    if deltas is not None and change.name in deltas:
        document["delta"] = load(_DELTA_DOCUMENT)(deltas[change.name])
    return document


def _declared(tensor: Tensor | None) -> dict[str, Any] | None:
    return {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)} if tensor else None


def _tensor_lines(session: Session, changes: TensorChanges, deltas: Mapping[str, Any] | None) -> list[str]:
    told = [
        one
        for one in changes.changes
        if one.status is not TensorStatus.MOVED and (deltas is None or one.name not in deltas)
    ]
    rows = [[f"{_SIGNS[one.status][0]} {one_line(one.name)}", _what(one)] for one in told[:_MOST]]
    made = table(rows)
    lines = ["    " + session.paint(line, _SIGNS[one.status][1]) for one, line in zip(told[:_MOST], made, strict=True)]
    if len(told) > _MOST:
        lines.append(f"    and {len(told) - _MOST:,} more")
    lines += ["    " + session.paint(line, "cyan") for line in _moved(changes)]
    if deltas:
        lines += ["", *load(_DELTA_TEXT)(deltas, session.paint, session.width), ""]
    if not (changes.changes or changes.moved_away) and changes.other_bytes_differ:
        lines.append("    all tensors are the same; the bytes around them differ")
    return lines


def _moved(changes: TensorChanges) -> Iterator[str]:
    """Tensors that are as they were, but in another file: how many."""
    origins = Counter(one.old_path for one in changes.changes if one.status is TensorStatus.MOVED)
    for path, count in origins.items():
        yield f"> {counted(count, 'tensor')} moved here from {printable_path(path or '')}"
    if changes.moved_away:
        yield f"< {counted(changes.moved_away, 'tensor')} moved to other files"


def _hunk_lines(session: Session, hunks: Sequence[str]) -> list[str]:
    lines = []
    for line in _first(hunks):
        style = _LINE_STYLES.get(line[:1])
        lines.append("    " + (session.paint(printable(line), style) if style else printable(line)))
    return lines


def _first(hunks: Sequence[str]) -> list[str]:
    if len(hunks) <= _MOST_LINES:
        return list(hunks)
    return [*hunks[:_MOST_LINES], f"and {len(hunks) - _MOST_LINES:,} more lines"]


def _what(change: TensorChange) -> str:
    old, new = change.old, change.new
    fresh = ((change.new_nan, "NaN"), (change.new_inf, "infinite"))
    nan = "".join(f"  +{count:,} {kind}" for count, kind in fresh if old and count and count > 0)
    if old is None or new is None:
        return _shape(new or old)
    if change.status is TensorStatus.RENAMED:
        return f"was {one_line(old.name)}"
    was = f"  was in {printable_path(change.old_path)}" if change.old_path else ""
    if change.status is TensorStatus.CHANGED:
        return _shape(new) + nan + was
    return f"{_shape(old)} -> {_shape(new)}{nan}{was}"


def _shape(tensor: Tensor | None) -> str:
    if tensor is None:
        return ""
    return f"{one_line(tensor.dtype)} {'×'.join(map(str, tensor.shape)) or 'scalar'}"


def _summary(changes: TensorChanges) -> str:
    parts = [f"{count} {one.value}" for one in TensorStatus if (count := changes.count(one))]
    if changes.moved_away:
        parts.append(f"{changes.moved_away} moved away")
    return ", ".join([*parts, f"{counted(changes.unchanged, 'tensor')} unchanged"])


def _tensor_rows(changes: TensorChanges) -> Iterator[str]:
    other = [one for one in changes.changes if one.status not in (TensorStatus.CHANGED, TensorStatus.MOVED)]
    if other:
        yield "| | tensor | |"
        yield "|---|---|---|"
        for one in other[:_MOST]:
            yield f"| {one.status.value} | {code(one.name)} | {escaped(_what(one))} |"
        if len(other) > _MOST:
            yield f"| | and {len(other) - _MOST:,} more | |"


def _metadata_lines(session: Session, found: Diff) -> list[str]:
    changes = [] if found.metadata is None else list(_changes(found.metadata))
    rows = [[group, one_line(one.name), one_line(" -> ".join(_told(found, group, one)))] for group, one in changes]
    return [session.paint(line, "cyan") for line in table(rows)]


def _changes(metadata: MetadataDiff) -> Iterator[tuple[str, ValueChange]]:
    for group in ("params", "metrics", "tables", "tags", "datasets", "bases", "environment"):
        for change in getattr(metadata, group):
            yield group, change


def _change_document(found: Diff, group: str, change: ValueChange) -> dict[str, Any]:
    old, new = _added(found, group, change)
    return {
        "group": group,
        "name": change.name,
        "old": _plain(change.old),
        "new": _plain(change.new),
        "added": change.added,
        "removed": change.removed,
        "old_added_later": _annotation(old),
        "new_added_later": _annotation(new),
    }


def _added(found: Diff, group: str, change: ValueChange) -> tuple[Annotation | None, Annotation | None]:
    """The annotations that the old and the new value came by, if any."""
    if found.later is None:
        return None, None
    name = f"{group}.{change.name}"
    return found.later[0].get(name), found.later[1].get(name)


def _annotation(one: Annotation | None) -> dict[str, Any] | None:
    return {"id": one.id, "who": one.who, "at": one.at} if one else None


def _told(found: Diff, group: str, change: ValueChange) -> tuple[str, str]:
    """Old and new value; with the word of who added it, where that was later."""
    if group == "tables":
        return "(none)" if change.added else table_text(change.old), load(_TABLE_CHANGE)(change.old, change.new)
    old, new = _added(found, group, change)
    return _old(change) + _mark(old), _new(change) + _mark(new)


def _mark(one: Annotation | None) -> str:
    return f" ({load(_LATER)(one)})" if one else ""


def _plain(value: Any) -> Any:
    if isinstance(value, Dataset):
        return {name: found for name, found in value._asdict().items() if name != "name"}
    return value._asdict() if isinstance(value, (Base, Table)) else value


def _old(change: ValueChange) -> str:
    return "(none)" if change.added else _value(change.old)


def _new(change: ValueChange) -> str:
    return "(none)" if change.removed else _value(change.new)


def _value(value: Any) -> str:
    if isinstance(value, Base):
        return printable(base_text(value))
    return printable(dataset_text(value)) if isinstance(value, Dataset) else shown(value)


def _size(one: FileDiff, *, old: bool) -> str:
    side = one.old if old else one.new
    return human_bytes(side.size) if side is not None else ""
