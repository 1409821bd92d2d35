"""Params and metrics as they would be typed: "lr=1e-05"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mvc.lazy import load

_FLOW = "mvc.metadata.canonical:flow"
"""Loaded for lists and the like."""
_NUMBERS = frozenset((int, float))


def typed(value: Any) -> str:
    """A value as it would be typed. (YAML wants 1.0e-05 and .nan, people type 1e-05 and nan.)"""
    kind = type(value)
    if kind in _NUMBERS:
        return repr(value)
    if kind is str:
        return str(value)
    text: str = load(_FLOW)(value)
    return text


def words(flat: Mapping[str, Any]) -> list[str]:
    """ "name=value" of each. The names may hold anything, and so may values: see to it before it is shown."""
    # Numbers first, as nearly all are: a long log has a hundred thousand of them.
    return [f"{k}={v!r}" if type(v) in _NUMBERS else f"{k}={typed(v)}" for k, v in flat.items()]
