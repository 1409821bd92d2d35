"""A report for the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mvc.cli.commit_text import dataset_text, shown
from mvc.cli.files_text import file_json
from mvc.cli.gate_text import gate_document, gate_lines, percent_text, signed, value_text
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes, percent
from mvc.cli.table_text import change_summary, changed_cells
from mvc.cli.tables import table, text_width
from mvc.cli.text import one_line, printable, printable_path
from mvc.metadata.compare import ValueChange
from mvc.metadata.model import Dataset
from mvc.ops.report import MetricRow, Report
from mvc.ops.tensor_changes import TensorStatus

GROUPS = ("params", "tags", "datasets", "bases", "environment")
_MOST = 40


def report_lines(session: Session, found: Report) -> list[str]:
    """For people: verdict, metrics, what else changed, files, bytes."""
    lines = [session.paint(title(found), "bold"), ""]
    if found.gates is not None:
        lines += [*gate_lines(session, found.gates), ""]
    changed = [row for row in found.metrics if repr(row.old) != repr(row.new)]
    if changed:
        rows = [
            [one_line(row.name), _value(row, row.old), "->", _value(row, row.new), change_text(row)] for row in changed
        ]
        lines.append(session.paint("metrics", "cyan"))
        for row, line in zip(changed, table(rows, align="<><>"), strict=True):
            style = {True: "green", False: "red", None: ""}[row.better]
            lines.append("  " + (session.paint(line, style) if style else line))
    rows = [
        [group, one_line(one.name), one_line(f"{old_text(one)} -> {new_text(one)}")] for group, one in changes(found)
    ]
    if rows:
        lines += [session.paint("also changed", "cyan"), *(f"  {line}" for line in table(rows[:_MOST]))]
        lines += [f"  and {len(rows) - _MOST:,} more"] if len(rows) > _MOST else []
    lines += _tables(session, found)
    files = [[printable_path(path), sizes, what] for path, sizes, what in file_rows(found)]
    if files:
        lines += [session.paint("files", "cyan"), *(f"  {line}" for line in table(files[:_MOST]))]
        lines += [f"  and {len(files) - _MOST:,} more"] if len(files) > _MOST else []
    return [*lines, bytes_text(found)]


def title(found: Report) -> str:
    """ "v1 -> v2: 3 commits"."""
    left = one_line(found.left_name) if found.left is not None else "nothing"
    return f"{left} -> {one_line(found.right_name)}: {counted(len(found.commits), 'commit')}"


def change_text(row: MetricRow) -> str:
    """ "+0.02 (+2.2 %)"."""
    if row.change is None:
        return ""
    return signed(row.change) + (f" ({percent_text(row.ratio)})" if row.ratio is not None else "")


def bytes_text(found: Report) -> str:
    """ "90.9 MB: 33.8 MB new (37.2 %), 57.1 MB as before; the new take 3.2 MB"."""
    size = found.bytes
    text = f"{human_bytes(size.after)} in all: {human_bytes(size.new)} new ({percent(size.new, size.after)}), "
    text += f"{human_bytes(size.shared)} deduplicated"
    if size.stored is not None and size.new:
        least = "at least " if size.unknown else ""
        text += f"; the new take {least}{human_bytes(size.stored)}"
    return text


def file_rows(found: Report) -> Iterator[tuple[str, str, str]]:
    """(path, sizes, what became of it) of the files that differ, models first."""
    for one in sorted(found.files, key=lambda one: one.tensors is None):
        sizes = [human_bytes(side.size) for side in (one.old, one.new) if side is not None]
        if len(sizes) > 1 and sizes[0] == sizes[1]:
            del sizes[0]
        what = {"A": "added", "D": "removed", "R": f"was {printable_path(one.old_path or '')}", "T": "of another type"}
        told = what.get(one.status.value, "changed")
        if one.tensors is not None:
            counts = [f"{count:,} {kind.value}" for kind in TensorStatus if (count := one.tensors.count(kind))]
            if one.tensors.unchanged:
                counts.append(f"{one.tensors.unchanged:,} the same")
            tensors = f"tensors: {', '.join(counts)}"
            told = tensors if told == "changed" else f"{told}; {tensors}"
        yield one.path, " -> ".join(sizes), told


def _tables(session: Session, found: Report) -> list[str]:
    """The tables that changed, cell by cell where they fit."""
    lines: list[str] = []
    for change in found.metadata.tables:
        lines.append(
            session.paint("table", "cyan") + f" {one_line(change.name)}: {change_summary(change.old, change.new)}"
        )
        cells = None if change.removed else changed_cells(change.old, change.new)
        if cells is not None:
            rows = [[one.text for one in row] for row in cells.rows[:_MOST]]
            drawn = [f"  {line}" for line in table(rows, header=cells.head)]
            drawn += [f"  and {len(cells.rows) - _MOST:,} more rows"] if len(cells.rows) > _MOST else []
            lines += drawn if all(text_width(line) <= session.width for line in drawn) else []
    return lines


def changes(found: Report) -> Iterator[tuple[str, ValueChange]]:
    """What changed besides metrics, with its group."""
    for group in GROUPS:
        for change in getattr(found.metadata, group):
            yield group, change


def old_text(change: ValueChange) -> str:
    """The value before."""
    return "(none)" if change.added else _plain_text(change.old)


def new_text(change: ValueChange) -> str:
    """The value after."""
    return "(none)" if change.removed else _plain_text(change.new)


def _value(row: MetricRow, value: Any) -> str:
    return value_text(row.name, value) if value is not None else "(none)"


def _plain_text(value: Any) -> str:
    if isinstance(value, Dataset):
        return printable(dataset_text(value))
    if hasattr(value, "_asdict"):
        return printable(", ".join(f"{key} {one}" for key, one in value._asdict().items() if one))
    return shown(value)


def report_document(found: Report) -> dict[str, Any]:
    """The fields of `--json`. Sizes in bytes."""
    size = found.bytes
    return {
        "left": {"name": found.left_name, "commit": found.left},
        "right": {"name": found.right_name, "commit": found.right},
        "passed": found.passed,
        "gates": gate_document(found.gates) if found.gates is not None else None,
        "commits": [{"id": one.id, "summary": one.summary} for one in found.commits],
        "metrics": [
            {
                "name": row.name,
                "old": row.old,
                "new": row.new,
                "change": _number(row.change),
                "ratio": _number(row.ratio),
                "better": row.better,
            }
            for row in found.metrics
        ],
        "changes": [
            {"group": group, "name": one.name, "old": _plain(one.old), "new": _plain(one.new)}
            for group, one in (*changes(found), *(("tables", one) for one in found.metadata.tables))
        ],
        "links": dict(found.links),
        "files": [
            file_json(one)
            | {"tensors": {kind.value: one.tensors.count(kind) for kind in TensorStatus} if one.tensors else None}
            for one in found.files
        ],
        "bytes": {
            "before": size.before,
            "after": size.after,
            "new": size.new,
            "deduplicated": size.shared,
            "new_stored": size.stored,
            "new_of_unknown_stored_size": size.unknown,
        },
    }


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None


def _plain(value: Any) -> Any:
    return dict(value._asdict()) if hasattr(value, "_asdict") else value
