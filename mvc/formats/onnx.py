"""ONNX: a protobuf message, its tensors inline or in other files beside it.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and `docs/ExternalData.md` there. Only
the fields that lead to tensors are looked at: the initializers of the graph and of graphs within
its nodes, and large constants in nodes' attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mvc.errors import ParseError
from mvc.formats.base import Layout, ReadAt, Segment, Tensor
from mvc.formats.cover import cover, unique_names
from mvc.formats.cursor import Cursor
from mvc.formats.dtypes import byte_length
from mvc.formats.limits import MAX_DIMENSION, MAX_DIMENSIONS, MAX_FIELDS, MAX_GRAPHS, MAX_NAME, MAX_TENSORS, Budget
from mvc.formats.protobuf import LEN, Field, fields, numbers, text

SMALLEST_INITIALIZER = 64
"""Smaller initializers stay in the bytes around them: scalars, axes, shapes, of which a graph may have
thousands. A segment of its own would cost several times their size."""

SMALLEST_CONSTANT = 4096
"""Constants in nodes are part of the graph; smaller nodes are not even looked into."""

_MAX_LOCATION = 4096

# ModelProto
_GRAPH, _TRAINING, _FUNCTIONS = 7, 20, 25
# GraphProto
_NODE, _INITIALIZER, _SPARSE_INITIALIZER = 1, 5, 15
# NodeProto, AttributeProto
_OUTPUT, _NODE_NAME, _ATTRIBUTE = 2, 3, 5
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS = 5, 6, 10, 11
# FunctionProto, SparseTensorProto
_FUNCTION_NODE = 7
_VALUES, _INDICES = 1, 2
# TensorProto
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA, _EXTERNAL, _LOCATION = 1, 2, 8, 9, 13, 14
_FLOATS, _DOUBLES = 4, 10

_DTYPES = {
    1: "F32",
    2: "U8",
    3: "I8",
    4: "U16",
    5: "I16",
    6: "I32",
    7: "I64",
    9: "BOOL",
    10: "F16",
    11: "F64",
    12: "U32",
    13: "U64",
    14: "C64",
    15: "C128",
    16: "BF16",
    17: "F8_E4M3",
    18: "F8_E4M3FNUZ",
    19: "F8_E5M2",
    20: "F8_E5M2FNUZ",
    21: "U4",
    22: "I4",
    23: "F4",
    24: "F8_E8M0",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A tensor and where its bytes lie: in this file, or in the one that `location` names."""

    tensor: Tensor
    location: str | None
    offset: int
    length: int


def parse(read_at: ReadAt, size: int, name: str) -> Layout:
    """The layout of an .onnx file. What lies in other files is theirs."""
    inline = [found for found in tensors(read_at, size) if found.location is None]
    return cover("onnx", size, [Segment("tensor", found.offset, found.length, found.tensor) for found in inline])


def tensors(read_at: ReadAt, size: int) -> list[Found]:
    """The tensors of an .onnx file, inline and external, with names made unique. Raises ParseError."""
    walker = _Walker(Cursor(read_at, 0, size, "ONNX"))
    found = list(walker.model(size))
    if not walker.graphs:
        raise ParseError("ONNX: no graph")
    names = unique_names([each.tensor.name[: MAX_NAME - 8] or "tensor" for each in found])
    return [
        Found(Tensor(name, each.tensor.dtype, each.tensor.shape), each.location, each.offset, each.length)
        for name, each in zip(names, found, strict=True)
    ]


@dataclass(slots=True)
class _Draft:
    """What was seen of a TensorProto. `data`: (field, start, length) of each run of its numbers."""

    name: str
    dims: list[int]
    data_type: int
    data: list[tuple[int, int, int]]
    external: dict[str, str]
    elsewhere: bool


