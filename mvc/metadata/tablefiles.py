"""Files of tables (a confusion matrix, results by class): CSV, and JSON as pandas and scikit-learn users write it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from mvc.errors import NotFound, ParseError, UsageError
from mvc.metadata.files import distinct_names
from mvc.metadata.model import Table
from mvc.metadata.records import check_table
from mvc.metadata.values import MAX_BYTES, exact, scalar

KINDS = (".csv", ".tsv", ".json")


def read_table(name: str, path: Path) -> Table:
    """The table in a file. Raises NotFound, UsageError (kind, size), ParseError with the file."""
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise UsageError(f"{path}: of which kind is it?", hint=f"a name that ends in {', '.join(KINDS)}")
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"no such file: {path}") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder") from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path} is larger than {MAX_BYTES >> 20} MiB: too large for a table")
    try:
        text = data.decode("utf-8-sig")
        table = _json(text) if kind == ".json" else _csv(text, "\t" if kind == ".tsv" else ",")
        check_table(name, table)
    except UnicodeDecodeError as error:
        raise ParseError(f"{path}: not UTF-8, at byte {error.start}") from error
    except ParseError as error:
        raise ParseError(f"{path}: {error.message}") from error
    return table


def _csv(text: str, delimiter: str) -> Table:
    """The first line names the columns. A cell is a number where it looks like one, empty is null, else a word."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns: tuple[str, ...] | None = None
    found = []
    try:
        for row in rows:
            if not row:
                continue
            if columns is None:
                columns = tuple(cell.strip() for cell in row)
            elif len(row) != len(columns):
                raise ParseError(f"line {rows.line_num}: {len(row)} cells, there are {len(columns)} columns")
            else:
                found.append(tuple(_cell(cell.strip()) for cell in row))
    except csv.Error as error:
        raise ParseError(f"line {rows.line_num}: {error}") from error
    return Table(columns or (), tuple(found))


def _cell(text: str) -> Any:
    return None if not text else scalar(text)


def _json(text: str) -> Table:
    """`{"columns": [...], "data"|"rows": [[...]]}`, a list of groups, or a bare matrix."""
    try:
        found = json.loads(text, object_pairs_hook=distinct_names(text), parse_float=exact)
    except json.JSONDecodeError as error:
        raise ParseError(f"line {error.lineno}: {error.msg[:1].lower()}{error.msg[1:]}") from error
    except (ValueError, RecursionError) as error:
        raise ParseError("nested too deep, or a number of too many digits") from error
    if isinstance(found, dict):
        rows = found.get("data", found.get("rows"))
        columns = found.get("columns")
    elif isinstance(found, list) and found and all(isinstance(row, dict) for row in found):
        columns = list(dict.fromkeys(name for row in found for name in row))
        rows = [[row.get(name) for name in columns] for row in found]
    else:
        rows = found
        columns = (
            list(range(len(found[0]))) if isinstance(found, list) and found and isinstance(found[0], list) else None
        )
    if not isinstance(columns, list) or not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ParseError("no table: it takes columns with rows, a list of groups, or a matrix")
    return Table(tuple(str(one) for one in columns), tuple(tuple(row) for row in rows))
