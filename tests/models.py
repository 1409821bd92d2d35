"""Small model files for tests, made with numpy alone."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_NAMES = {"float32": "F32", "float16": "F16", "uint16": "BF16", "float64": "F64", "int8": "I8", "int64": "I64"}


def to_bf16(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Float32 values as BF16 bits (uint16), rounded to nearest even."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def safetensors_bytes(tensors: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file; uint16 arrays are written as BF16."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name, array in tensors.items():
        header[name] = {
            "dtype": _NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in tensors.values())


def layers(seed: int = 0, count: int = 3, width: int = 256) -> dict[str, np.ndarray[Any, Any]]:
    """Weights of a small network: `count` layers of width x width, and a bias each, in float32."""
    rng = np.random.default_rng(seed)
    made: dict[str, np.ndarray[Any, Any]] = {}
    for number in range(count):
        made[f"encoder.layer.{number}.weight"] = (rng.standard_normal((width, width)) * 0.03).astype(np.float32)
        made[f"encoder.layer.{number}.bias"] = np.zeros(width, dtype=np.float32)
    return made


def fine_tuned(weights: Mapping[str, np.ndarray[Any, Any]], seed: int = 1) -> dict[str, np.ndarray[Any, Any]]:
    """The same weights after some small steps."""
    rng = np.random.default_rng(seed)
    return {
        name: (array + rng.standard_normal(array.shape) * 6e-5).astype(array.dtype) for name, array in weights.items()
    }


def write_model(path: Path, tensors: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Write a safetensors file, and return its bytes."""
    data = safetensors_bytes(tensors)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data
