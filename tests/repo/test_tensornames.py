"""Names under which a tensor is found again."""

from __future__ import annotations

import pytest

from mvc.formats.base import Tensor
from mvc.repo.tensornames import bare_name, name_keys, same_rows


@pytest.mark.parametrize(
    "name",
    [
        "encoder.weight",
        "module.encoder.weight",
        "_orig_mod.module.encoder.weight",
        "base_model.model.encoder.weight",
        "encoder._orig_mod.weight",
    ],
)
def test_wrappers_are_left_out(name: str) -> None:
    assert bare_name(name) == "encoder.weight"


def test_keys_go_from_the_whole_name_to_shorter_ones() -> None:
    assert name_keys("model.bert.encoder.weight") == [
        "model.bert.encoder.weight",
        "bert.encoder.weight",
        "encoder.weight",
    ]


def test_a_key_never_is_a_bare_word() -> None:
    assert name_keys("head.weight") == ["head.weight"]
    assert name_keys("weight") == ["weight"]


def test_only_the_number_of_rows_may_differ() -> None:
    one = Tensor("a", "F32", (30522, 384))
    assert same_rows(one, Tensor("a", "F32", (30586, 384)))
    assert not same_rows(one, Tensor("a", "F32", (30522, 385)))
    assert not same_rows(one, Tensor("a", "F32", (30522 * 384,)))
