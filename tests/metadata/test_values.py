"""Scalars by YAML 1.2, dotted names, and the form that is written: read back by us and by PyYAML."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mvc.errors import ParseError
from mvc.metadata import lean
from mvc.metadata.canonical import dumps, flow
from mvc.metadata.files import grouped_values
from mvc.metadata.lean import loads, loads_flat
from mvc.metadata.values import MAX_DEPTH, MAX_VALUES, flatten, nest, scalar, split_name
from tests.metadata.strategies import TEXT, nested, same


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("3E4", 3e4),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0.0", -0.0),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("+7", 7),
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("on", "on"),
        ("~", None),
        ("null", None),
        ("", None),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("inf", "inf"),
        ("nan", "nan"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("1e400", "1e400"),
        ("٣", "٣"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    assert same(scalar(text), value)


def test_nan_is_a_scalar() -> None:
    assert math.isnan(scalar(".nan"))


@given(nested())
def test_flat_names_come_back_as_the_groups_they_were(groups: dict[str, Any]) -> None:
    try:
        flat = flatten(groups)
    except ParseError as error:
        assert "stands twice" in error.message or "both a value and a group" in error.message
        return
    assert flatten(nest(flat)) == flat or same(sorted(flatten(nest(flat)).items()), sorted(flat.items()))


def test_a_scope_is_not_taken_apart() -> None:
    assert split_name("eval.acc@dir/model.v2.bin") == ["eval", "acc@dir/model.v2.bin"]
    flat = {"eval.acc@dir/model.v2.bin": 0.5}
    assert nest(flat) == {"eval": {"acc@dir/model.v2.bin": 0.5}}
    assert flatten(nest(flat)) == flat


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"a.b": 1, "a": {"b": 2}}, "'a.b' stands twice"),
        ({"a": 1, "a.b": 2}, "'a' is both a value and a group"),
        ({"a": {"b": {}}, "a.b": {"c": 1}}, "'a.b' is both"),
        ({"a": list(range(MAX_VALUES))}, "more than"),
    ],
)
def test_names_that_meet_are_refused(groups: dict[str, Any], words: str) -> None:
    with pytest.raises(ParseError, match=words):
        flatten(groups)


@pytest.mark.parametrize("wrap", [lambda value: {"a": value}, lambda value: [value]])
def test_depth_is_bounded(wrap: Any) -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH + 3):
        value = wrap(value)
    with pytest.raises(ParseError, match="deeper"):
        flatten({"top": value})


@given(nested())
def test_what_is_written_reads_back_with_and_without_a_yaml_library(groups: dict[str, Any]) -> None:
    text = dumps(groups)
    assert same(grouped_values(text.encode(), "yaml", "x"), groups)
    lean = loads(text)
    assert lean is None or same(lean, groups)


@given(nested())
def test_what_is_written_means_the_same_in_yaml_1_1(groups: dict[str, Any]) -> None:
    assert same(yaml.safe_load(dumps(groups)) or {}, groups)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.one_of(st.integers(), st.floats(), TEXT)))
def test_plain_values_never_need_a_yaml_library(values: dict[str, Any]) -> None:
    assert same(loads(dumps(values)), values)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2\n",
        "a:\n    b: 1\n",
        "  a: 1\n",
        "a:\n",
        "a: [NaN]\n",
        "a: [1, 2\n",
        "a: &x 1\n",
        "a: 'x'\n",
        "a: b: c\n",
        "- a\n",
        "a: |\n  text\n",
        "1: 2\n",
        "a: 1 # why\n",
        'a: {"b": 1, "b": 2}\n',
        "a: " + "[" * 100_000,
        "\ta: 1\n",
    ],
)
def test_other_forms_are_left_to_the_full_reader(text: str) -> None:
    assert loads(text) is None


@given(st.text(max_size=60))
def test_the_lean_reader_never_disagrees_with_the_full_one(text: str) -> None:
    lean = loads(text)
    if lean is not None:
        assert same(grouped_values(text.encode(), "yaml", "x"), lean)


@given(st.text(st.sampled_from("ab: \n\"'[]{},.-~1&*|>#%@`!?0e\t"), max_size=40))
def test_the_lean_reader_never_disagrees_on_yaml_like_text(text: str) -> None:
    lean = loads(text)
    if lean is not None:
        assert same(grouped_values(text.encode(), "yaml", "x"), lean)


def flattened(text: str) -> Any:
    try:
        return flatten(loads(text) or {})
    except ParseError:
        return None


@given(nested())
def test_the_flat_reader_never_disagrees_with_the_lean_one(groups: dict[str, Any]) -> None:
    text = dumps(groups)
    flat = loads_flat(text)
    assert flat is None or same(flat, flattened(text))


ROWS = st.tuples(
    st.sampled_from(["", "", "  ", "    ", " ", "      "]),
    st.sampled_from(["a", "b", "a.b", "a@b.c", "1", "no", "null", '"a"', "b ", "-", ""]),
    st.sampled_from([":", ":", ": 1", ": 0.5", ": word", ': "x: y"', ": [1]", ": {}", ": ", ":  1", ": 1 # c"]),
)


@given(st.lists(ROWS.map("".join), max_size=7).map(lambda rows: "".join(f"{row}\n" for row in rows)))
def test_the_flat_reader_never_disagrees_on_any_shape(text: str) -> None:
    flat = loads_flat(text)
    assert flat is None or (loads(text) is not None and same(flat, flattened(text)))


def test_the_flat_reader_reads_the_usual() -> None:
    values = {"lr": 3e-05, "epochs": 3, "optimizer.name": "adamw", "optimizer.decay.rate": 0.01, "acc@m.v1.bin": 0.5}
    assert loads_flat(dumps(nest(values))) == values
    deep = "".join(f"{'  ' * depth}a:\n" for depth in range(MAX_DEPTH + 2)) + "  " * (MAX_DEPTH + 2) + "a: 1\n"
    assert loads_flat(deep) is None
    assert loads_flat("".join(f"a{number}: 1\n" for number in range(MAX_VALUES + 1))) is None


LEAVES = st.sampled_from([0.5, -1e-5, 1.0, 1e300, 7, 10**30, "7.5e400", "word", "a: b", "", True, None, [1], math.inf])
FLAT = st.dictionaries(st.sampled_from(["a", "b.c", "b.d", "d@e.f", "1", "g h"]), LEAVES, min_size=1)


@given(FLAT, FLAT)
def test_a_form_that_was_learnt_reads_what_the_lines_say(one: dict[str, Any], two: dict[str, Any]) -> None:
    text = dumps(nest(one))
    flat = lean._line_by_line(text)
    if flat is None:  # a list
        return
    form = lean._form(text, flat)
    assert same(form.read(text), flat)
    for other in (dumps(nest(one | two)), text + "more: 1\n", text[:-1], text.replace("0.5", "0.5e308")):
        found = form.read(other)
        assert found is None or same(found, lean._line_by_line(other))


def test_the_form_of_many_files_is_learnt_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "_forms", lean._Forms())
    read: list[str] = []
    line_by_line = lean._line_by_line
    monkeypatch.setattr(lean, "_line_by_line", lambda text: read.append(text) or line_by_line(text))
    for number in range(1000):
        values = {"lr": number / 7, "name": f"run-{number}", "seed": number, "optimizer.beta": 0.5}
        assert loads_flat(dumps(nest(values))) == dict(sorted(values.items()))
    assert len(read) == lean._MANY


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(ParseError, match="object"):
        flow(object())
