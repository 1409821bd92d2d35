"""Full text in any script: each part of a Chinese text is found, words of Latin letters as wholes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.catalogue.syntax import Words
from mvc.catalogue.words import phrase
from tests.catalogue.samples import Sample, ask, catalogue

DENSE = st.text(st.sampled_from("模型训练的一二三がんばる가나"), min_size=1, max_size=12)

FOUND = [
    ("命名实体识别模型", "实体"),
    ("命名实体识别模型", "型"),
    ("命名实体识别模型", "命"),
    ("命名实体识别模型", "命名实体识别模型"),
    ("BERT模型v2 好", "bert模型v2"),
    ("BERT模型v2 好", "模型"),
    ("模型 BERT", "模型 bert"),
    ("学習率を下げた", "学習"),
    ("한국어 모델을 학습", "모델"),
    ("ภาษาไทยยาก", "ไทย"),
    ("Crème brûlée", "creme"),
    ("naïve Bayes", "NAÏVE"),
    ("Straße", "strasse"),
    ("🚀 release", "🚀"),
    ("done ✅🎉", "🎉"),
    ("learning_rate=3e-4", "learning_rate"),
    ("learning-rate warmup", "learning rate"),
    ("fine-tuned bert-large", "bert*"),
    ("ﬁne ＡＢＣ", "fine abc"),
    ("обучение модели", "Обучение"),
    ("नमस्ते दुनिया", "दुनिया"),
]
NOT_FOUND = [
    ("命名实体识别", "名体"),
    ("模型训练", "练模"),
    ("fine-tuned bert-large", "ber"),
    ("learning rate", "rate learning"),
    ("a 模 b 型", "模型"),
    ("🚀", "🎉"),
]


@pytest.mark.parametrize("full_text", [True, False])
def test_what_is_found_and_what_is_not(full_text: bool) -> None:
    texts = [text for text, _ in [*FOUND, *NOT_FOUND]]
    db = catalogue([Sample(no, message=f"{text}\n") for no, text in enumerate(texts, 1)], full_text=full_text)
    for no, (text, wanted) in enumerate([*FOUND, *NOT_FOUND], 1):
        assert (no in ask(db, Words(wanted))) == (no <= len(FOUND)), (text, wanted)
    db.close()


@given(DENSE, DENSE)
def test_a_run_of_characters_is_found_where_it_stands_and_nowhere_else(text: str, wanted: str) -> None:
    db = catalogue([Sample(1, message=f"a {text} b\n")])
    assert bool(ask(db, Words(wanted))) == (wanted in text)
    db.close()


@given(st.text(max_size=20))
def test_any_text_has_words_or_none(text: str) -> None:
    found = phrase(text)
    if found is not None:
        assert all(found.words)
        assert not any(set(word) & set("\"* '") for word in found.words)


def test_a_card_is_looked_through_as_well_as_the_message() -> None:
    db = catalogue([Sample(1, message="warmup\n", card="# 模型 card"), Sample(2, message="模型\n"), Sample(3)])
    assert ask(db, Words("模型")) == [2, 1]
    db.close()
