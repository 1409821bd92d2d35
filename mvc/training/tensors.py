"""State dicts as files: copied to the host's memory at once, written later, by another thread.

The file is safetensors' (https://huggingface.co/docs/safetensors, "Format"): eight bytes that say how long the header
is, a header in JSON, the tensors' bytes. Written here, so that it needs neither torch nor safetensors to be installed.
"""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mvc.errors import UsageError

_TORCH = {
    "torch.float64": "F64", "torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16",
    "torch.float8_e4m3fn": "F8_E4M3", "torch.float8_e5m2": "F8_E5M2", "torch.int64": "I64", "torch.int32": "I32",
    "torch.int16": "I16", "torch.int8": "I8", "torch.uint8": "U8", "torch.bool": "BOOL", "torch.uint16": "U16",
    "torch.uint32": "U32", "torch.uint64": "U64", "torch.complex64": "C64",
}  # fmt: skip
_NUMPY = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2", "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8",
    "bool": "BOOL", "uint16": "U16", "uint32": "U32", "uint64": "U64", "complex64": "C64",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class HostTensor:
    """A copy of a tensor: `data` holds its bytes, row by row."""

    dtype: str
    shape: tuple[int, ...]
    data: np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class HostTensors:
    """Copies of the tensors of a state dict."""

    tensors: Mapping[str, HostTensor]
    buffers: Buffers

    def write(self, path: Path) -> None:
        """Write them as a safetensors file. Then their memory is free for others."""
        header: dict[str, Any] = {}
        offset = 0
        # As safetensors itself orders them: the widest elements first, so that all are aligned.
        order = sorted(self.tensors, key=lambda name: (-_width(self.tensors[name]), name))
        for name in order:
            one = self.tensors[name]
            header[name] = {
                "dtype": one.dtype,
                "shape": list(one.shape),
                "data_offsets": [offset, offset + one.data.nbytes],
            }
            offset += one.data.nbytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb", buffering=0) as file:
            _write_all(file, len(text).to_bytes(8, "little") + text)
            for name in order:
                _write_all(file, self.tensors[name].data.data)
        self.buffers.give(one.data for one in self.tensors.values())


def is_state_dict(value: Any) -> bool:
    """Whether `value` is names with tensors or arrays, and nothing else."""
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and _dtype(one) is not None for name, one in value.items())
    )


class Buffers:
    """Memory for copies, used again: what the system has to find and clear for each anew takes longer than to copy.

    Thread-safe. Keeps as much as the largest checkpoint took.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: dict[int, list[np.ndarray[Any, Any]]] = {}

    def take(self, size: int) -> np.ndarray[Any, Any]:
        """So many bytes, of any content."""
        with self._lock:
            free = self._free.get(size)
            if free:
                return free.pop()
        return np.empty(size, np.uint8)

    def give(self, buffers: Iterable[np.ndarray[Any, Any]]) -> None:
        """They are free again; what was free before and not used since is let go."""
        free: dict[int, list[np.ndarray[Any, Any]]] = {}
        for one in buffers:
            free.setdefault(one.nbytes, []).append(one)
        with self._lock:
            self._free = free


def copy_to_host(path: str, values: Mapping[str, Any], buffers: Buffers) -> HostTensors:
    """Copy the tensors: from then on training may change them. Raises UsageError for a dtype that no file can hold."""
    return HostTensors({name: _copied(path, name, value, buffers) for name, value in values.items()}, buffers)


def _copied(path: str, name: str, value: Any, buffers: Buffers) -> HostTensor:
    dtype = _dtype(value)
    if not dtype:
        raise UsageError(f"{path}: '{name}' is {value.dtype}, which safetensors files cannot hold")
    shape = tuple(int(length) for length in value.shape)
    out = buffers.take(math.prod(shape) * value.dtype.itemsize)
    if isinstance(value, np.ndarray):
        np.copyto(out.view(value.dtype).reshape(shape), value)
    elif out.nbytes:
        torch: Any = sys.modules["torch"]  # whoever has a tensor has loaded it
        value = value.detach()
        if hasattr(value, "full_tensor"):
            value = value.full_tensor()
        torch.from_numpy(out).view(value.dtype).reshape(shape).copy_(value)
    return HostTensor(dtype, shape, out)


def host_copy(value: Any) -> Any:
    """A tensor of torch in the host's memory, that is nobody else's. One that is spread over ranks is gathered."""
    value = value.detach()
    if hasattr(value, "full_tensor"):
        value = value.full_tensor()
    return value.to("cpu", copy=True)


def frozen(value: Any) -> Any:
    """A copy of dicts, lists and tuples with copies of the tensors in them: what `torch.save` may take later."""
    if isinstance(value, Mapping):
        return {key: frozen(each) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(frozen(each) for each in value)
    if isinstance(value, np.ndarray):
        return value.copy()
    if hasattr(value, "detach") and hasattr(value, "dtype"):
        return host_copy(value)
    return value


def _dtype(value: Any) -> str | None:
    """The dtype as safetensors names it, "" for one that it has not; None for what is neither tensor nor array."""
    if isinstance(value, np.ndarray):
        return _NUMPY.get(value.dtype.name, "") if value.dtype.isnative else ""
    dtype = str(getattr(value, "dtype", ""))
    if dtype.startswith("torch.") and hasattr(value, "detach"):
        return _TORCH.get(dtype, "")
    return None


def _width(one: HostTensor) -> int:
    digits = "".join(filter(str.isdigit, one.dtype.partition("_")[0]))
    return int(digits or 8)


def _write_all(file: Any, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
