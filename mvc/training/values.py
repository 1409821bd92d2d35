"""What training code hands over, as the values that are recorded."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

from mvc.errors import UsageError
from mvc.ops.runfiles import MAX_STEP

_MOST_NAME = 500


def number(name: str, value: Any) -> int | float:
    """A metric as int or float: of a number, or what has one in it (numpy's, torch's, jax's scalars).

    Raises UsageError for all else. A tensor on an accelerator makes the caller wait for it.
    """
    kind = type(value)
    if kind is float or kind is int:
        return _fitting(name, value)
    if kind is bool:
        return int(value)
    size = getattr(value, "size", None)
    count = size() if callable(size) else size
    if isinstance(count, tuple):  # torch's torch.Size
        count = math.prod(count)
    if count is not None and count != 1:
        raise UsageError(f"'{name}' has {count} values, and a metric has one: log its mean, or each by a name")
    item = getattr(value, "item", None)
    if callable(item):
        value = item()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return _fitting(name, int(value))
    if isinstance(value, float) or (hasattr(value, "__float__") and not isinstance(value, (str, bytes))):
        return float(value)
    raise UsageError(f"'{name}' is {_shown(value)}, and a metric is a number", hint="words go to params= or tags=")


def numbers(values: Mapping[str, Any]) -> dict[str, int | float]:
    """Metrics by name. Groups in groups get dotted names. Raises UsageError."""
    found: dict[str, int | float] = {}
    for name, value in values.items():
        if not isinstance(name, str) or not name or len(name) > _MOST_NAME:
            raise UsageError(f"a metric needs a name, and {_shown(name)} is none")
        if isinstance(value, Mapping):
            for inner, each in numbers(value).items():
                found[f"{name}.{inner}"] = each
        else:
            found[name] = number(name, value)
    return found


def whole_step(step: Any) -> int:
    """A step as int: also numpy's, and a tensor of one. Raises UsageError."""
    try:
        found = operator.index(step.item() if hasattr(step, "item") else step)
    except (TypeError, ValueError, RuntimeError):
        found = -1
    if isinstance(step, bool) or not 0 <= found <= MAX_STEP:
        raise UsageError(f"a step is a whole number from 0 on, and {_shown(step)} is none")
    return found


def _fitting(name: str, value: int | float) -> int | float:
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise UsageError(f"'{name}' is a whole number of more than 64 bits")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return (text if len(text) <= 40 else f"{text[:37]}...").replace("\n", " ") + f" ({type(value).__name__})"
