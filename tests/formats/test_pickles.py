from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.errors import ParseError
from mvc.formats.limits import MAX_NAME, Budget
from mvc.formats.pickles import Global, Inert, Pairs, walk
from mvc.formats.torchnames import named_views
from tests.formats.making import pickled_tensor


def follow(data: bytes, opcodes: int = 100_000) -> Any:
    return walk(data, Budget(opcodes, "pickle opcodes"))


def plain(value: Any) -> Any:
    """The value with dicts as their Pairs."""
    if isinstance(value, dict):
        return [plain(part) for pair in value.items() for part in pair]
    if isinstance(value, list | tuple):
        return type(value)(plain(part) for part in value)
    return value


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner, inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.integers(0, 5))
def test_plain_values_are_themselves(value: Any, protocol: int) -> None:
    assert follow(pickle.dumps(value, protocol)) == plain(value)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_bytes_are_themselves(protocol: int) -> None:
    assert follow(pickle.dumps([b"abc", bytes(300)], protocol)) == [b"abc", bytes(300)]


@pytest.mark.parametrize("protocol", range(6))
def test_dicts_keep_their_order_and_their_keys(protocol: int) -> None:
    assert follow(pickle.dumps(OrderedDict([("b", 1), ("a", 2)]), protocol)) == ["b", 1, "a", 2]
    assert follow(pickle.dumps({("x", 1): 2, 3: 4}, protocol)) == [("x", 1), 2, 3, 4]


class Attack:
    """What a malicious checkpoint does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_called(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "pwned"
    data = pickle.dumps({"w": Attack(target)}, protocol)
    found = follow(data)
    assert isinstance(found, Pairs)
    assert isinstance(found[1], Inert)
    assert not target.exists()
    pickle.loads(data)
    assert target.exists()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"junk", id="junk"),
        pytest.param(b"N", id="no-stop"),
        pytest.param(b".", id="nothing"),
        pytest.param(b"h\0.", id="empty-memo"),
        pytest.param(b"q\0.", id="memo-of-nothing"),
        pytest.param(b"t.", id="no-mark"),
        pytest.param(b"R.", id="call-of-nothing"),
        pytest.param(b"\x87.", id="tuple-of-nothing"),
        pytest.param(b"NN\x93.", id="class-of-no-name"),
        pytest.param(b"X\xff\xff\xff\x7f.", id="2-GB-string"),
        pytest.param(b"\x8d" + b"\xff" * 8 + b".", id="exabytes"),
        pytest.param(b"\x8b\xff\xff\xff\x7f.", id="2-GB-number"),
        pytest.param(b"I" + b"9" * 10_000 + b"\n.", id="endless-number"),
        pytest.param(b"]" * 200_000, id="opcodes"),
        pytest.param(b"cos\nsystem", id="half-a-name"),
    ],
)
def test_what_cannot_be_followed(data: bytes) -> None:
    with pytest.raises(ParseError):
        follow(data)


@pytest.mark.parametrize(
    "data", [b"NNa.", b"NNNs.", b"NNb.", b"N(u.", b"(0N.", b"Pid\n.", b"NQ.", b"\x82\1.", b"\x97\x98.", b"NNR."]
)
def test_what_makes_no_sense_does_no_harm(data: bytes) -> None:
    assert named_views(follow(data)) == []


def test_old_style_instances() -> None:
    found = follow(b"(ios\nsystem\n.")
    assert (found.made_by, found.parts) == (Global("os", "system"), [()])


def test_deep_nesting_is_followed_without_recursion() -> None:
    deep = b"\x80\x02" + b"]" * 30_000 + pickled_tensor("0", 1, (1,)) + b"a" * 30_000 + b"."
    (name, _), *rest = named_views(follow(deep, 200_000))
    assert not rest
    assert name.startswith("0.0.0")
    assert len(name) <= MAX_NAME
    keys = b"\x80\x02}" + b")" + b"\x85" * 50_000 + b"Ns."
    assert named_views(follow(keys)) == []


def test_shared_and_circular_containers_end() -> None:
    doubled = b"\x80\x02" + pickled_tensor("0", 1, (1,)) + b"\x85" + b"2\x86" * 64 + b"."
    assert len(named_views(follow(doubled))) == 1
    circle = b"\x80\x02]q\0h\0a" + pickled_tensor("0", 1, (1,)) + b"a."
    assert [name for name, _ in named_views(follow(circle))] == ["1"]


def test_tensors_are_found_in_what_is_not_known() -> None:
    """`mine.Model(w)` with a state, and a tensor subclass."""
    tensor = pickled_tensor("0", 1, (1,))
    made = b"\x80\x02cmine\nModel\n" + tensor + b"\x85\x81}X\1\0\0\0s" + tensor + b"sb."
    assert [name for name, _ in named_views(follow(made))] == ["s", "0"]
    wrapped = tensor.partition(b"ctorch._utils\n_rebuild_tensor_v2\n")[2].removesuffix(b"R")
    subclass = (
        b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\ncmine\nT\n" + wrapped + b"}tR."
    )
    assert [view.shape for _, view in named_views(follow(b"\x80\x02" + subclass))] == [(1,)]
