"""A model's tensors as safetensors' `safe_open` gives them, of which only the chunks that are asked for are read.

A slice is read as runs of bytes: whole rows where it takes whole rows, else blocks of rows that are cut in memory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from types import EllipsisType, TracebackType
from typing import Any

import numpy as np

from mvc.codecs.values import as_array
from mvc.errors import IntegrityError, NotFound, Unsupported, UsageError
from mvc.formats.base import Tensor
from mvc.formats.dtypes import BITS, byte_length
from mvc.objects.manifest import ManifestSegment
from mvc.ops.model_file import segment_of
from mvc.ops.ranged_file import RangedFile

Array = np.ndarray[Any, Any]
Index = int | slice | EllipsisType | None | Sequence[int] | Array | tuple[Any, ...]

_BLOCK = 8 * 1024 * 1024
"""Bytes of rows that are read at a time where only parts of them are wanted."""
_AHEAD = 4 * 1024 * 1024
"""Bytes of a file that are read at once by who reads tensor after tensor."""
_MAX_HEADER = 100_000_000
"""safetensors' own limit."""

_TORCH = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
    "C128": "complex128",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}
_FRAMEWORKS = {"np": "np", "numpy": "np", "pt": "pt", "torch": "pt", "pytorch": "pt"}


class TensorFile:
    """A model of a version: `keys`, `offset_keys`, `metadata`, `get_tensor`, `get_slice`, as safetensors' `safe_open`.

    With `framework` "np" tensors are numpy arrays (BF16 and FP8 in the dtypes of `ml_dtypes` where that is installed,
    else as their bits), with "pt" torch's. Any format will do whose tensors mvc knows. `closing` is closed with it.
    Raises the errors of `mvc.errors`; NotFound for a tensor that is not there.
    """

    def __init__(self, file: RangedFile, closing: ExitStack, framework: str = "np", device: Any = "cpu") -> None:
        kind = _FRAMEWORKS.get(framework)
        if kind is None:
            raise UsageError(f"framework {framework!r} is none of np and pt")
        if kind == "pt" and find_spec("torch") is None:
            raise Unsupported("framework 'pt' needs the package torch", hint="pip install torch")
        if kind == "np" and device not in ("cpu", None):
            raise UsageError("numpy's arrays are on the cpu")
        self._file, self._closing, self._kind, self._device = file, closing, kind, device
        self._behind: int | None = None
        """Where the tensor that was read last ends."""

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections. Closing twice is no error."""
        self._closing.close()

    def keys(self) -> list[str]:
        """The names of the tensors, sorted."""
        return sorted(self.offset_keys())

    def offset_keys(self) -> list[str]:
        """The names of the tensors, in the order in which they stand in the file."""
        return [one.tensor.name for one in self._file.model.manifest.segments if one.tensor is not None]

    def metadata(self) -> dict[str, str] | None:
        """`__metadata__` of a safetensors file; None where there is none, or in another format."""
        manifest = self._file.model.manifest
        if manifest.format != "safetensors":
            return None
        length = int.from_bytes(self._file.read_at(0, 8), "little")
        if length > min(_MAX_HEADER, self._file.size):
            raise IntegrityError(f"{self._file.model.path}: its header is longer than it")
        try:
            found = json.loads(self._file.read_at(8, length)).get("__metadata__")
        except (ValueError, AttributeError, RecursionError) as error:
            raise IntegrityError(f"{self._file.model.path}: its header makes no sense") from error
        return found if isinstance(found, dict) else None

    def get_tensor(self, name: str) -> Any:
        """A whole tensor, in the shape that it has. Who reads one beside another is read ahead for."""
        found = self.get_slice(name)
        begin, end = found.span
        if self._behind is not None and abs(begin - self._behind) <= _AHEAD and end - begin < _AHEAD:
            # Tensors are small and many: the block of the file that this one is in comes at once.
            self._file.ensure(begin // _AHEAD * _AHEAD, _AHEAD)
        self._behind = end
        return found[...]

    def get_slice(self, name: str) -> TensorSlice:
        """A tensor to be indexed: of what is not asked for nothing is read."""
        try:
            offset, segment = segment_of(self._file.model, name)
        except NotFound as error:
            raise NotFound(f"File does not contain tensor {name}", hint=error.hint) from error
        return TensorSlice(self._file, offset, segment, self._kind, self._device)


class TensorSlice:
    """`slice[3:5, :, 0]` reads that part of a tensor. Integers, slices and `...` read only what they need."""

    def __init__(self, file: RangedFile, offset: int, segment: ManifestSegment, kind: str, device: Any) -> None:
        tensor = segment.tensor
        assert tensor is not None  # segment_of finds tensors
        self._file, self._offset, self._length = file, offset, segment.length
        self._kind, self._device = kind, device
        self._tensor: Tensor = tensor
        bits = BITS.get(tensor.dtype, 0)
        regular = bits and bits % 8 == 0 and byte_length(tensor.dtype, tensor.shape) == segment.length
        # Blocks of a quantised format, and elements of less than a byte, come as flat bytes.
        self._shape = tensor.shape if regular else (segment.length,)
        self._width = bits // 8 if regular else 1
        self._dtype = tensor.dtype if regular else "U8"

    @property
    def span(self) -> tuple[int, int]:
        """Where the tensor begins and ends in the file."""
        return self._offset, self._offset + self._length

    def get_shape(self) -> list[int]:
        """As the file declares it."""
        return list(self._tensor.shape)

    def get_dtype(self) -> str:
        """As safetensors spells it."""
        return self._tensor.dtype

    def __getitem__(self, index: Index) -> Any:
        plain = _normal(index, self._shape)
        if plain is None:  # lists, None and the like: numpy knows what they mean
            return self._made(self._select(self._offset, self._shape, [slice(None)] * len(self._shape))[index])
        return self._made(self._select(self._offset, self._shape, plain))

    def _select(self, offset: int, shape: tuple[int, ...], index: Sequence[int | slice]) -> Array:
        """The elements as opaque items of their width."""
        if not shape:
            return self._read(offset, 1).reshape(())
        first, rest, inner = index[0], index[1:], shape[1:]
        count = math.prod(inner)
        if isinstance(first, int):
            return self._select(offset + first * count * self._width, inner, rest)
        rows = range(*first.indices(shape[0]))
        made = np.empty(_shape_of(shape, [rows, *rest]), self._items)
        if not made.size:
            return made
        row_bytes = count * self._width
        if rows.step == 1 and all(one == slice(None) for one in rest):
            self._file.read_into(offset + rows.start * row_bytes, made.reshape(-1).view(np.uint8).data)
        elif row_bytes * abs(rows.step) <= _BLOCK:
            self._by_blocks(made, offset, rows, inner, rest)
        else:
            for at, row in enumerate(rows):
                made[at] = self._select(offset + row * row_bytes, inner, rest)
        return made

    def _by_blocks(
        self, made: Array, offset: int, rows: range, inner: tuple[int, ...], rest: Sequence[int | slice]
    ) -> None:
        """Read some rows at a time, with what lies between them, and take what is wanted of them."""
        count = math.prod(inner)
        at_once = max(1, _BLOCK // (count * self._width * abs(rows.step)))
        for begin in range(0, len(rows), at_once):
            block = rows[begin : begin + at_once]
            low, high = min(block[0], block[-1]), max(block[0], block[-1]) + 1
            data = self._read(offset + low * count * self._width, (high - low) * count).reshape((high - low, *inner))
            taken = data[:: rows.step] if rows.step > 0 else data[::-1][:: -rows.step]
            made[begin : begin + len(block)] = taken[(slice(None), *rest)]

    @property
    def _items(self) -> np.dtype[Any]:
        return np.dtype(f"V{self._width}")

    def _read(self, offset: int, count: int) -> Array:
        return np.frombuffer(self._file.read_at(offset, count * self._width), self._items)

    def _made(self, items: Array) -> Any:
        """Items in the framework's own type."""
        shape = items.shape
        raw = np.ascontiguousarray(items).reshape(-1).view(np.uint8) if items.size else np.empty(0, np.uint8)
        if self._kind == "np":
            return as_array(raw.data, self._dtype, _ml_dtypes()).reshape(shape)
        torch: Any = import_module("torch")
        dtype = getattr(torch, _TORCH.get(self._dtype, ""), None)
        if dtype is None:
            raise Unsupported(f"this torch has no dtype for {self._dtype}")
        if not raw.size:
            return torch.empty(shape, dtype=dtype, device=self._device)
        if not raw.flags.writeable:
            raw = raw.copy()
        return torch.from_numpy(raw).view(dtype).reshape(shape).to(self._device)


