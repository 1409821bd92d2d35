"""What the query language takes, and where an error points."""

from __future__ import annotations

import pytest

from mvc.catalogue.parser import parse, parse_field
from mvc.catalogue.patterns import from_glob, from_like
from mvc.catalogue.syntax import And, Compare, Field, Not, Or, Value, Words, text_of
from mvc.errors import QueryError


def test_the_query_of_the_purpose() -> None:
    found = parse("metrics.acc > 0.92 and params.lr < 1e-4 and tags.task = 'ner' or name ~ 'bert*'")
    assert found == Or(
        (
            And(
                (
                    Compare(Field("metrics", "acc"), ">", (Value(0.92),)),
                    Compare(Field("params", "lr"), "<", (Value(1e-4, raw="1e-4"),)),
                    Compare(Field("tags", "task"), "=", (Value("ner"),)),
                )
            ),
            Compare(Field(None, "name"), "~", (Value("bert*"),)),
        )
    )


@pytest.mark.parametrize(
    ("query", "same"),
    [
        ("metric.acc>1", "metrics.acc > 1"),
        ("parameters.x == 1", "params.x = 1"),
        ('params."my lr" = 1', "params.`my lr` = 1"),
        ("metrics.`acc@model.safetensors` >= .5", "metrics.acc@model.safetensors >= .5"),
        ("params.`a``b` = 'it''s'", "params.`a``b` = 'it''s'"),
        ("attributes.run_id = 'abcd'", "id = 'abcd'"),
        ("dataset.context = 'train'", "dataset.split = 'train'"),
        ("tag = v1 AND tags.x = y", "tag = 'v1' and tags.x = 'y'"),
        ("tag = 1.10", "tag = 1.10"),
        ("a b or c", "('a' and 'b') or 'c'"),
        ("a params.x = 1", "'a' and params.x = 1"),
        ("a (b or c) and not d", "'a' and ('b' or 'c') and (not 'd')"),
        ("not not a", "'a'"),
        ("not (a or b)", "not ('a' or 'b')"),
        ("run = r1 and run.name = x", "run = 'r1' and name = 'x'"),
        ("size > 100MB", "size > '100MB'"),
        ("params.x not in (1, 'a', nan)", "params.x not in (1, 'a', nan)"),
        ("params.x IS NOT NULL", "params.x is not null"),
        ("模型 '训练 v2'", "'模型' and '训练 v2'"),
        ("params.学习率 < 1", "params.学习率 < 1"),
    ],
)
def test_spellings(query: str, same: str) -> None:
    found = parse(query)
    assert found is not None
    assert text_of(found) == same


@pytest.mark.parametrize(
    ("query", "at", "marks", "says"),
    [
        ("acc > 1", 0, "acc", "no field 'acc'"),
        ("metrics.acc >", 12, ">", "a value is expected"),
        ("metrics.acc", 0, "metrics.acc", "to be compared"),
        ("metrics. > 1", 0, "metrics.", "a name is expected"),
        ("metrics.a > 1 metrics.b < 2", 14, "metrics.b", "'and' or 'or'"),
        ("metrics.a > 1 && a", 14, "&&", "no word of a query"),
        ("(a or b", 0, "(", "never closed"),
        ("a or b)", 6, ")", "never opened"),
        ("tags.x = 'abc", 9, "'", "never closed"),
        ("metrics.a > metrics.b", 12, "metrics.b", "not with another field"),
        ("'metrics.a' > 1", 0, "'metrics.a'", "in quotes is no field"),
        ("params.x in 3", 12, "3", "a list in brackets"),
        ("params.x between 1 and 2", 9, "between", "no word of a query"),
        ("and a", 0, "and", "stands where"),
        ("a and", 5, " ", "ends where something"),
        ("params.x is 3", 12, "3", "'null' or 'nan'"),
        ("params.x ! 3", 9, "!", "no operator"),
        ("params.x = 模型 )", 14, ")", "never opened"),
    ],
)
def test_errors_point_at_what_is_wrong(query: str, at: int, marks: str, says: str) -> None:
    with pytest.raises(QueryError, match=says) as caught:
        parse(query)
    error = caught.value
    assert (error.at, f"{query} "[error.at : error.at + error.length]) == (at, marks)


def test_near_names_are_suggested() -> None:
    with pytest.raises(QueryError) as caught:
        parse("metrcs.acc > 1")
    assert caught.value.hint == "did you mean metrics.acc?"
    with pytest.raises(QueryError) as caught:
        parse("brnch = main")
    assert caught.value.hint == "did you mean branch?"


def test_a_query_has_limits() -> None:
    for query in ("(" * 100 + "a" + ")" * 100, " or ".join(["a"] * 500), "a" * 30_000, f"tags.x in ({'1,' * 5000}1)"):
        with pytest.raises(QueryError):
            parse(query)
    assert parse("not " * 500 + "a") == Words("a")
    assert parse("not " * 501 + "a") == Not(Words("a"))
    assert parse(" ") is None


def test_a_field_alone() -> None:
    assert parse_field("metrics.`a b`") == Field("metrics", "a b")
    for text in ("", "metrics.a b", "'x'", "nothing"):
        with pytest.raises(QueryError):
            parse_field(text)


def test_patterns() -> None:
    assert from_like("a%_*[") == "a*?[*][[]"
    assert from_glob("a*[!bc]?[") == "a*[^bc]?[[]"
    assert from_glob("[]a]") == "[]a]"
