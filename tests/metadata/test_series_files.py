"""Files of metrics by step, and of tables, as trainers and evaluations write them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.errors import NotFound, ParseError, UsageError
from mvc.metadata.files import load_values
from mvc.metadata.model import Point, Table
from mvc.metadata.series import dump_series, read_series
from mvc.metadata.seriesfiles import SeriesFile
from mvc.metadata.tablefiles import read_table

NUMBERS = st.integers(-(2**70), 2**70) | st.floats()
POINTS = st.builds(
    Point,
    st.integers(-(2**60), 2**60),
    st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=10), NUMBERS, max_size=4),
)


def points(path: Path, text: str) -> list[Point]:
    path.write_text(text, encoding="utf-8")
    return list(SeriesFile(path).points())


@settings(max_examples=100, deadline=None)
@given(st.lists(POINTS, max_size=5))
def test_series_come_back(series: list[Point]) -> None:
    assert repr(list(read_series(dump_series(series)))) == repr(series)


def test_the_written_form() -> None:
    data = dump_series([Point(1, {"loss": 0.5, "größe": 2}), Point(2, {"loss": math.nan, "a": -math.inf})])
    assert data.decode() == (
        '{"step":1,"metrics":{"loss":0.5,"größe":2}}\n{"step":2,"metrics":{"loss":"NaN","a":"-Infinity"}}\n'
    )


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"\xff",
        b'{"step":1.5,"metrics":{}}',
        b'{"step":true,"metrics":{}}',
        b'{"step":99999999999999999999,"metrics":{}}',
        b'{"step":1,"metrics":{"a":"high"}}',
        b'{"step":1,"metrics":{"a":true}}',
        b'{"step":1,"metrics":{"a":1e400}}',
        b'{"step":1,"metrics":{"a":1,"a":2}}',
        b'{"step":1,"metrics":{"a":{"b":1}}}',
        b'{"step":1,"metrics":{"a":1' + b"0" * 5000 + b"}}",
        b"[" * 100_000,
    ],
)
def test_what_is_no_series_names_its_line(line: bytes) -> None:
    good = b'{"step":0,"metrics":{"a":1}}\n\n'
    with pytest.raises(ParseError, match=r"series\.jsonl: line 3: "):
        list(read_series(good + line))


def test_too_long_a_series_is_refused() -> None:
    with pytest.raises(ParseError, match="larger than 16 MiB"):
        dump_series(Point(step, {"a" * 1000: 1.0}) for step in range(20_000))


def test_lightnings_csv(tmp_path: Path) -> None:
    found = points(tmp_path / "metrics.csv", "epoch,step,train_loss,val_loss\n0,9,2.5,\n0,9,,1.5\n\n1,19,nan,\n")
    assert repr(found) == repr(
        [
            Point(9, {"epoch": 0, "train_loss": 2.5}),
            Point(9, {"epoch": 0, "val_loss": 1.5}),
            Point(19, {"epoch": 1, "train_loss": math.nan}),
        ]
    )


def test_keras_csv_and_none(tmp_path: Path) -> None:
    assert points(tmp_path / "k.csv", "epoch,acc\n0,0.5\n1,0.6\n") == [Point(0, {"acc": 0.5}), Point(1, {"acc": 0.6})]
    assert points(tmp_path / "n.csv", ",loss\n5,2\n6,1\n") == [
        Point(0, {"column 1": 5, "loss": 2}),
        Point(1, {"column 1": 6, "loss": 1}),
    ]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("loss.tsv", "step\tloss\n10\t0.9\n20\t0.8\n", [(10, 0.9), (20, 0.8)]),  # DVCLive
        ("w.jsonl", '{"_step": 10, "loss": 2}\n{"_step": 20, "loss": null}\n', [(10, 2)]),  # Weights & Biases
        ("w.csv", '"Step","loss"\n"10","2.5"\n"20",""\n', [(10, 2.5)]),
        ("l.jsonl", '{"_step": 1, "trainer/global_step": 50, "loss": 2}\n', [(50, 2)]),
        ("k.csv", "Epoch,loss\n3,N/A\n4,1\n5,-\n", [(4, 1)]),
        ("s.csv", "step,Step,loss\n7,1,2\n", [(7, 2)]),
    ],
)
def test_what_trainers_call_a_step_and_leave_empty(
    tmp_path: Path, name: str, text: str, expected: list[tuple[int, float]]
) -> None:
    assert [(point.step, point.values["loss"]) for point in points(tmp_path / name, text)] == expected


def test_a_column_of_words_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,when,loss\n1,2026-01-01,2\n2,2026-01-02,1\n")
    file = SeriesFile(tmp_path / "a.csv")
    assert [point.values for point in file.points()] == [{"loss": 2}, {"loss": 1}]
    (problem,) = file.problems()
    assert problem.endswith("a.csv: line 2: 'when' holds words: left out")


def test_json_lines_and_trainer_state(tmp_path: Path) -> None:
    text = '{"step": 1, "eval": {"loss": 2}, "ok": true}\n\n{"step": 2.0, "eval": {"loss": NaN}}\n'
    found = points(tmp_path / "a.jsonl", text)
    assert repr(found) == repr([Point(1, {"eval.loss": 2}), Point(2, {"eval.loss": math.nan})])
    own = dump_series([Point(7, {"a": math.inf})]).decode()
    assert points(tmp_path / "b.jsonl", own) == [Point(7, {"a": math.inf})]
    state = {"global_step": 2, "log_history": [{"epoch": 0.5, "step": 1, "loss": 2.0}, {"step": 2, "eval_f1": 0.9}]}
    found = points(tmp_path / "trainer_state.json", json.dumps(state))
    assert found == [Point(1, {"epoch": 0.5, "loss": 2.0}), Point(2, {"eval_f1": 0.9})]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "step,a\n1,2\n2,high\n", "line 3: 'a' is 'high', not a number"),
        ("a.csv", "step,a\n1,high\n2,3\n", "line 3: 'a' is a number here"),
        ("a.csv", "step,a\n1,2,3\n", "line 2: 3 cells, there are 2"),
        ("a.csv", "step,a,a\n1,2,3\n", "line 1: 'a' stands twice"),
        ("a.csv", "step,a\n1.5,2\n", "line 2: the step '1.5'"),
        ("a.csv", 'step,a\n1,"' + "x" * 200_000 + '"\n', "line 2: field larger"),
        ("a.jsonl", '{"step": 1}\n{"step\n', "line 2: not JSON"),
        ("a.jsonl", "5\n", "line 1: not a group"),
        ("a.jsonl", "[" * 100_000, "line 1: "),
        ("a.jsonl", '{"a": 1, "c": {"b": ' + "[" * 100 + "]" * 100 + "}}", "line 1: nested deeper"),
        ("a.jsonl", '{"step": 1}\n{"step": 2, "a": 1, "a": 2}\n', "a.jsonl: 'a' stands twice (line 2)"),
        ("a.jsonl", '{"a": {"b": 1, "b": 2}}\n', "'b' stands twice (line 1)"),
        ("a.json", '{"log_history": [],\n "log_history": []}', "'log_history' stands twice (lines 1, 2)"),
        ("a.json", '{"x": 1}', "neither a list of steps"),
        ("a.json", "[1]", "step 1 of the list"),
    ],
)
def test_mistakes_name_file_and_line(name: str, text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ParseError, match=name) as caught:
        points(tmp_path / name, text)
    assert told in caught.value.message


def test_which_files(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        list(SeriesFile(tmp_path / "gone.csv").points())
    with pytest.raises(UsageError, match="of which kind"):
        list(SeriesFile(tmp_path / "a.txt").points())
    (tmp_path / "latin.csv").write_bytes(b"step,\xe9\n1,2\n")
    with pytest.raises(ParseError, match="not UTF-8"):
        list(SeriesFile(tmp_path / "latin.csv").points())


@pytest.mark.parametrize(
    ("name", "text", "table"),
    [
        (
            "t.csv",
            "label,yes,no\nyes,10,2\nno,1.5,\n",
            Table(("label", "yes", "no"), (("yes", 10, 2), ("no", 1.5, None))),
        ),
        ("t.tsv", "a\tb\n1\t2\n", Table(("a", "b"), ((1, 2),))),
        ("t.json", "[[1, 2], [3, 4]]", Table(("0", "1"), ((1, 2), (3, 4)))),
        ("t.json", '[{"a": 1}, {"b": 2}]', Table(("a", "b"), ((1, None), (None, 2)))),
        ("t.json", '{"columns": ["x"], "index": [0], "data": [[1]]}', Table(("x",), ((1,),))),
    ],
)
def test_tables(name: str, text: str, table: Table, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert read_table("t", tmp_path / name) == table


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "a,b\n1\n"),
        ("t.csv", ""),
        ("t.json", "5"),
        ("t.json", "[[1, [2]]]"),
        ("t.json", "[" * 100_000),
        ("t.json", '{"columns": ["a"], "data": [[1, 2]]}'),
        ("t.json", '{"columns": ["a"], "data": [[1]], "data": [[2]]}'),
        ("t.json", '[{"a": 1, "a": 2}]'),
        ("t.csv", "a\n" + "1\n" * 30_000),
    ],
)
def test_what_is_no_table(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ParseError, match=name):
        read_table("t", tmp_path / name)


def test_numbers_that_no_float_holds(tmp_path: Path) -> None:
    """Kept as their text; nothing becomes infinite on the way."""
    from_files: list[Any] = []
    for name, text in (("a.yaml", "a: 1e400\n"), ("a.json", '{"a": 1e400}'), ("a.toml", "a = 1e400\n")):
        (tmp_path / name).write_text(text)
        from_files.append(load_values(tmp_path / name)["a"])
    assert from_files == ["1e400"] * 3
