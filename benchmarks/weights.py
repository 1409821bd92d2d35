"""Writing weights: BF16 rounding, safetensors, and PyTorch's checkpoint files without PyTorch."""

from __future__ import annotations

import io
import json
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZES = {"F32": 4, "BF16": 2, "F16": 2}


def round_to_bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The BF16 bits nearest to FP32 values, ties to even."""
    bits = values.view(np.uint32)
    result: NDArray[np.uint16] = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return result


def safetensors_header(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> bytes:
    """The head of a safetensors file whose tensors (name: dtype, shape) follow in this order."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, shape) in tensors.items():
        end = offset + SIZES[dtype] * int(np.prod(shape))
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def save_safetensors(path: Path, weights: Mapping[str, NDArray[np.float32]], dtype: str = "F32") -> None:
    """Write FP32 arrays as `dtype`, sorted by name as the safetensors library does."""
    ordered = dict(sorted(weights.items()))
    with path.open("wb") as out:
        out.write(safetensors_header({name: (dtype, array.shape) for name, array in ordered.items()}))
        for array in ordered.values():
            if dtype == "BF16":
                out.write(round_to_bf16(array).tobytes())
            else:
                out.write(array.astype(np.float16 if dtype == "F16" else np.float32).tobytes())


def load_safetensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """The FP32 tensors of a file, as arrays of their own."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    found: dict[str, NDArray[np.float32]] = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if entry.get("dtype") == "F32":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            found[name] = np.frombuffer(data[start:end], np.float32).reshape(entry["shape"]).copy()
    return found


def save_checkpoint(path: Path, state: Any) -> None:
    """Write `state` (nested dicts and lists, with FP32 arrays as tensors) as `torch.save` would."""
    storages: list[NDArray[np.float32]] = []
    pickled = io.BytesIO()
    with _names_of_torch() as torch:
        torch.pickler(pickled, storages).dump(state)
    root = path.stem
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _put(archive, f"{root}/data.pkl", pickled.getvalue())
        _put(archive, f"{root}/byteorder", b"little")
        for number, storage in enumerate(storages):
            _put(archive, f"{root}/data/{number}", storage.tobytes())
        _put(archive, f"{root}/version", b"3\n")


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add an entry whose bytes begin at a multiple of 64, by an extra field "FB" as PyTorch's."""
    info = zipfile.ZipInfo(name)
    assert archive.fp is not None
    start = archive.fp.tell() + 30 + len(name.encode()) + 4
    padding = -start % 64
    info.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
    archive.writestr(info, data)


class _names_of_torch:
    """Stands in for the module `torch` while pickling, so that the pickle names what PyTorch will look up."""

    def __enter__(self) -> _names_of_torch:
        self._before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
        self.torch, self.utils = ModuleType("torch"), ModuleType("torch._utils")
        self.storage = type("FloatStorage", (), {"__module__": "torch"})
        self.torch.FloatStorage = self.storage  # type: ignore[attr-defined]

        def _rebuild_tensor_v2(*_: Any) -> None:
            """Never called: only its name is written."""

        _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
        self.rebuild = self.utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
        sys.modules |= {"torch": self.torch, "torch._utils": self.utils}
        return self

    def __exit__(self, *_: object) -> None:
        for name, module in self._before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module

    def pickler(self, out: io.BytesIO, storages: list[NDArray[np.float32]]) -> pickle.Pickler:
        rebuild, storage_type = self.rebuild, self.storage

        class Storage:
            def __init__(self, array: NDArray[np.float32]) -> None:
                self.array = array

        class Pickler(pickle.Pickler):
            def persistent_id(self, obj: Any) -> Any:
                if not isinstance(obj, Storage):
                    return None
                storages.append(obj.array)
                return "storage", storage_type, str(len(storages) - 1), "cpu", obj.array.size

            def reducer_override(self, obj: Any) -> Any:
                if not isinstance(obj, np.ndarray):
                    return NotImplemented
                strides = tuple(step // obj.itemsize for step in obj.strides)
                return rebuild, (Storage(obj), 0, obj.shape, strides, False, OrderedDict())

        return Pickler(out, protocol=2)
