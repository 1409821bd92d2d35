"""Metadata as hypothesis makes it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), TEXT)
LEAVES = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.just({})), max_leaves=6)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters=".@"), max_size=12)


def nested(depth: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """Groups in groups, with any names and leaves."""
    inner: Any = LEAVES
    for _ in range(depth):
        inner = st.one_of(LEAVES, st.dictionaries(NAMES, inner, max_size=4))
    return st.dictionaries(NAMES, inner, max_size=5)


def same(one: Any, two: Any) -> bool:
    """Equal, NaN to NaN, and not 1 to 1.0 or true."""
    return repr(one) == repr(two)
