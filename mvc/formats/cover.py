"""From tensors found anywhere in a file to a layout that covers it exactly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mvc.errors import ParseError
from mvc.formats.base import Layout, Segment, SegmentKind, Tensor
from mvc.formats.limits import MAX_DIMENSION, MAX_DIMENSIONS, MAX_NAME, MAX_NAMES, MAX_TENSORS

_DTYPE = re.compile(r"[A-Za-z0-9_]{1,32}")


def cover(format_name: str, size: int, runs: Iterable[Segment], *, gap: SegmentKind = "header") -> Layout:
    """The layout of `size` bytes in which the gaps between `runs`, in any order, are segments of kind `gap`.

    Raises ParseError when runs overlap or reach outside of the file, when a tensor breaks a limit, or
    when two have the same name. Runs of no bytes stay if they are tensors, else they are left out.
    """
    ordered = sorted(runs, key=lambda run: (run.offset, run.length))
    check_tensors([run.tensor for run in ordered if run.tensor is not None])
    segments: list[Segment] = []
    position = 0
    for run in ordered:
        if run.length < 0 or run.offset < position:
            raise ParseError(f"{format_name}: segments overlap at byte {run.offset}")
        if run.offset > position:
            segments.append(Segment(gap, position, run.offset - position))
        if run.length or run.tensor is not None:
            segments.append(run)
        position = run.offset + run.length
        if position > size:
            raise ParseError(f"{format_name}: a segment ends at byte {position} of {size}")
    if position < size:
        segments.append(Segment(gap, position, size - position))
    return Layout(format_name, tuple(segments))


def check_tensors(tensors: Sequence[Tensor]) -> None:
    """Raises ParseError when there are too many, a name repeats, or one has a name, dtype or shape out of bounds."""
    if len(tensors) > MAX_TENSORS:
        raise ParseError(f"more than {MAX_TENSORS} tensors")
    seen: set[str] = set()
    characters = 0
    for tensor in tensors:
        _check_tensor(tensor)
        characters += len(tensor.name)
        if tensor.name in seen:
            raise ParseError(f"two tensors are named {tensor.name[:80]!r}")
        seen.add(tensor.name)
    if characters > MAX_NAMES:
        raise ParseError("the tensors' names are too long")


def _check_tensor(tensor: Tensor) -> None:
    if not 0 < len(tensor.name) <= MAX_NAME or not _is_text(tensor.name):
        raise ParseError(f"a tensor is named {tensor.name[:80]!r}")
    if not _DTYPE.fullmatch(tensor.dtype):
        raise ParseError(f"a tensor has the dtype {tensor.dtype[:80]!r}")
    if len(tensor.shape) > MAX_DIMENSIONS or not all(0 <= dim <= MAX_DIMENSION for dim in tensor.shape):
        raise ParseError(f"the shape of {tensor.name[:80]!r} is out of bounds")


def _is_text(name: str) -> bool:
    """Whether it has no lone surrogates (which JSON can spell, and UTF-8 cannot)."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def unique_names(names: Iterable[str]) -> list[str]:
    """The names, a repeated one with "#2", "#3", ... behind it."""
    taken: set[str] = set()
    counts: dict[str, int] = {}
    result = []
    for name in names:
        candidate = name
        while candidate in taken:
            counts[name] = counts.get(name, 1) + 1
            candidate = f"{name}#{counts[name]}"
        taken.add(candidate)
        result.append(candidate)
    return result