def _normal(index: Index, shape: tuple[int, ...]) -> list[int | slice] | None:
    """An integer or slice for each dimension; None for an index of another kind. Raises IndexError."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if not all(_is_integer(one) or isinstance(one, slice | EllipsisType) for one in parts):
        return None
    dots = [at for at, one in enumerate(parts) if one is Ellipsis]
    missing = len(shape) - (len(parts) - len(dots))
    if len(dots) > 1 or missing < 0:
        raise IndexError(f"too many indices for a tensor of {len(shape)} dimensions")
    if dots:
        parts[dots[0] : dots[0] + 1] = [slice(None)] * missing
    else:
        parts += [slice(None)] * missing
    found: list[int | slice] = []
    for dimension, (part, size) in enumerate(zip(parts, shape, strict=True)):
        if isinstance(part, slice):
            whole = part.indices(size) == (0, size, 1)
            found.append(slice(None) if whole else part)
            continue
        number = int(part)  # type: ignore[arg-type]
        if not -size <= number < size:
            raise IndexError(f"index {number} is out of bounds for dimension {dimension} with size {size}")
        found.append(number % size)
    return found


def _is_integer(one: object) -> bool:
    return isinstance(one, int | np.integer) and not isinstance(one, bool | np.bool_)


def _shape_of(shape: tuple[int, ...], index: Sequence[int | slice | range]) -> tuple[int, ...]:
    """The shape of what an index takes out of `shape`."""
    found: list[int] = []
    for size, one in zip(shape, index, strict=True):
        if isinstance(one, slice):
            found.append(len(range(*one.indices(size))))
        elif isinstance(one, range):
            found.append(len(one))
    return tuple(found)


def _ml_dtypes() -> Any:
    """The module, when it is installed."""
    return import_module("ml_dtypes") if find_spec("ml_dtypes") else None
