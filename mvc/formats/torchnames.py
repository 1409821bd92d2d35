"""The dotted names of the tensors in what a pickle would build."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mvc.formats.limits import MAX_NAME, MAX_NAMES, MAX_TENSORS, Budget
from mvc.formats.pickles import Inert, Pairs, View

_TRANSPARENT = frozenset(("_parameters", "_buffers", "_modules"))
"""Where a pickled `torch.nn.Module` keeps what its `state_dict` names without them."""


def named_views(root: Any) -> list[tuple[str, View]]:
    """(name, tensor) of each tensor under `root`, in the pickle's order; a name may be "" or repeat.

    `{"optimizer": {"state": {0: {"exp_avg": t}}}}` gives `optimizer.state.0.exp_avg`; items of lists and
    tuples are named by their number. A container is entered once, so that shared and circular
    ones end. A name that grows longer than MAX_NAME is cut there.
    Raises ParseError when there are too many tensors, or their names are too long together.
    """
    tensors, characters = Budget(MAX_TENSORS, "tensors"), Budget(MAX_NAMES, "characters in names")
    found: list[tuple[str, View]] = []
    entered: set[int] = set()
    waiting: list[tuple[str, Any, Any]] = [("", None, root)]
    while waiting:
        prefix, key, value = waiting.pop()
        if isinstance(value, View):
            name = _join(prefix, key)
            tensors.spend()
            characters.spend(len(name))
            found.append((name, value))
        elif id(value) not in entered:
            entered.add(id(value))
            path = _join(prefix, key)
            children = [(path, key, child) for key, child in _children(value) if isinstance(child, _NODES)]
            waiting.extend(reversed(children))
    return found


_NODES = (View, Pairs, Inert, list, tuple)


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    """(key, child) of a container; a key of None adds nothing to the name."""
    if isinstance(value, Inert):
        yield from _children_of_object(value)
    elif isinstance(value, Pairs):
        # An odd number of parts is no dict; the last part is then left out.
        yield from zip(value[::2], value[1::2], strict=False)
    elif isinstance(value, list | tuple):
        yield from enumerate(value)


def _children_of_object(value: Inert) -> Iterator[tuple[Any, Any]]:
    """The parts of an object: its state first, as it names its tensors best."""
    # A class with __slots__ has the state (its dict or None, its slots).
    states = value.state if type(value.state) is tuple else (value.state,)
    for state in states:
        if isinstance(state, Pairs):
            for key, child in zip(state[::2], state[1::2], strict=False):
                yield (None if isinstance(key, str) and key in _TRANSPARENT else key), child
        else:
            yield None, state
    for part in value.parts:
        yield None, part


def _join(prefix: str, key: Any) -> str:
    if key is None or len(prefix) >= MAX_NAME:
        return prefix
    if isinstance(key, str):
        text = key
    elif isinstance(key, bool | int | float):
        text = str(key)
    elif isinstance(key, tuple):
        text = ",".join(str(part) for part in key if isinstance(part, str | int))
    else:
        text = "?"
    return (f"{prefix}.{text}" if prefix else text)[:MAX_NAME]
