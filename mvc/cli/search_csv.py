"""What `mvc search --csv` prints (RFC 4180, but for line ends)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from mvc.catalogue.search import Found
from mvc.catalogue.syntax import SECTIONS, Field
from mvc.cli.search_text import expanded, json_value

_USUAL = ("id", "date", "author", "subject", "branch", "name", "size")


def csv_text(found: Found, columns: Sequence[Field]) -> str:
    """A line for each commit. Without columns, all params, metrics and tags that one of them has."""
    usual = [Field(None, name) for name in _USUAL]
    every = [Field(section, "*") for section in SECTIONS if section in ("params", "metrics", "tags")]
    shown = expanded(columns or [*usual, *every], found.rows)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([str(column) for column in shown])
    writer.writerows([_cell(json_value(row, column)) for column in shown] for row in found.rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
