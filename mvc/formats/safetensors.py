"""safetensors: a length, a JSON header, the tensors' bytes.

Source: https://github.com/huggingface/safetensors#format and `safetensors/src/tensor.rs` there.
More lenient than the reference where that harms nobody: bytes that no tensor claims are opaque
segments, a dtype that is not known here passes under its own name.
"""

from __future__ import annotations

import json
import re
from typing import Any

from mvc.errors import ParseError
from mvc.formats.base import Layout, ReadAt, Segment, Tensor
from mvc.formats.cover import cover
from mvc.formats.cursor import read_exactly
from mvc.formats.dtypes import byte_length
from mvc.formats.limits import MAX_DIMENSIONS, MAX_HEADER, MAX_TENSORS, Budget

_PREFIX = 8
_ENTRY = 4096
"""Characters that the entry of one tensor takes at the most: three short fields."""

_METADATA = 65_536
"""Entries that `__metadata__` has at the most."""

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def parse(read_at: ReadAt, size: int, name: str) -> Layout:
    """The layout of a safetensors file."""
    length = int.from_bytes(read_exactly(read_at, 0, _PREFIX, "safetensors"), "little")
    if not 2 <= length <= min(size - _PREFIX, MAX_HEADER):
        raise ParseError(f"safetensors: a header of {length} bytes in a file of {size}")
    start = _PREFIX + length
    try:
        text = read_exactly(read_at, _PREFIX, length, "safetensors").decode()
    except UnicodeDecodeError as error:
        raise ParseError("safetensors: the header is not UTF-8") from error
    runs = [Segment("header", 0, start), *_tensors(text, start)]
    return cover("safetensors", size, runs, gap="opaque")


def _tensors(text: str, start: int) -> list[Segment]:
    """The tensors of the header's JSON. Decoded entry by entry: a hostile header could else fill the memory."""
    found: list[Segment] = []
    metadata = False
    position = _expect(text, 0, "{")
    if text.startswith("}", position):
        return found
    while True:
        key, position = _string(text, position)
        position = _expect(text, position, ":")
        if key == "__metadata__":
            if metadata:
                raise ParseError("safetensors: two __metadata__ entries")
            metadata = True
            position = _skip_metadata(text, position)
        elif len(found) == MAX_TENSORS:
            raise ParseError(f"safetensors: more than {MAX_TENSORS} tensors")
        else:
            end = text.find("}", position, position + _ENTRY) + 1
            found.append(_tensor(key, text[position:end], start))
            position = _SPACE.match(text, end).end()  # type: ignore[union-attr]
        if text.startswith("}", position):
            break
        position = _expect(text, position, ",")
    if _SPACE.match(text, position + 1).end() != len(text):  # type: ignore[union-attr]
        raise ParseError("safetensors: something follows the header's JSON")
    return found


def _expect(text: str, position: int, character: str) -> int:
    """The position behind `character` and the spaces that follow it."""
    if not text.startswith(character, position):
        raise ParseError(f"safetensors: no {character!r} at character {position} of the header")
    return _SPACE.match(text, position + 1).end()  # type: ignore[union-attr]


def _string(text: str, position: int) -> tuple[str, int]:
    """A JSON string, and the position behind it and the spaces that follow."""
    if not text.startswith('"', position):
        raise ParseError(f"safetensors: no name at character {position} of the header")
    try:
        value, end = _DECODER.raw_decode(text, position)
    except ValueError as error:
        raise ParseError(f"safetensors: {error}") from error
    return value, _SPACE.match(text, end).end()  # type: ignore[union-attr]


def _skip_metadata(text: str, position: int) -> int:
    """The position behind an object of strings."""
    budget = Budget(_METADATA, "metadata entries")
    position = _expect(text, position, "{")
    while not text.startswith("}", position):
        budget.spend()
        _, position = _string(text, position)
        _, position = _string(text, _expect(text, position, ":"))
        if text.startswith("}", position):
            break
        position = _expect(text, position, ",")
    return _expect(text, position, "}")


def _tensor(name: str, entry: str, start: int) -> Segment:
    try:
        fields = json.loads(entry, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError) as error:
        raise ParseError(f"safetensors: the entry of {name[:80]!r}: {error}") from error
    if not isinstance(fields, dict):
        raise ParseError(f"safetensors: the entry of {name[:80]!r} is not an object")
    dtype, shape, offsets = fields.get("dtype"), _numbers(fields.get("shape")), _numbers(fields.get("data_offsets"))
    if not isinstance(dtype, str) or shape is None or offsets is None or len(offsets) != 2:
        raise ParseError(f"safetensors: the entry of {name[:80]!r} lacks a field, or has a wrong one")
    length = offsets[1] - offsets[0]
    if length < 0 or byte_length(dtype, shape) not in (None, length):
        raise ParseError(f"safetensors: {name[:80]!r} is said to take {length} bytes")
    return Segment("tensor", start + offsets[0], length, Tensor(name, dtype, shape))


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field stands there twice")
    return fields


def _numbers(value: object) -> tuple[int, ...] | None:
    """A short list of whole numbers from 0, or None."""
    if not isinstance(value, list) or len(value) > MAX_DIMENSIONS:
        return None
    return tuple(value) if all(type(item) is int and item >= 0 for item in value) else None
