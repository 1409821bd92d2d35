"""Files that differ, by name and size: as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.tables import table
from mvc.cli.text import printable_path
from mvc.ops.diff import FileDiff
from mvc.ops.tensor_changes import TensorChanges, TensorStatus

_STYLES = {"A": "green", "D": "red", "M": "yellow", "T": "magenta", "R": "cyan", "U": "red bold"}
_MOST = 200


def file_lines(session: Session, files: Sequence[FileDiff]) -> list[str]:
    """A line a file: "M model.safetensors  45.4 MB  12 of 101 tensors changed"; then how many files there are."""
    rows = [[one.status.value, _name(one), _sizes(one), _tensors(one.tensors)] for one in files[:_MOST]]
    lines = [session.paint(line[0], _STYLES[line[0]]) + line[1:] for line in table(rows, align="<<><")]
    if len(files) > _MOST:
        lines.append(f"and {len(files) - _MOST:,} more")
    return [*lines, session.paint(f"{counted(len(files), 'file')} changed", "dim")]


def file_json(one: FileDiff) -> dict[str, Any]:
    """Sizes in bytes."""
    changes = one.tensors
    return {
        "status": one.status.name.lower(),
        "path": one.path,
        "old_path": one.old_path,
        "old_size": one.old.size if one.old else None,
        "new_size": one.new.size if one.new else None,
        "tensors": None
        if changes is None
        else {
            **{status.value: changes.count(status) for status in TensorStatus},
            "moved_away": changes.moved_away,
            "unchanged": changes.unchanged,
        },
    }


def _name(one: FileDiff) -> str:
    name = printable_path(one.path)
    return f"{printable_path(one.old_path)} -> {name}" if one.old_path is not None else name


def _sizes(one: FileDiff) -> str:
    old, new = one.old.size if one.old else None, one.new.size if one.new else None
    if old is None and new is None:
        return "in conflict"
    if old is None or new is None or old == new:
        return human_bytes((new if new is not None else old) or 0)
    before, after = human_bytes(old), human_bytes(new)
    return f"{before} -> {after}" if before != after else f"{after} ({new - old:+,} B)"


def _tensors(changes: TensorChanges | None) -> str:
    if changes is None:
        return ""
    parts: list[str] = []
    for status in TensorStatus:
        count = changes.count(status)
        if count and status is TensorStatus.CHANGED:
            parts.insert(0, f"{count} of {changes.unchanged + len(changes.changes)} tensors changed")
        elif count:
            parts.append(f"{count} {status.value}")
    if changes.moved_away:
        parts.append(f"{changes.moved_away} moved away")
    return ", ".join(parts)
