"""Where the arrays lie that joblib puts between the opcodes of a pickle (`joblib/numpy_pickle.py`).

An opcode BUILD that gives a NumpyArrayWrapper its state is followed by the array: by a byte that tells how many
bytes of padding come, these, and the numbers; or, where the array holds objects, by a pickle of its own.
"""

from __future__ import annotations

import re
from math import prod
from typing import Any, BinaryIO

from mvc.errors import ParseError
from mvc.formats.pickles import Global, Inert, Machine, Pairs

JOBLIB = b"NumpyArrayWrapper"
_WRAPPER = Global("joblib.numpy_pickle", "NumpyArrayWrapper")
_DTYPE = re.compile(r"[<>=|]?([biufcSUVOmM])(\d{1,9})")
_LARGEST = 2**62
_HAS_OBJECT = 1
"""numpy's NPY_ITEM_HASOBJECT."""


class Arrays:
    """Follows the opcodes of a file of joblib's, and takes it past each array."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._machines = [Machine()]

    def step(self, name: str, argument: Any) -> bool:
        """Follow an opcode. Returns whether a pickle begins here, inside of this one.

        Raises ParseError for what does not hold together, and what the machine raises.
        """
        machine = self._machines[-1]
        machine.step(name, argument)
        if name == "STOP":
            self._machines.pop()
            if not self._machines:
                self._machines.append(Machine())
        if name != "BUILD" or not _is_wrapper(machine.stack[-1]):
            return False
        state = _pairs(machine.stack[-1].state)
        item = _item_size(state.get("dtype"))
        if item is None:
            self._machines.append(Machine())
            return True
        shape = state.get("shape")
        if not isinstance(shape, tuple) or not all(isinstance(one, int) and 0 <= one < _LARGEST for one in shape):
            raise ParseError("joblib: an array without a shape")
        if state.get("numpy_array_alignment_bytes") is not None:
            self._skip(int.from_bytes(self._file.read(1), "little"))
        self._skip(prod(shape) * item)
        return False

    def _skip(self, length: int) -> None:
        if length >= _LARGEST:
            raise ParseError("joblib: an array of no size")
        self._file.seek(length, 1)


def _is_wrapper(value: Any) -> bool:
    return isinstance(value, Inert) and value.made_by == _WRAPPER


def _pairs(state: Any) -> dict[str, Any]:
    if not isinstance(state, Pairs):
        raise ParseError("joblib: an array without a state")
    return {key: value for key, value in zip(state[::2], state[1::2], strict=False) if isinstance(key, str)}


def _item_size(dtype: Any) -> int | None:
    """Bytes of an element; None for objects, and for records that hold some. Raises ParseError for what is no dtype
    that could be told."""
    if isinstance(dtype, Inert) and dtype.made_by == Global("numpy", "dtype") and dtype.parts:
        arguments = dtype.parts[0]
        text = arguments[0] if isinstance(arguments, tuple) and arguments else None
        found = _DTYPE.fullmatch(text) if isinstance(text, str) else None
        if found is not None:
            size = int(found[2]) * (4 if found[1] == "U" else 1)
            return None if found[1] == "O" or (found[1] in "SUV" and _has_objects(dtype.state, size)) else size
    raise ParseError("joblib: an array without a dtype")


def _has_objects(state: Any, size: int) -> bool:
    """Does a dtype of any size hold objects? `state` is what numpy's `dtype.__setstate__` takes: version, byte order,
    subarray, names, fields, bytes of an element, alignment, flags. Raises ParseError where it and `size` are at odds,
    or flags and fields: the array would end elsewhere than is thought here."""
    if state is None:
        return False
    if not isinstance(state, tuple) or len(state) < 8 or state[5] != size or not isinstance(state[7], int):
        raise ParseError("joblib: a dtype that is at odds with itself")
    objects = bool(state[7] & _HAS_OBJECT)
    if objects != _objects_inside(state):
        raise ParseError("joblib: a dtype that is at odds with its fields")
    return objects


def _objects_inside(state: tuple[Any, ...]) -> bool:
    """Is there a dtype of objects among the fields, theirs, and what subarrays are made of?"""
    open_: list[Any] = [state]
    seen: set[int] = set()
    while open_:
        one = open_.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Inert):
            text = one.parts[0] if one.parts else None
            found = _DTYPE.fullmatch(str(text[0])) if isinstance(text, tuple) and text else None
            if found is None or found[1] == "O":
                return True
            open_.append(one.state)
        elif isinstance(one, tuple | list):
            open_ += one
    return False
