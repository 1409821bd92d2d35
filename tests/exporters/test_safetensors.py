"""`mvc export safetensors`: equal bit for bit, without unpickling."""

from __future__ import annotations

import io
import json
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvc.errors import NotFound, Refused, UsageError
from mvc.ops.commit_files import commit_files
from mvc.ops.export import SafetensorsExported, export_safetensors
from tests.importers.importing import Target
from tests.models import layers, safetensors_bytes


def header(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    found = json.loads(data[8 : 8 + length])
    ends = [one["data_offsets"][1] for name, one in found.items() if name != "__metadata__"]
    assert len(data) == 8 + length + max(ends, default=0)
    return found


def arrays(path: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(path)


class Case:
    def __init__(self, target: Target, dest: Path) -> None:
        self._target, self.dest = target, dest

    def export(self, files: dict[str, bytes], *paths: str, **options: Any) -> SafetensorsExported:
        commit_files(self._target.repo, "main", files, "weights", caller=self._target.caller)
        return export_safetensors(self._target.repo, self.dest, "main", paths, caller=self._target.caller, **options)


@pytest.fixture
def case(target: Target, tmp_path: Path) -> Case:
    pytest.importorskip("safetensors")
    return Case(target, tmp_path / "out")


def test_numpy(case: Case) -> None:
    made = {
        "a": np.arange(60_000, dtype=np.float32).reshape(200, 300),
        "fortran": np.asfortranarray(np.arange(30_000, dtype=np.int64).reshape(100, 300)),
        "empty": np.zeros((0, 3), np.float16),
        "scalar": np.array(7, np.uint8),
    }
    out = io.BytesIO()
    np.savez(out, **made)
    single = io.BytesIO()
    np.save(single, made["fortran"])
    done = case.export({"dir/w.npz": out.getvalue(), "one.npy": single.getvalue()})
    assert {one.path: one.tensors for one in done.files} == {"dir/w.safetensors": 4, "one.safetensors": 1}
    found = arrays(case.dest / "dir/w.safetensors")
    for name, array in made.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    np.testing.assert_array_equal(next(iter(arrays(case.dest / "one.safetensors").values())), made["fortran"])


def test_files_that_are_safetensors_already(case: Case) -> None:
    data = safetensors_bytes(layers(), {"format": "pt"})
    case.export({"model.safetensors": data})
    assert (case.dest / "model.safetensors").read_bytes() == data


def test_gguf(case: Case, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    weights = {**layers(), "half": np.arange(40_000, dtype=np.float16).reshape(400, 100)}
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    for name, array in weights.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    case.export({"m.gguf": (tmp_path / "m.gguf").read_bytes()})
    found = arrays(case.dest / "m.safetensors")
    assert set(found) == set(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(found[name], array)


def torch_bytes(value: Any, **options: Any) -> bytes:
    torch = pytest.importorskip("torch")
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


def test_pytorch(case: Case) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    base = torch.randn(300, 400)
    nan = torch.tensor([float("nan"), -0.0, float("inf")] * 7000)
    made = {
        "base": base,
        "transposed": base.t(),
        "slice": base[10:20, 5:50],
        "strided": base[::2, ::3],
        "expanded": torch.randn(1, 50).expand(40, 50),
        "tied": base,
        "bf16": torch.randn(200, 200).to(torch.bfloat16),
        "fp8": torch.randn(64, 64).to(torch.float8_e4m3fn),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "nan": nan,
    }
    done = case.export({"model.bin": torch_bytes(made)})
    assert done.files[0].tensors == len(made)
    found = load_file(case.dest / "model.safetensors")
    assert set(found) == set(made)
    for name, tensor in made.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape), name
        raw = tensor.contiguous().reshape(-1).view(torch.uint8) if tensor.numel() else tensor.reshape(-1)
        other = found[name].reshape(-1).view(torch.uint8) if tensor.numel() else found[name].reshape(-1)
        assert torch.equal(raw, other), name


def test_shared_tensors_can_be_dropped(case: Case) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, load_model

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(200, 128)
            self.head = torch.nn.Linear(128, 200, bias=False)
            self.head.weight = self.embed.weight

    net = Net()
    done = case.export({"net.pt": torch_bytes(net.state_dict())}, drop_shared=True)
    assert dict(done.files[0].shared) == {"head.weight": "embed.weight"}
    assert header(case.dest / "net.safetensors")["__metadata__"] == {"format": "pt", "head.weight": "embed.weight"}
    assert set(load_file(case.dest / "net.safetensors")) == {"embed.weight"}
    other = Net()
    load_model(other, case.dest / "net.safetensors")
    assert torch.equal(other.head.weight, net.head.weight)


def test_distributed_checkpoints(case: Case, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    dcp = pytest.importorskip("torch.distributed.checkpoint")
    from safetensors.torch import load_file

    made = {
        "model": {"a": torch.randn(300, 200), "b": torch.randn(50), "half": torch.randn(100, 100).half()},
        "step": 7,
    }
    dcp.save(made, checkpoint_id=tmp_path / "ckpt", no_dist=True)
    files = {f"ckpt/{one.name}": one.read_bytes() for one in (tmp_path / "ckpt").iterdir()}
    case.export(files)
    found = load_file(case.dest / "ckpt/model.safetensors")
    for name, tensor in made["model"].items():
        assert torch.equal(found[f"model.{name}"], tensor)


def test_shards_of_two_ranks(case: Case) -> None:
    data = Path(__file__).parents[1] / "formats/data/sharded"
    files = {f"c/{one.name}": one.read_bytes() for one in data.iterdir()}
    case.export(files)
    found = arrays(case.dest / "c/model.safetensors")
    np.testing.assert_array_equal(found["w"], np.arange(48, dtype=np.float32).reshape(8, 6))
    np.testing.assert_array_equal(found["b"], np.arange(6, dtype=np.float32))
    assert set(found) == {"w", "b"}
    with pytest.raises(Refused, match=r"is lacking: d/__1_0\.distcp"):
        case.export({path.replace("c/", "d/"): one for path, one in files.items() if "__1_" not in path}, "d")


def test_shards_are_put_together(tmp_path: Path) -> None:
    from mvc.exporters.safetensors import _place
    from mvc.exporters.tensors import View, assembled, dense_strides

    rng = np.random.default_rng(1)
    for shape, cuts in (((8, 6), (2, 3)), ((7, 5), (3, 2)), ((4, 6, 5), (1, 3, 5)), ((9,), (4,)), ((4, 4), (4, 2))):
        whole = rng.integers(0, 255, shape).astype(np.int16)
        source = b""
        views = []
        for corner in np.ndindex(*(-(-size // cut) for size, cut in zip(shape, cuts, strict=True))):
            begin = [at * cut for at, cut in zip(corner, cuts, strict=True)]
            part = np.ascontiguousarray(whole[tuple(slice(at, at + cut) for at, cut in zip(begin, cuts, strict=True))])
            view = View("f", "I16", part.shape, dense_strides(part.shape), len(source))
            views.append((f"w[{','.join(map(str, begin))}]", view))
            source += part.tobytes()
        (made,) = assembled(views)
        assert (made.name, made.shape) == ("w", shape)
        with open(tmp_path / "out", "w+b") as out:
            for offsets, view in made.parts:
                _place(out.fileno(), 0, made, offsets, view, lambda at, length, /, data=source: data[at : at + length])
            out.seek(0)
            np.testing.assert_array_equal(np.frombuffer(out.read(), np.int16).reshape(shape), whole)
        if len(views) > 1:
            with pytest.raises(Refused, match="lacking"):
                assembled(views[1:])


def test_nothing_is_unpickled(case: Case, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "pwned",))

    evil = pickle.dumps({"w": Evil()}) + bytes(70_000)
    with pytest.raises(Refused, match=r"'old\.pt'"):
        case.export({"old.pt": evil})
    assert not (tmp_path / "pwned").exists()
    assert not case.dest.exists()


def test_what_cannot_be_converted_is_named(case: Case, target: Target) -> None:
    compressed = io.BytesIO()
    np.savez_compressed(compressed, a=np.arange(50_000))
    with pytest.raises(Refused, match=r"'c\.npz'"):
        case.export({"c.npz": compressed.getvalue()})
    with pytest.raises(UsageError, match="no weights"):
        case.export({"readme.txt": b"x"}, "readme.txt")
    with pytest.raises(NotFound):
        case.export({"more.txt": b"x"}, "nowhere")
    with pytest.raises(Refused, match="would both be"):
        both = safetensors_bytes(layers())
        array = io.BytesIO()
        np.save(array, np.arange(9))
        case.export({"m/x.safetensors": both, "m/x.npy": array.getvalue()}, "m")


def test_memory_is_bounded(case: Case, target: Target) -> None:
    array = io.BytesIO()
    np.save(array, np.arange(8_000_000, dtype=np.int64))
    commit_files(target.repo, "main", {"big.npy": array.getvalue()}, "big", caller=target.caller)
    del array
    tracemalloc.start()
    export_safetensors(target.repo, case.dest, "main", (), caller=target.caller)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000
