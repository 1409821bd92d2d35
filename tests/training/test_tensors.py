"""State dicts become safetensors files that safetensors itself reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvc.errors import UsageError
from mvc.training.tensors import Buffers, copy_to_host, is_state_dict

numpy_file = pytest.importorskip("safetensors.numpy")


def test_arrays(tmp_path: Path) -> None:
    given = {
        "f32": np.arange(6, dtype=np.float32).reshape(2, 3),
        "strided": np.arange(20, dtype=np.int16)[::3],
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "scalar": np.array(3, np.uint8),
        "empty": np.zeros((0, 4), np.float16),
        "bool": np.array([True, False]),
        "ünïcode.name": np.arange(3, dtype=np.uint64),
    }
    assert is_state_dict(given) and not is_state_dict({}) and not is_state_dict({"a": 1}) and not is_state_dict([1])
    buffers = Buffers()
    for turn in range(3):  # the second and third in the memory of the first
        host = copy_to_host("x", given, buffers)
        for array in given.values():
            array.fill(turn)
        host.write(tmp_path / "w.safetensors")
        found = numpy_file.load_file(tmp_path / "w.safetensors")
        assert found.keys() == given.keys()
        for name, array in found.items():
            assert array.dtype == given[name].dtype and array.shape == given[name].shape
            if turn:
                assert (array == turn - 1).all() or array.dtype == np.bool_
    with pytest.raises(UsageError, match="complex128"):
        copy_to_host("x", {"a": np.zeros(2, np.complex128)}, buffers)


def test_tensors_of_torch(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    torch_file: Any = pytest.importorskip("safetensors.torch")
    shared = torch.randn(4, 4)
    given = {
        "bf16": torch.randn(3, 5).to(torch.bfloat16),
        "f8": torch.randn(8).to(torch.float8_e4m3fn),
        "transposed": torch.arange(6).reshape(2, 3).T,
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0),
        "bool": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(torch.ones(3)),
        "tied.a": shared,
        "tied.b": shared,
    }
    host = copy_to_host("x", given, Buffers())
    wanted = {name: value.detach().clone() for name, value in given.items()}
    with torch.no_grad():
        for value in given.values():
            value.zero_()
    host.write(tmp_path / "w.safetensors")
    found = torch_file.load_file(tmp_path / "w.safetensors")
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        assert value.dtype == wanted[name].dtype and value.shape == wanted[name].shape
        assert torch.equal(bits(torch, value), bits(torch, wanted[name]))


def bits(torch: Any, value: Any) -> Any:
    return value.contiguous().reshape(-1).view(torch.uint8)
