"""Lines of notes: what they hold, and that two notes joined lose nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.errors import ParseError
from mvc.metadata.annotations import (
    Annotation,
    Annotations,
    annotated,
    dump_line,
    ordered,
    origins,
    parse_line,
    read_note,
    union,
)
from mvc.metadata.model import CommitMetadata
from mvc.objects.database import Objects
from mvc.objects.model import FILE, TreeItem
from mvc.objects.trees import build
from mvc.repo.create import init
from tests.metadata.strategies import SCALARS, TEXT, same

VALUES = st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), SCALARS, max_size=3)
ANNOTATIONS = st.builds(
    Annotation,
    st.text("0123456789abcdef", min_size=16, max_size=16),
    st.integers(0, 2**40),
    TEXT,
    VALUES,
    VALUES,
    VALUES,
    st.lists(TEXT, max_size=2).map(tuple),
    st.none() | TEXT,
    st.integers(0, 100),
)


def one(number: int, **more: Any) -> Annotation:
    fields: dict[str, Any] = {"params": {}, "metrics": {}, "tags": {}, "number": number} | more
    return Annotation(f"{number:016x}", fields.pop("at", 100), "Ann <a@x>", **fields)


@settings(max_examples=80, deadline=None)
@given(ANNOTATIONS)
def test_a_line_comes_back(annotation: Annotation) -> None:
    line = dump_line(annotation)
    assert b"\n" not in line
    found = parse_line(line)
    for part in ("params", "metrics", "tags"):
        assert same(sorted(getattr(found, part).items()), sorted(getattr(annotation, part).items()))
    assert found[:3] == annotation[:3] and found[6:] == annotation[6:]


def test_nan_is_no_json_and_comes_back() -> None:
    line = dump_line(one(1, metrics={"a": math.nan, "b": [math.inf, -math.inf, 1]}))
    assert b'{"float":"nan"}' in line
    found = parse_line(line).metrics
    assert math.isnan(found["a"]) and found["b"] == [math.inf, -math.inf, 1]


def test_what_a_person_wrote_is_left_alone() -> None:
    nested = b'{"id":"x","metrics":{"eval":{"acc":0.5}},"later":{"unknown":1}}'
    note = b"looks good to me\n\n" + nested + b'\n{"broken\n{"id": 5}\n[1]\n\xff\xfe\n'
    (found,) = read_note(note)
    assert found.metrics == {"eval.acc": 0.5}
    assert set(union([note, note]).splitlines()) == {line for line in note.splitlines() if line.strip()}
    assert read_note(union([note])) == [found]


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"id":"x","metrics":{"a":' + b"[" * 900 + b"]" * 900 + b"}}",
        b'{"id":"x","metrics":' + b'{"a":' * 100 + b"1" + b"}" * 101,
        b'{"id":"x","metrics":{"a":1' + b"0" * 10_000 + b"}}",
        b"{}",
        b"\xff",
    ],
)
def test_hostile_lines_are_none(line: bytes) -> None:
    assert read_note(line) == []


@settings(max_examples=25, deadline=None)
@given(st.lists(ANNOTATIONS, max_size=6), st.lists(ANNOTATIONS, max_size=6), st.lists(ANNOTATIONS, max_size=3))
def test_the_union_loses_nothing_and_has_one_form(
    common: list[Annotation], ours: list[Annotation], theirs: list[Annotation]
) -> None:
    every = [each._replace(id=f"{number:016x}") for number, each in enumerate((*common, *ours, *theirs))]
    both, ours, theirs = every[: len(common)], every[len(common) : len(common + ours)], every[len(common + ours) :]
    first = b"".join(dump_line(each) + b"\n" for each in both + ours)
    second = b"hello\n" + b"".join(dump_line(each) + b"\n" for each in both + theirs)
    joined = union([first, second])
    assert joined == union([second, first]) == union([joined, second])
    assert set(joined.splitlines()) == {*first.splitlines(), *second.splitlines()}
    assert same(ordered(read_note(joined)), ordered([*read_note(first), *read_note(second)]))


def test_the_last_word_counts() -> None:
    said = [
        one(0, metrics={"acc": 0.5, "f1": 0.4}, tags={"ok": "no"}),
        one(1, metrics={"acc": 0.6}, removed=("metrics.f1", "metrics.gone", "tags.ok", "nonsense")),
        one(0, at=50, metrics={"acc": 0.1}, params={"lr": 1}),
    ]
    before = CommitMetadata(params={"lr": 2, "n": 3}, metrics={"loss": 1})
    found = annotated(before, ordered(said))
    assert found.params == {"lr": 1, "n": 3} and found.metrics == {"loss": 1, "acc": 0.6} and found.tags == {}
    assert before.params == {"lr": 2, "n": 3}
    assert {name: each.number for name, each in origins(ordered(said)).items()} == {"params.lr": 0, "metrics.acc": 1}
    assert annotated(before, ()) is before


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    return init(tmp_path_factory.mktemp("repo"), initial_branch="main")[0].objects


def test_notes_are_found_wherever_git_puts_them(objects: Objects) -> None:
    """At the top, in folders, and in both at once: as Git's notes.c reads them."""
    ids = ["ab" + "0" * 38, "abcd" + "0" * 36, "ff" * 20, "12" * 20]
    with objects.batch() as batch:

        def note(number: int) -> TreeItem:
            return TreeItem(FILE, batch.blob(dump_line(one(number)) + b"\n"))

        items = {
            ids[0]: note(0),
            f"ab/{ids[1][2:]}": note(1),
            f"ff/ff/{ids[2][4:]}": note(2),
            ids[2]: note(3),
            "README": note(4),
            f"zz/{ids[3][2:]}": note(5),
            "ab/short": note(6),
        }
        tree = build(batch, items)
        batch.seal()
    found = Annotations(objects, tree)
    assert {name: [each.number for each in found[name]] for name in found} == {ids[0]: [0], ids[1]: [1], ids[2]: [2, 3]}
    assert found.get(ids[3]) is None and len(found) == 3 and found
    assert [path for path, _ in found.places(ids[2])] == [ids[2], f"ff/ff/{ids[2][4:]}"]
    nothing = Annotations(objects, None)
    assert not nothing and list(nothing) == [] and nothing.get(ids[0]) is None


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(ParseError):
        dump_line(one(0, metrics={"a": object()}))
    with pytest.raises(ParseError):
        dump_line(one(0, tags={"a": "\udcff"}))
