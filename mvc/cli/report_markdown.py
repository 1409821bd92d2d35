"""A report as GitHub-flavoured Markdown, short enough to stand in a pull request's comment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mvc.cli.gate_text import MARKS, summary, told, value_text
from mvc.cli.markdown import code, escaped
from mvc.cli.report_text import bytes_text, change_text, changes, file_rows, new_text, old_text
from mvc.cli.sizes import counted
from mvc.cli.table_text import change_summary, changed_cells
from mvc.ops.report import MetricRow, Report
from mvc.ops.tensor_changes import TensorChange, TensorStatus

LIMIT = 65_536
"""Characters that a comment on GitHub may have."""

MARK = "<!-- mvc report -->"
"""By this line who updates a comment finds it again."""

_CAPS = (1000, 300, 100, 50, 20, 8, 3, 0)
_CELL = 300
_LINK = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'*+,;=%-]+\Z")


@dataclass(slots=True)
class _Section:
    """Some lines, then rows of which a report that is too long shows fewer, then some lines."""

    head: list[str]
    rows: list[str] = field(default_factory=list)
    more: str = ""
    """The row that tells how many are left out, with a {}."""
    tail: list[str] = field(default_factory=list)
    first: int = 1000
    """So many rows at most, however much room there is."""

    def lines(self, cap: int) -> list[str]:
        most = min(cap, self.first)
        left = len(self.rows) - most
        rest = [self.more.format(f"{left:,}")] if left > 0 else []
        return [*self.head, *self.rows[:most], *rest, *self.tail, ""]


def report_markdown(found: Report, limit: int = LIMIT) -> str:
    """The report, in at most `limit` characters: rows are left out, and counted, until it is."""
    sections = _sections(found)
    for cap in _CAPS:
        text = "\n".join(line for section in sections for line in section.lines(cap)).rstrip("\n") + "\n"
        if len(text) <= limit:
            return text
    return text[: max(limit - 2, 0)].rpartition("\n")[0][:limit] + "\n"


def _sections(found: Report) -> list[_Section]:
    made = [_Section([MARK, f"## {_title(found)}"])]
    if found.gates is not None:
        rows = [
            _row(MARKS[one.passed], code(_cut(one.text)), "<br>".join(escaped(_cut(line)) for line in told(one)))
            for one in sorted(found.gates.outcomes, key=lambda one: one.passed)
        ]
        head = [f"**{escaped(summary(found.gates))}**", "", "| | gate | found |", "|---|---|---|"]
        made.append(_Section(head, rows, "| | | and {} more |"))
    made += _metrics(found)
    rows = [
        _row(group, code(_cut(one.name)), _text(old_text(one)), _text(new_text(one))) for group, one in changes(found)
    ]
    if rows:
        head = ["### Params, data, environment", "", "| | name | before | after |", "|---|---|---|---|"]
        made.append(_Section(head, rows, "| | and {} more | | |"))
    made += _tables(found)
    made += _weights(found)
    links = [f"- {escaped(_cut(name))}: {_link(str(value))}" for name, value in found.links.items()]
    if links:
        made.append(_Section(["### Links", ""], links, "- and {} more"))
    commits = [f"- {code(one.id[:7])} {escaped(_cut(one.summary))}" for one in found.commits]
    head = [f"<details><summary>{counted(len(found.commits), 'commit')}</summary>", ""]
    made.append(_Section(head, commits, "- and {} more", ["", "</details>"], first=50))
    return made


def _title(found: Report) -> str:
    left = code(_cut(found.left_name)) if found.left is not None else "nothing"
    verdict = {True: "✅ Passed: ", False: "❌ Failed: ", None: ""}[found.passed]
    return f"{verdict}{left} → {code(_cut(found.right_name))}"


def _metrics(found: Report) -> list[_Section]:
    changed = [row for row in found.metrics if repr(row.old) != repr(row.new)]
    same = len(found.metrics) - len(changed)
    if not found.metrics:
        return []
    head = ["### Metrics", "", "| metric | before | after | change |", "|---|---:|---:|---:|"]
    rest = [f"{counted(same, 'metric')} as before."] if same else []
    if not changed:
        return [_Section(["### Metrics", "", *rest])]
    return [_Section(head, [_metric(row) for row in changed], "| and {} more | | | |", ["", *rest] if rest else [])]


def _metric(row: MetricRow) -> str:
    old, new = (_text(value_text(row.name, one)) if one is not None else "" for one in (row.old, row.new))
    icon = {True: "🟢 ", False: "🔴 ", None: ""}[row.better]
    return _row(code(_cut(row.name)), old, f"**{new}**" if new else "", icon + escaped(change_text(row)))


def _tables(found: Report) -> list[_Section]:
    """The tables that changed, cell by cell: what a confusion matrix was and is."""
    made: list[_Section] = []
    for change in found.metadata.tables:
        head = ["### Tables", ""] if not made else []
        head.append(f"{code(_cut(change.name))}: {escaped(change_summary(change.old, change.new))}")
        cells = None if change.removed else changed_cells(change.old, change.new)
        if cells is None:
            made.append(_Section(head))
            continue
        head += ["", _row(*(_text(name) for name in cells.head)), "|---" * len(cells.head) + "|"]
        rows = [
            _row(*(f"**{_text(one.text)}**" if one.differs else _text(one.text) for one in row)) for row in cells.rows
        ]
        made.append(_Section(head, rows, "| and {} more rows " + "| " * (len(cells.head) - 1) + "|", first=50))
    return made


def _weights(found: Report) -> list[_Section]:
    head = ["### Files", "", f"{escaped(bytes_text(found))}."]
    rows = [_row(code(_cut(path)), escaped(sizes), escaped(_cut(what))) for path, sizes, what in file_rows(found)]
    if not rows:
        return [_Section(head)]
    made = [_Section([*head, "", "| file | size | |", "|---|---|---|"], rows, "| and {} more | | |")]
    tensors = [
        _row(change.status.value, code(_cut(f"{one.path}: {change.name}" if several else change.name)), _shapes(change))
        for several in [sum(one.tensors is not None for one in found.files) > 1]
        for one in found.files
        if one.tensors is not None
        for change in sorted(one.tensors.changes, key=lambda change: change.status is TensorStatus.CHANGED)
        if change.status is not TensorStatus.MOVED
    ]
    if tensors:
        count = counted(len(tensors), "tensor")
        head = [f"<details><summary>{count} changed</summary>", "", "| | tensor | |", "|---|---|---|"]
        made.append(_Section(head, tensors, "| | and {} more | |", ["", "</details>"], first=100))
    return made


def _shapes(change: TensorChange) -> str:
    sides = [f"{side.dtype} {'×'.join(map(str, side.shape)) or 'scalar'}" for side in (change.old, change.new) if side]
    if len(sides) > 1 and sides[0] == sides[1]:
        del sides[0]
    fresh = [
        f"+{count:,} {kind}" for count, kind in ((change.new_nan, "NaN"), (change.new_inf, "infinite")) if _grew(count)
    ]
    was = [f"was {change.old.name}"] if change.status is TensorStatus.RENAMED and change.old else []
    return escaped(_cut("  ".join([" → ".join(sides), *was, *fresh])))


def _grew(count: int | None) -> bool:
    return count is not None and count > 0


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _text(value: str) -> str:
    return escaped(_cut(value))


def _link(url: str) -> str:
    return f"<{url}>" if _LINK.match(url) and len(url) <= _CELL else escaped(_cut(url))


def _cut(text: str) -> str:
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
