"""What commits say of themselves and what is said of them: series, tables, lineage, notes, cards, `mvc.yaml`."""

from __future__ import annotations

import contextlib
from pathlib import Path

from mvc.errors import ParseError, UsageError
from mvc.metadata import records
from mvc.metadata.annotations import annotated, dump_line, ordered, origins, read_note, union
from mvc.metadata.canonical import dumps
from mvc.metadata.card import MOST_PROBLEMS, read_card
from mvc.metadata.files import grouped_values
from mvc.metadata.model import NOTHING
from mvc.metadata.project import parse_project
from mvc.metadata.series import dump_series, read_series
from mvc.metadata.seriesfiles import SeriesFile
from mvc.metadata.tablefiles import read_table
from mvc.ops.lineage_index import card_bases, card_datasets
from tests import scratch

_FOLDER = scratch.make(in_memory=True)


def groups(data: bytes) -> None:
    """Each file of `.mvcmeta/` that is more than names and values: what is read is written, and read again."""
    try:
        found = grouped_values(data, "yaml", "f")
    except (ParseError, UsageError):
        return
    with contextlib.suppress(ParseError):
        datasets = records.datasets(found)
        assert records.datasets(_again(records.dataset_groups(datasets))) == datasets
    with contextlib.suppress(ParseError):
        tables = records.tables(found)
        assert repr(records.tables(_again(records.table_groups(tables)))) == repr(dict(sorted(tables.items())))
    with contextlib.suppress(ParseError):
        bases = records.bases(found)
        assert records.bases(_again(records.base_groups(bases))) == bases
    with contextlib.suppress(ParseError):
        tags = records.tags(found)
        assert len(records.tags(_again(records.tag_groups(tags)))) == len(tags)


def _again(made: dict[str, object]) -> dict[str, object]:
    try:
        return grouped_values(dumps(made).encode(), "yaml", "f")
    except UnicodeEncodeError as error:
        raise ParseError("text that is not Unicode") from error


def series(data: bytes) -> None:
    """The file in the tree; and a trainer's, as CSV, JSON Lines, JSON, TSV."""
    with contextlib.suppress(ParseError):
        points = list(read_series(data))
        assert repr(list(read_series(dump_series(points)))) == repr(points)
    for suffix in (".csv", ".jsonl", ".json"):
        path = _FOLDER / f"f{suffix}"
        path.write_bytes(data)
        with contextlib.suppress(ParseError, UsageError):
            file = SeriesFile(path)
            dump_series(file.points())
            file.problems()
    for suffix in (".csv", ".json"):
        with contextlib.suppress(ParseError, UsageError):
            read_table("t", _FOLDER / f"f{suffix}")


def notes(data: bytes) -> None:
    """Two notes, the halves: their union has all lines, in one form."""
    half = data.find(b"\n\n")
    one, two = (data[:half], data[half:]) if half >= 0 else (data, data)
    joined = union([one, two])
    assert joined == union([two, one]) or _people(joined)
    lines = {line for line in (*one.split(b"\n"), *two.split(b"\n")) if line.strip()}
    assert set(joined.split(b"\n")[:-1]) == lines
    found = ordered(read_note(joined))
    annotated(NOTHING, found)
    origins(found)
    for each in found:
        with contextlib.suppress(ParseError):
            assert repr(read_note(dump_line(each))) == repr([each])


def _people(joined: bytes) -> bool:
    """Whether there are lines that are no annotations: those stand in the order in which they came."""
    return len(read_note(joined)) < len(joined.split(b"\n")) - 1


def card(data: bytes) -> None:
    """A README.md, with and without fences."""
    for text in (data, b"---\n" + data + b"\n---\n"):
        found = read_card(text)
        assert len(found.problems) <= MOST_PROBLEMS
        assert found.licence is None or isinstance(found.licence, str)
        card_bases(found)
        card_datasets(found)


def project(data: bytes) -> None:
    """`mvc.yaml`."""
    with contextlib.suppress(ParseError):
        found = parse_project(data, Path("mvc.yaml"))
        assert all(problem.startswith("mvc.yaml") for problem in found.problems)
