"""Files of metrics by step, as trainers write them: CSV, TSV, JSON Lines, the `trainer_state.json` of transformers.

Lightning's and Keras' CSVLogger, DVCLive, YOLO, a history of Weights & Biases and `trainer.log_metrics` differ in what
they call a step and in what they leave empty; a column of words (a date, a phase) is left out, and that is said.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from mvc.errors import NotFound, ParseError, UsageError
from mvc.metadata.files import distinct_names
from mvc.metadata.model import Point
from mvc.metadata.series import check_point
from mvc.metadata.values import exact, flatten, scalar

STEPS = ("step", "global_step", "trainer/global_step", "iteration", "iter", "_step", "epoch")
"""What a column of steps may be called, in any case; the first that is there counts. None of them: lines are counted
from 0."""

KINDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
MAX_FILE = 256 * 1024 * 1024
MAX_LINE = 1024 * 1024

_WORDS = {"nan": "nan", "NaN": "nan", "Infinity": "inf", "inf": "inf", "-Infinity": "-inf", "-inf": "-inf"}


_MISSING = frozenset({"", "-", "None", "NA", "N/A", "n/a", "<NA>", "null"})
"""How a figure that was not taken is written."""


@dataclass(slots=True)
class SeriesFile:
    """A file's points, as they are read, and afterwards what was left out of it."""

    path: Path
    left_out: dict[str, int] = field(default_factory=dict)
    """Columns of words: the line where the first stood."""
    numeric: set[str] = field(default_factory=set)

    def points(self) -> Iterator[Point]:
        """The points, in order. Raises NotFound, UsageError (its kind, its size), ParseError with file and line."""
        kind = self.path.suffix.lower()
        if kind not in KINDS:
            hint = f"a name that ends in {', '.join(KINDS)}"
            raise UsageError(f"{self.path}: of which kind is it?", hint=hint)
        try:
            with open(self.path, encoding="utf-8-sig", newline="") as file:
                if file.seek(0, 2) > MAX_FILE:
                    raise UsageError(f"{self.path} is larger than {MAX_FILE >> 20} MiB: log fewer steps")
                file.seek(0)
                yield from self._rows(
                    {".csv": _csv_rows, ".tsv": _tsv_rows, ".json": _json_rows}.get(kind, _line_rows)(file)
                )
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"no such file: {self.path}") from error
        except IsADirectoryError as error:
            raise UsageError(f"{self.path} is a folder") from error
        except UnicodeDecodeError as error:
            raise ParseError(f"{self.path}: not UTF-8") from error

    def problems(self) -> list[str]:
        """A line for each column that was left out."""
        return [f"{self.path}: line {line}: '{name}' holds words: left out" for name, line in self.left_out.items()]

    def _rows(self, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[Point]:
        for number, (line, row) in enumerate(rows):
            try:
                point = self._point(number, line, row)
                check_point(point)
            except ParseError as error:
                raise ParseError(f"{self.path}: line {line}: {error.message}") from error
            if point.values:
                yield point

    def _point(self, number: int, line: int, row: Mapping[str, Any]) -> Point:
        if set(row) == {"step", "metrics"} and isinstance(row["metrics"], dict):
            row = {**row["metrics"], "step": row["step"]}
        flat = flatten(row)
        named = {name.lower(): name for name, value in flat.items() if value is not None}
        key = next((name if flat.get(name) is not None else named[name] for name in STEPS if name in named), None)
        step: Any = number if key is None else flat.pop(key)
        if isinstance(step, float) and step.is_integer():
            step = int(step)
        values: dict[str, Any] = {}
        for name, value in flat.items():
            found = float(_WORDS[value]) if isinstance(value, str) and value in _WORDS else value
            if found is None or (isinstance(found, str) and found in _MISSING):
                continue
            if isinstance(found, (int, float)) and not isinstance(found, bool):
                if name in self.left_out:
                    raise ParseError(f"'{name}' is a number here, and was none in line {self.left_out[name]}")
                values[name] = found
                self.numeric.add(name)
            elif name in self.numeric:
                raise ParseError(f"'{name}' is {str(found)[:40]!r}, not a number")
            else:
                self.left_out.setdefault(name, line)
        return Point(step, values)


def _tsv_rows(file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    return _csv_rows(file, "\t")


def _csv_rows(file: TextIO, delimiter: str = ",") -> Iterator[tuple[int, dict[str, Any]]]:
    rows = csv.reader(file, delimiter=delimiter)
    names: list[str] | None = None
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if names is None:
                names = _heading(row, rows.line_num)
                continue
            if len(row) > len(names):
                raise ParseError(f"line {rows.line_num}: {len(row)} cells, there are {len(names)} columns")
            yield rows.line_num, {name: scalar(cell.strip()) for name, cell in zip(names, row, strict=False)}
    except csv.Error as error:
        raise ParseError(f"{file.name}: line {rows.line_num}: {error}") from error
    except ParseError as error:
        raise ParseError(f"{file.name}: {error.message}") from error


def _heading(row: list[str], line: int) -> list[str]:
    names = [cell.strip() for cell in row]
    # A column without a name is the index that pandas writes.
    names = [name or f"column {number}" for number, name in enumerate(names, 1)]
    for name in names:
        if names.count(name) > 1:
            raise ParseError(f"line {line}: '{name}' stands twice")
    return names


def _line_rows(file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise ParseError(f"{file.name}: line {number}: longer than {MAX_LINE >> 20} MiB")
        if line.strip():
            yield number, _object(file.name, number, line)


def _json_rows(file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """A list of groups, or the `log_history` of transformers. There are no lines to name: entries are counted."""
    found = _loaded(file.name, 1, file.read(MAX_FILE))
    rows = found.get("log_history") if isinstance(found, dict) else found
    if not isinstance(rows, list):
        raise ParseError(f"{file.name}: neither a list of steps nor a log_history")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise ParseError(f"{file.name}: step {number} of the list is no group")
        yield number, row


def _object(name: str, line: int, text: str) -> dict[str, Any]:
    found = _loaded(name, line, text)
    if not isinstance(found, dict):
        raise ParseError(f"{name}: line {line}: not a group: {{...}}")
    return found


def _loaded(name: str, line: int, text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=distinct_names(text, line), parse_float=exact)
    except json.JSONDecodeError as error:
        raise ParseError(f"{name}: line {line + error.lineno - 1}: not JSON") from error
    except ParseError as error:
        raise ParseError(f"{name}: {error.message}") from error
    except (ValueError, RecursionError) as error:
        raise ParseError(f"{name}: line {line}: nested too deep, or a number of too many digits") from error
