"""The catalogue's answers are those of plain Python that looks at one commit after another."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.catalogue import plan
from mvc.catalogue.parser import parse
from mvc.catalogue.plan import Order
from mvc.catalogue.syntax import And, Compare, Field, Not, Or, Query, Value, Words, text_of
from tests.catalogue.samples import Sample, ask, catalogue, holds, reads, sane

NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**70, 2**70 + 1, 10**400, -(10**400)]),
    st.sampled_from([0.0, 0.5, 1.0, -1.5, 1e-5, 1e300, math.inf, -math.inf, math.nan, float(2**53), 2.0**63, 3.0]),
)
PLAIN = "a A ab adamw Ada_m 1 1.0 0.5 1e-5 2.0 9223372036854775808 nan inf true TRUE false null 5% * a* [a] a[ a.b ß SS"
TEXTS = st.sampled_from([*PLAIN.split(), "", "it's", 'x"y', "a b", "模型", "模型训练"])
STORED = st.one_of(NUMBERS, TEXTS, st.booleans(), st.none())
CONSTANTS = st.one_of(NUMBERS, TEXTS, st.booleans()).map(Value)
NAMES = ["x", "y", "a b", "acc@m.st", "模"]
MESSAGES = st.sampled_from(
    ["warm up", "模型训练", "train 模型 v2", "训练", "练", "Warmup", "fine-tune BERT模型", "up warm", "decay 0.5 x"]
)
WORDS = st.sampled_from(
    ["warm", "warm up", "war*", "模型", "型", "训练", "模型训", "BERT", "bert模型", "v2", "模型 v2", "0.5", "up"]
)
LABELS = st.tuples(st.sampled_from(["path", "dataset", "base.path"]), TEXTS.filter(bool))
REFS = st.tuples(st.sampled_from(["tag", "alias", "run", "branch"]), TEXTS.filter(bool))


@st.composite
def samples(draw: st.DrawFn) -> list[Sample]:
    values = st.dictionaries(st.sampled_from(NAMES), STORED, max_size=3)
    return [
        Sample(
            no,
            draw(values),
            draw(values),
            {},
            draw(MESSAGES) + "\n",
            draw(st.sampled_from([("Ann", "ann@x"), ("Bob B", "b@y")])),
            1_700_000_000 + draw(st.integers(0, 3)),
            draw(st.sampled_from([None, 0, 100, 5_000_000])),
            (),
            tuple(draw(st.lists(LABELS, max_size=2))),
            tuple(draw(st.lists(REFS, max_size=2))),
            tuple(draw(st.sets(st.sampled_from(["main", "exp/1", "exp/2"])))),
            draw(st.sampled_from([None, "# 卡片 warm", "模型 card"])),
        )
        for no in range(1, draw(st.integers(1, 8)) + 1)
    ]


SYMBOLS = ["=", "!=", "<", "<=", ">", ">="]
PATTERNS = ["~", "!~", "like", "not like", "ilike", "not ilike"]
NOTHING = ["is null", "is not null", "is nan", "is not nan"]


@st.composite
def comparisons(draw: st.DrawFn) -> Compare:
    section = draw(st.sampled_from(["params", "metrics", None]))
    if section is not None:
        field = Field(section, draw(st.sampled_from(NAMES)))
        operator = draw(st.sampled_from([*SYMBOLS, *PATTERNS, *NOTHING, "in", "not in"]))
        values: Any = CONSTANTS
        if operator in SYMBOLS[2:]:
            values = CONSTANTS.filter(lambda one: not isinstance(one.value, bool) and one.value == one.value)
    else:
        field = Field(None, draw(st.sampled_from(["author", "message", "branch", "tag", "path", "dataset", "size"])))
        operator = draw(st.sampled_from([*SYMBOLS, *PATTERNS, "in", "not in"]))
        values = st.sampled_from(["Ann", "ann", "Bob B <b@y>", "exp/%", "exp/*", "main"]).map(Value) | TEXTS.map(Value)
        if field.name == "message" and operator in ("~", "!~"):
            values = WORDS.map(Value)
        if field.name == "size":
            operator = draw(st.sampled_from([*SYMBOLS, "in"]))
            values = st.sampled_from([0, 100, 99.5, 2**70]).map(Value)
    if operator in ("in", "not in"):
        return Compare(field, operator, tuple(draw(st.lists(values, min_size=1, max_size=3))))
    return Compare(field, operator, () if operator in NOTHING else (draw(values),))


def joined(parts: st.SearchStrategy[Query]) -> st.SearchStrategy[Query]:
    some = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.one_of(parts.map(Not), some.map(And), some.map(Or))


QUERIES: st.SearchStrategy[Query] = st.recursive(comparisons() | WORDS.map(Words), joined, max_leaves=6)


@settings(max_examples=150)
@given(QUERIES)
def test_a_query_is_the_same_when_it_is_written_out_and_read_again(query: Query) -> None:
    assert parse(text_of(query)) == query


@settings(max_examples=100)
@given(samples(), QUERIES)
def test_answers_are_those_of_plain_python(commits: list[Sample], query: Query) -> None:
    db = catalogue(commits)
    newest = sorted(commits, key=lambda one: (-one.time, -one.no))
    wanted = [one.no for one in newest if holds(query, one)]
    assert ask(db, query) == wanted
    assert ask(db, query, limit=2) == wanted[:2]
    db.close()


@settings(max_examples=30)
@given(samples(), QUERIES)
def test_without_fts5_the_answers_are_the_same(commits: list[Sample], query: Query) -> None:
    one, two = catalogue(commits), catalogue(commits, full_text=False)
    assert ask(one, query) == ask(two, query)
    one.close()
    two.close()


@settings(max_examples=60)
@given(samples(), QUERIES, st.sampled_from([0, 1e9]), st.sampled_from([0, 1e9]), st.sampled_from([0, 1e9]))
def test_whatever_is_thought_of_their_numbers_the_answers_are_the_same(
    commits: list[Sample], query: Query, unsure: float, probe: float, worth: float
) -> None:
    db = catalogue(commits)
    wanted = ask(db, query)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_FEW", 1), ("_SEEN", 1), ("_UNSURE", unsure), ("_PROBE", probe), ("_WORTH", worth)):
            patch.setattr(plan, name, value)
        assert ask(db, query) == wanted
        assert ask(db, query, limit=3) == wanted[:3]
        best = (Order(Field("metrics", "y"), True),)
        assert ask(db, query, order=best, limit=3) == ask(db, query, order=best)[:3]
    db.close()


@settings(max_examples=60)
@given(samples(), st.booleans(), st.sampled_from([None, 1, 3]), st.none() | QUERIES)
def test_order_puts_numbers_first_and_what_is_missing_last(
    commits: list[Sample], descending: bool, limit: int | None, query: Query | None
) -> None:
    db = catalogue(commits)

    def rank(one: Sample) -> tuple[Any, ...]:
        value = one.metrics.get("x")
        number = Value(value)
        sign = -1 if descending else 1
        if isinstance(value, str):
            read = reads(value)
            number = Value(read) if read is not None else Value(value)
        plain = str(value).lower() if isinstance(value, bool) else number.value
        if isinstance(plain, int | float) and not isinstance(plain, bool) and plain == plain:
            return 0, sign * sane(plain), -one.time, -one.no
        if isinstance(plain, str):
            order = [sign * ord(c) for c in plain]
            return 1, order + ([math.inf] if descending else [-math.inf]), -one.time, -one.no
        return 2, 0, -one.time, -one.no

    def key(one: Sample) -> tuple[Any, ...]:
        first, second, *rest = rank(one)
        return first, second, *rest

    wanted = [one.no for one in sorted(commits, key=key) if query is None or holds(query, one)]
    found = ask(db, query, order=(Order(Field("metrics", "x"), descending),), limit=limit)
    if not any(isinstance(one.metrics.get("x"), str) for one in commits):
        assert found == (wanted if limit is None else wanted[:limit])
    else:
        assert len(found) == len(wanted if limit is None else wanted[:limit])
    db.close()


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("metrics.x > 9007199254740992", [2**53 + 1, 2.0**54, 2**63, math.inf]),
        ("metrics.x = 9007199254740993", [2**53 + 1]),
        ("metrics.x < nan or metrics.x > 1e400", None),
        ("metrics.x = nan", [math.nan]),
        ("metrics.x != 1", [0, 2**53 + 1, 2.0**54, 2**63, math.inf, math.nan, "no", "0.001"]),
        ("metrics.x = inf", [math.inf]),
        ("metrics.x = '1e-3'", []),
        ("metrics.x = 1e-3", ["0.001"]),
        ("metrics.x = '0.001'", ["0.001"]),
        ("metrics.x <= '0.5'", [0, "0.001"]),
    ],
)
def test_numbers_compare_as_numbers(query: str, values: list[Any] | None) -> None:
    every = [0, 1, 2**53 + 1, 2.0**54, 2**63, math.inf, math.nan, "no", "0.001", None]
    db = catalogue([Sample(no, metrics={"x": value}) for no, value in enumerate(every, 1)])
    parsed = parse(query)
    if values is None:
        with pytest.raises(Exception, match="nothing is smaller"):
            ask(db, parsed, query)
    else:
        assert sorted(repr(every[no - 1]) for no in ask(db, parsed, query)) == sorted(map(repr, values))
    db.close()
