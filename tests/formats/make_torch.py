"""Makes the PyTorch files in data/, and data/expected.json: what PyTorch itself reads from them.

Run it with a Python that has torch (made with 2.13.0, CPU): `python tests/formats/make_torch.py`.
The test suite itself needs no torch. Files are small on purpose; their numbers are arbitrary.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

DATA = Path(__file__).parent / "data"

SPELLING = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.uint16: "U16",
    torch.uint32: "U32",
    torch.uint64: "U64",
    torch.bool: "BOOL",
    torch.complex64: "C64",
    torch.complex128: "C128",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}


def describe(tensor: torch.Tensor) -> list[object]:
    raw = tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return [SPELLING[tensor.dtype], list(tensor.shape), hashlib.sha256(raw).hexdigest()]


def flatten(value: object, path: str = "") -> dict[str, list[object]]:
    if isinstance(value, torch.Tensor):
        return {path: describe(value)}
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list | tuple):
        children = enumerate(value)
    else:
        return {}
    found = {}
    for key, child in children:
        found.update(flatten(child, f"{path}.{key}" if path else str(key)))
    return found


def model() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(24, 16), torch.nn.LayerNorm(16), torch.nn.Linear(16, 4, bias=False))


def checkpoint(dtype: torch.dtype) -> dict[str, object]:
    net = model().to(dtype)
    optimizer = torch.optim.AdamW(net.parameters())
    for _ in range(2):
        net(torch.randn(3, 24, dtype=dtype)).square().sum().backward()
        optimizer.step()
    return {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "step": 2, "note": ["a", (1, 2.5, None)]}


def views() -> dict[str, object]:
    weight = torch.arange(48, dtype=torch.float32).reshape(6, 8)
    flat = torch.arange(100, dtype=torch.float32)
    return {
        "tied": {"encoder": weight, "decoder": weight},
        "parts": {"first": flat[:40].view(8, 5), "second": flat[60:]},
        "turned": torch.arange(12, dtype=torch.int64).reshape(3, 4).t(),
        "spread": torch.ones(1).expand(5, 5),
        "overlap": {"one": (both := torch.arange(10, dtype=torch.int16))[0:6], "two": both[4:10]},
        "part": torch.arange(20, dtype=torch.uint8)[5:9],
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(7.0),
        "dotted": {"a": {"b": torch.zeros(3)}, "a.b": torch.ones(3)},
    }


def dtypes() -> dict[str, torch.Tensor]:
    return {str(dtype).removeprefix("torch."): torch.arange(6).to(dtype) for dtype in SPELLING}


def save_sharded(rank: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29571", RANK=str(rank), WORLD_SIZE="2")
    dist.init_process_group("gloo")
    torch.manual_seed(5)
    mesh = init_device_mesh("cpu", (2,))
    weight = torch.arange(8 * 6, dtype=torch.float32).reshape(8, 6)
    dcp.save(
        {"w": distribute_tensor(weight, mesh, [Shard(0)]), "b": torch.arange(6.0), "step": 3}, checkpoint_id=folder
    )
    dist.destroy_process_group()


def main() -> None:
    torch.manual_seed(1)
    expected: dict[str, dict[str, list[object]]] = {}

    def save(name: str, value: object, **options: object) -> None:
        torch.save(value, DATA / name, **options)
        expected[name] = flatten(value)

    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir()
    save("checkpoint.pt", checkpoint(torch.float32))
    save("bf16-protocol5.pt", checkpoint(torch.bfloat16), pickle_protocol=5)
    save("state.bin", model().state_dict())
    save("views.pt", views())
    save("dtypes.pt", dtypes())
    save("tensor.pt", torch.arange(7.0))
    save("parameter.pt", {"p": torch.nn.Parameter(torch.arange(5.0)), "b": torch.nn.Buffer(torch.arange(4))})
    save("legacy.pt", {"a": torch.arange(5.0)}, _use_new_zipfile_serialization=False)
    net = model()
    torch.save(net, DATA / "module.pt")
    expected["module.pt"] = flatten(dict(net.state_dict()))
    script = torch.jit.script(model())
    script.save(DATA / "script.pt")
    expected["script.pt"] = flatten(dict(script.state_dict()))

    state = checkpoint(torch.float32)
    dcp.save({key: state[key] for key in ("model", "optimizer", "step")}, checkpoint_id=DATA / "whole")
    expected["whole"] = flatten(state)
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(save_sharded, (folder,), nprocs=2)
        shutil.copytree(folder, DATA / "sharded")
    (DATA / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
