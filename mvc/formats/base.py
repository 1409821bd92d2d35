"""What a parser of a model format tells: where the tensors of a file lie. No bytes are moved here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

SegmentKind = Literal["header", "tensor", "opaque"]


class ReadAt(Protocol):
    """Reads a file at a position: `read_at(offset, length)` gives up to `length` bytes (fewer only at the end)."""

    def __call__(self, offset: int, length: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as its file declares it.

    `name` has what depends on the file's own name stripped. `dtype` is spelt as in safetensors
    ("F64 F32 F16 BF16 F8_E4M3 F8_E5M2 I64 I32 I16 I8 U64 U32 U16 U8 BOOL C64 C128 ..."), or the
    format's own name in its own spelling where safetensors has none ("Q4_K"). `shape` is in the
    order of the framework (slowest dimension first).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of the file's bytes: `length` bytes from `offset`."""

    kind: SegmentKind
    offset: int
    length: int
    tensor: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """A file's segments in the order of their offsets. They cover the file exactly, without gap or overlap."""

    format: str
    segments: tuple[Segment, ...]


Parser = Callable[[ReadAt, int, str], Layout]
"""A parser: (read_at, size of the file in bytes, the file's name) to its Layout.

Raises `mvc.errors.ParseError` for anything that does not hold together; the file is then
chunked as opaque bytes. It must use bounded memory whatever the file claims."""
