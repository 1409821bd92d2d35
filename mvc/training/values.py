"""What training code hands over, as the values that are recorded."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from mvc.errors import UsageError
from mvc.metadata.values import split_name
from mvc.ops.runfiles import MAX_STEP

_MOST_NAME = 500
_MOST_METRICS = 5000
_DEEPEST = 20


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
        if not isinstance(name, str) or not name or len(name) > _MOST_NAME or not name.isprintable():
            raise UsageError(f"a metric needs a name, and {_shown(name)} is none")
        if isinstance(value, Mapping):
            for inner, each in numbers(value).items():
                found[f"{name}.{inner}"] = each
        else:
            found[name] = number(name, value)
    if len(found) > _MOST_METRICS:
        raise UsageError(
            f"{len(found):,} metrics at once, and {_MOST_METRICS:,} is the most", hint="files may hold more"
        )
    return found


class Names:
    """The names of a run's metrics, such that no value is a group as well: files hold dotted names in groups."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._values: set[str] = set()
        self._groups: set[str] = set()
        self.renamed: list[str] = []
        """What to tell: names that are kept under another one."""

    def fit(self, values: dict[str, int | float]) -> dict[str, int | float]:
        """The values by the names that they are kept under: their own but for `loss.val` beside a `loss`."""
        if values.keys() <= self._known.keys():
            return values if not self.renamed else {self._known[name]: value for name, value in values.items()}
        for name in values:
            if name not in self._known:
                self._known[name] = self._take(name)
        return {self._known[name]: value for name, value in values.items()}

    def _take(self, name: str) -> str:
        parts = split_name(name)
        above = {".".join(parts[:count]) for count in range(1, len(parts))}
        kept = name
        if not all(parts) or name in self._groups or above & self._values:
            kept = name.replace(".", "/") if "." in name else f"{name}/value"
            self.renamed.append(f"the metric '{name}' is kept as '{kept}', as a name cannot be a value and a group")
            above = set()
        self._values.add(kept)
        self._groups |= above
        return kept


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Params and the like as what files can hold: scalars and text, in groups and lists; all else by its `str`."""
    return {_text(str(name)): _plain(value, 0) for name, value in values.items()}


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else str(value)[:_MOST_NAME]
    if isinstance(value, str):
        return _text(value)
    if depth > _DEEPEST:
        return _text(str(value))
    if isinstance(value, Mapping):
        return {_text(str(name)): _plain(each, depth + 1) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each, depth + 1) for each in value]
    if isinstance(value, Enum):
        return _plain(value.value, depth + 1)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name), depth + 1) for one in fields(value)}
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return _plain(value.item(), depth + 1)
    return _text(str(value))


def _text(text: str) -> str:
    """Without halves of characters, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


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
