"""Model cards: whatever a README.md holds, it is read, and what is wrong with it is said with its line."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.metadata.card import MAX_BYTES, MAX_FRONT, MOST_PROBLEMS, read_card

GOOD = """---
license: apache-2.0
language:
- en
- "no"
library_name: transformers
pipeline_tag: token-classification
tags: [ner, news]
datasets: [conll2003, "team/own data/x"]
base_model: google-bert/bert-base-cased
base_model_relation: finetune
metrics: [f1]
model-index:
- name: ner
  results:
  - task: {type: token-classification}
    dataset: {type: conll2003, name: CoNLL}
    metrics: [{type: f1, value: 0.9}]
---

# A model
---
not the end
"""


def test_a_card_of_the_hub() -> None:
    card = read_card(GOOD.encode())
    assert card.problems == ()
    assert card.licence == "apache-2.0" and card.words("tags") == ("ner", "news")
    assert card.words("base_model") == ("google-bert/bert-base-cased",) and card.words("nothing") == ()
    assert card.front["model-index"][0]["name"] == "ner"
    assert card.body == "# A model\n---\nnot the end\n"


@pytest.mark.parametrize(
    "data", [b"", b"# A title\n", b"\n\n--\nx\n", b"----\na: 1\n----\n", b"text\n---\na: 1\n---\n"]
)
def test_no_front_matter_is_no_mistake(data: bytes) -> None:
    card = read_card(data)
    assert card.front == {} and card.problems == () and card.body == data.decode()


@pytest.mark.parametrize(
    ("front", "problem"),
    [
        ("license: [no\n", "line 3: "),
        ("a: 1\na: 2\n", "line 3: 'a' stands twice"),
        ("a: !!python/object/apply:os.system [ls]\n", "line 2: the tag !!python/object/apply:os.system is not built"),
        ("- a list\n", "line 2: the front matter has no names"),
        ("language: English\n", "line 2: language: 'English' is no code"),
        ("x: 1\ntags: [a, 5]\n", "line 3: tags: 5 is no word"),
        ("license: other\n", "license_name does not say which"),
        ("license: My Own\n", "line 2: license: 'My Own' is not the name"),
        ("base_model_relation: cousin\n", "none of adapter, finetune, merge, quantized"),
        ("pipeline_tag: [a]\n", "line 2: pipeline_tag: ['a'] is not one word"),
        ("base_model: two words\n", "names nothing on the Hub"),
        ("model-index: 5\n", "line 2: model-index: it has to be a list"),
        ("model-index: [{results: [{metrics: [{type: f1}]}]}]\n", "a model without a name"),
        ("model-index: [{name: x, results: [{metrics: [{type: f1}]}]}]\n", "a metric without type and value"),
        ("model-index: [{name: x, results: [5]}]\n", "a result has to be a group"),
        ("a: 1\na.b: 2\n", "both a value and a group"),
        ("a: " + "[" * 100 + "]" * 100 + "\n", "line 2: nested deeper than"),
        ("a: &a [1]\n" + "".join(f"b{n}: [{','.join(['*a'] * 1000)}]\n" for n in range(20)), "aliases written out"),
    ],
)
def test_mistakes_are_told_with_their_line(front: str, problem: str) -> None:
    card = read_card(f"---\n{front}---\nbody\n".encode())
    assert any(problem in each for each in card.problems), card.problems
    assert card.body == "body\n"


@pytest.mark.parametrize("codec", ["utf-16", "utf-32", "utf-16-le", "latin-1", "utf-8-sig", "gb18030"])
def test_any_encoding(codec: str) -> None:
    text = "---\nlicense: mit\n---\n# Größe 模型\n" if codec != "latin-1" else "---\nlicense: mit\n---\n# Größe\n"
    data = b"\xff\xfe" + text.encode(codec) if codec == "utf-16-le" else text.encode(codec)
    card = read_card(data)
    assert card.licence == "mit"
    assert (card.problems == ()) == (codec == "utf-8-sig")


def test_windows_lines() -> None:
    card = read_card(GOOD.replace("\n", "\r\n").encode())
    assert card.licence == "apache-2.0" and card.problems == ()


def test_ten_megabytes() -> None:
    began = time.process_time()
    large = read_card(b"---\n" + b"a: 1\n" * 2_100_000 + b"---\n")
    assert large.front == {} and large.problems
    endless = read_card(b"---\n" + b"x" * (MAX_BYTES + 5))
    assert any("no end" in each for each in endless.problems)
    front = read_card(b"---\nx: " + b"y" * MAX_FRONT + b"\n---\nbody\n")
    assert any("larger than 1 MiB" in each for each in front.problems) and front.body == "body\n"
    many = read_card(b"---\ntags: [" + b"1, " * 19_000 + b"2]\n---\n")
    assert len(many.problems) == MOST_PROBLEMS
    assert time.process_time() - began < 3


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_anything_is_read(data: bytes, fenced: bool) -> None:
    card = read_card(b"---\n" + data + b"\n---\n" if fenced else data)
    assert isinstance(card.body, str) and all("\n" not in problem or problem for problem in card.problems)