class _Walker:
    """Walks the messages in the order of the file, one cursor for all."""

    __slots__ = ("_budget", "_cursor", "_tensors", "graphs")

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._budget = Budget(MAX_FIELDS, "protobuf fields")
        self._tensors = Budget(MAX_TENSORS, "tensors")
        self.graphs = 0

    def _fields(self, end: int) -> Iterator[Field]:
        return fields(self._cursor, end, self._budget)

    def model(self, end: int) -> Iterator[Found]:
        for field in self._fields(end):
            if field.wire != LEN:
                continue
            if field.number == _GRAPH:
                yield from self._graph(field.end, "", 1)
            elif field.number == _TRAINING:
                for part in self._fields(field.end):
                    if part.wire == LEN and part.number in (1, 2):
                        yield from self._graph(part.end, "", 1)
            elif field.number == _FUNCTIONS and field.length >= SMALLEST_CONSTANT:
                for part in self._fields(field.end):
                    if part.wire == LEN and part.number == _FUNCTION_NODE and part.length >= SMALLEST_CONSTANT:
                        yield from self._node(part.end, "", 1)

    def _graph(self, end: int, prefix: str, depth: int) -> Iterator[Found]:
        if depth > MAX_GRAPHS:
            raise ParseError("ONNX: graphs nested too deeply")
        self.graphs += 1
        for field in self._fields(end):
            if field.wire != LEN:
                continue
            if field.number == _INITIALIZER:
                yield from self._tensor(field.end, prefix, "", SMALLEST_INITIALIZER)
            elif field.number == _SPARSE_INITIALIZER:
                for part in self._fields(field.end):
                    if part.wire == LEN and part.number in (_VALUES, _INDICES):
                        suffix = ".indices" if part.number == _INDICES else ""
                        yield from self._tensor(part.end, prefix, suffix, SMALLEST_INITIALIZER)
            elif field.number == _NODE and field.length >= SMALLEST_CONSTANT:
                yield from self._node(field.end, prefix, depth)

    def _node(self, end: int, prefix: str, depth: int) -> Iterator[Found]:
        """The constants of a node, named by its first output, or else by the node."""
        output = name = ""
        for field in self._fields(end):
            if field.number == _OUTPUT and not output:
                output = text(self._cursor, field, MAX_NAME)
            elif field.number == _NODE_NAME and not name:
                name = text(self._cursor, field, MAX_NAME)
            elif field.number == _ATTRIBUTE and field.wire == LEN and field.length >= SMALLEST_CONSTANT:
                yield from self._attribute(field.end, f"{prefix}{output or name or 'node'}", depth)

    def _attribute(self, end: int, owner: str, depth: int) -> Iterator[Found]:
        for field in self._fields(end):
            if field.wire != LEN:
                continue
            if field.number in (_TENSOR, _TENSORS):
                yield from self._tensor(field.end, owner, "", SMALLEST_CONSTANT, named=False)
            elif field.number in (_SUBGRAPH, _SUBGRAPHS):
                yield from self._graph(field.end, f"{owner}/", depth + 1)

    def _tensor(self, end: int, prefix: str, suffix: str, smallest: int, *, named: bool = True) -> Iterator[Found]:
        draft = self._draft(end)
        name = f"{prefix}{draft.name if named else ''}{suffix}"[:MAX_NAME]
        if len(draft.dims) > MAX_DIMENSIONS or any(dim > MAX_DIMENSION for dim in draft.dims):
            raise ParseError(f"ONNX: the shape of {name[:80]!r} is out of bounds")
        dtype = _DTYPES.get(draft.data_type)
        if dtype is None:
            return
        tensor = Tensor(name, dtype, tuple(draft.dims))
        found = _outside(tensor, draft.external) if draft.elsewhere else _inside(tensor, draft.data)
        if found is not None and found.length >= smallest:
            self._tensors.spend()
            yield found

    def _draft(self, end: int) -> _Draft:
        draft = _Draft("", [], 0, [], {}, False)
        for field in self._fields(end):
            if field.number == _DIMS:
                draft.dims += numbers(self._cursor, field, MAX_DIMENSIONS)
            elif field.number == _DATA_TYPE:
                draft.data_type = field.value
            elif field.number == _NAME:
                draft.name = text(self._cursor, field, MAX_NAME)
            elif field.number in (_RAW_DATA, _FLOATS, _DOUBLES):
                draft.data.append((field.number, field.start, field.length))
            elif field.number == _EXTERNAL and field.wire == LEN:
                self._external(field.end, draft.external)
            elif field.number == _LOCATION:
                draft.elsewhere = field.value == 1
            if len(draft.dims) > MAX_DIMENSIONS:
                raise ParseError("ONNX: a tensor of too many dimensions")
        return draft

    def _external(self, end: int, into: dict[str, str]) -> None:
        """A StringStringEntryProto."""
        key = value = ""
        for field in self._fields(end):
            if field.number == 1:
                key = text(self._cursor, field, _MAX_LOCATION)
            elif field.number == 2:
                value = text(self._cursor, field, _MAX_LOCATION)
        if key in ("location", "offset", "length"):
            into[key] = value


def _inside(tensor: Tensor, data: list[tuple[int, int, int]]) -> Found | None:
    """The tensor's bytes if they lie in one run, as they do but for those written number by number."""
    if len(data) != 1:
        return None
    number, start, length = data[0]
    expected = byte_length(tensor.dtype, tensor.shape)
    if number == _RAW_DATA and length != expected:
        raise ParseError(f"ONNX: {tensor.name[:80]!r} has {length} bytes")
    if (number == _FLOATS and tensor.dtype != "F32") or (number == _DOUBLES and tensor.dtype != "F64"):
        return None
    return Found(tensor, None, start, length) if length == expected else None


def _outside(tensor: Tensor, external: dict[str, str]) -> Found:
    """Where in another file the bytes of the tensor are said to lie."""
    expected = byte_length(tensor.dtype, tensor.shape) or 0
    offset, length = _whole(external.get("offset", "0")), _whole(external.get("length", str(expected)))
    if "location" not in external or length != expected:
        raise ParseError(f"ONNX: the external data of {tensor.name[:80]!r} are not told")
    return Found(tensor, external["location"], offset, length)


def _whole(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise ParseError(f"ONNX: {digits[:40]!r} is no offset")
    return int(digits)
