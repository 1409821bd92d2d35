"""`cat-file`, `count-objects`, `unlock`, `upgrade`, and `show` of models that are chunked: as typed."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mvc.errors import UsageError
from mvc.formats.base import Tensor
from mvc.ops.npy import npy_header
from tests.cli.world import History, Mvc, git

RNG = np.random.default_rng(7)
WEIGHTS = {
    "layer.0.weight": RNG.normal(size=(300, 256)).astype("<f4"),
    "layer.0.bias": RNG.normal(size=(256,)).astype("<f2"),
    "layer.1.weight": (RNG.normal(size=(64, 32)).astype("<f4").view("<u4") >> 16).astype("<u2"),
    "steps": np.array([3], dtype="<i8"),
}
DTYPES = {"layer.0.weight": "F32", "layer.0.bias": "F16", "layer.1.weight": "BF16", "steps": "I64"}

KILLED = """
import os, sys
from pathlib import Path
from mvc.store.locks import hold
with hold(Path(sys.argv[1]), what="add"):
    os._exit(1)
"""


def model(weights: dict[str, np.ndarray]) -> bytes:
    header, data = {}, b""
    for name, array in weights.items():
        raw = array.tobytes()
        header[name] = {
            "dtype": DTYPES[name],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.fixture
def models(mvc: Mvc, repo: Path) -> Path:
    """A repository with a chunked model, committed and then changed in one tensor."""
    (repo / "model.safetensors").write_bytes(model(WEIGHTS))
    (repo / "log.txt").write_text("".join(f"step {n} loss {1 / (n + 1):.4f}\n" for n in range(9000)))
    (repo / "small.txt").write_text("small\n")
    mvc("add", ".", cwd=repo)
    mvc("commit", "-m", "base", cwd=repo)
    changed = {**WEIGHTS, "layer.0.weight": WEIGHTS["layer.0.weight"] + np.float32(1e-4)}
    changed["layer.0.bias"] = np.full_like(WEIGHTS["layer.0.bias"], np.nan)
    (repo / "model.safetensors").write_bytes(model(changed))
    mvc("add", ".", cwd=repo)
    mvc("commit", "-m", "fine-tune", cwd=repo)
    return repo


def test_show_lists_the_tensors_of_a_model(mvc: Mvc, models: Path) -> None:
    lines = mvc("show", "HEAD:model.safetensors", cwd=models).lines
    assert re.match(r"model.safetensors  safetensors, 3\d\d kB, 4 tensors, 79,105 parameters, stored in \d", lines[0])
    rows = {line.split()[0]: line.split() for line in lines[2:] if line}
    assert rows["layer.0.weight"][1:6] == ["F32", "300×256", "76,800", "307", "kB"]
    assert rows["steps"][1:4] == ["I64", "1", "1"]
    assert rows["layer.0.weight"][-1] in ("delta", "planes") and rows["(header)"]
    assert lines[-1] == "warning: layer.0.bias holds 256 NaN"
    [found] = json.loads(mvc("show", "--json", "HEAD:model.safetensors", cwd=models).out)["objects"]
    tensors = {row["name"]: row for row in found["segments"] if row["kind"] == "tensor"}
    assert found["parameters"] == 79_105 and tensors["layer.0.bias"]["nan"] == 256
    assert sum(row["stored"] for row in found["segments"]) == found["stored"]
    assert sum(row["size"] for row in found["segments"]) == found["size"] == len(model(WEIGHTS))


def test_show_of_a_commit_counts_the_tensors_that_changed(mvc: Mvc, models: Path) -> None:
    assert re.search(
        r"^M  model.safetensors  3\d\d kB  2 of 4 tensors changed$", mvc("show", cwd=models).out, re.MULTILINE
    )
    [found] = json.loads(mvc("show", "--json", cwd=models).out)["objects"]
    assert found["files"][0]["tensors"]["changed"] == 2
    assert mvc("log", "--oneline", "--tensor", "layer.1.*", cwd=models).out.endswith(" base\n")
    assert len(mvc("log", "--oneline", "--tensor", "layer.0.*", cwd=models).lines) == 2


def test_show_of_a_chunked_file_without_tensors(mvc: Mvc, models: Path) -> None:
    lines = mvc("show", "HEAD:log.txt", cwd=models).lines
    assert lines[0].startswith("log.txt  ") and "stored in" in lines[0] and "(opaque)" in lines[-1]


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_tensor_as_npy(name: str, mvc: Mvc, models: Path) -> None:
    ran = mvc("cat-file", "--tensor", name, "HEAD~:model.safetensors", cwd=models)
    array = np.load(io.BytesIO(ran.raw), allow_pickle=False)
    assert array.dtype == WEIGHTS[name].dtype and np.array_equal(array, WEIGHTS[name])
    assert ("BF16 is unknown to numpy" in ran.err) == (DTYPES[name] == "BF16")


def test_a_tensor_into_a_file(mvc: Mvc, models: Path) -> None:
    ran = mvc("cat-file", "--tensor", "steps", "HEAD:model.safetensors", "-o", "out.npy", cwd=models)
    assert ran.raw == b"" and ran.err == "wrote 136 B to out.npy\n"
    assert np.load(models / "out.npy") == [3]
    assert mvc("cat-file", "--tensor", "steps", "HEAD:model.safetensors", "-o", "no/out.npy", cwd=models, code=4)
    assert mvc("cat-file", "--tensor", "steps", "HEAD:model.safetensors", "-o", ".", cwd=models, code=2)
    assert sorted(p.name for p in models.iterdir() if p.name.startswith("tmp-")) == []


def test_a_tensor_that_is_not_there(mvc: Mvc, models: Path) -> None:
    ran = mvc("cat-file", "--tensor", "layer.0.wieght", "HEAD:model.safetensors", cwd=models, code=4)
    assert "layer.0.weight" in ran.err.splitlines()[1]
    assert "has no tensors" in mvc("cat-file", "--tensor", "x", "HEAD:small.txt", cwd=models, code=4).err
    assert mvc("cat-file", "--tensor", "x", "HEAD:", cwd=models, code=2)


def test_a_whole_file(mvc: Mvc, models: Path) -> None:
    assert mvc("cat-file", "--content", "HEAD~:model.safetensors", cwd=models).raw == model(WEIGHTS)
    assert mvc("cat-file", "--content", "HEAD:small.txt", cwd=models).raw == b"small\n"
    mvc("cat-file", "--content", "HEAD:log.txt", "-o", "copy", cwd=models)
    assert (models / "copy").read_bytes() == (models / "log.txt").read_bytes()


def test_objects_as_git_prints_them(mvc: Mvc, models: Path) -> None:
    for spec in ("HEAD", "HEAD^{tree}", "HEAD:small.txt", "HEAD:model.safetensors"):
        assert mvc("cat-file", "-p", spec, cwd=models).raw == git(models, "cat-file", "-p", spec)
        assert mvc("cat-file", "-t", spec, cwd=models).raw == git(models, "cat-file", "-t", spec)
        assert mvc("cat-file", "-s", spec, cwd=models).raw == git(models, "cat-file", "-s", spec)
    for kind, spec in (("commit", "HEAD"), ("tree", "HEAD"), ("blob", "HEAD:small.txt")):
        assert mvc("cat-file", kind, spec, cwd=models).raw == git(models, "cat-file", kind, spec)
    assert mvc("cat-file", "-p", "HEAD:model.safetensors", cwd=models).out.startswith("mvc-manifest 1\n")
    assert mvc("cat-file", "-e", "HEAD", cwd=models).raw == b""
    assert mvc("cat-file", "-e", "HEAD:nope", cwd=models, code=1).err == ""
    assert mvc("cat-file", "blob", "HEAD", cwd=models, code=4)
    assert mvc("cat-file", "frob", "HEAD", cwd=models, code=2)
    assert mvc("cat-file", "HEAD", cwd=models, code=2)
    assert mvc("cat-file", "-p", cwd=models, code=2)
    assert mvc("cat-file", "-p", "--tensor", "x", "HEAD", cwd=models, code=2)


@pytest.mark.parametrize(
    ("tensor", "size", "descr", "shape", "bits"),
    [
        (Tensor("t", "F32", (2, 3)), 24, "<f4", (2, 3), False),
        (Tensor("t", "F64", ()), 8, "<f8", (), False),
        (Tensor("t", "BOOL", (0,)), 0, "|b1", (0,), False),
        (Tensor("t", "BF16", (4,)), 8, "<u2", (4,), True),
        (Tensor("t", "F8_E4M3", (2, 2)), 4, "|u1", (2, 2), True),
        (Tensor("t", "Q4_K", (256, 2)), 288, "|u1", (288,), True),
        (Tensor("t", "F32", (3,)), 13, "|u1", (13,), True),
    ],
)
def test_npy_headers(tensor: Tensor, size: int, descr: str, shape: tuple[int, ...], bits: bool) -> None:
    header = npy_header(tensor, size)
    assert header.bits is bits and len(header.data) % 64 == 0
    array = np.load(io.BytesIO(header.data + bytes(size)), allow_pickle=False)
    assert (array.dtype, array.shape) == (np.dtype(descr), shape)


def test_npy_of_very_many_dimensions() -> None:
    with pytest.raises(UsageError, match="too many dimensions"):
        npy_header(Tensor("t", "U8", (1,) * 30_000), 1)


def test_count_objects(mvc: Mvc, models: Path) -> None:
    assert re.fullmatch(r"\d+ objects, \d+ chunks, \d+ kB\n", mvc("count-objects", cwd=models).out)
    text = mvc("count-objects", "-v", cwd=models).out
    assert re.search(r"^4 versions of files +9\d\d kB +100 %$", text, re.MULTILINE) or "versions of files" in text
    found = json.loads(mvc("count-objects", "--json", cwd=models).out)
    raw = 2 * len(model(WEIGHTS)) + (models / "log.txt").stat().st_size
    assert found["savings"]["raw"] >= raw
    assert found["savings"]["raw"] > found["savings"]["deduplicated"] >= found["coded"] - 4096
    assert (
        found["stored"]
        <= found["on_disk"]
        == sum(p.stat().st_size for p in (models / ".mvc").rglob("*") if p.is_file())
    )
    assert sum(one["stored"] for one in found["codecs"]) == found["chunks"]["stored_bytes"]


def test_count_objects_of_nothing(mvc: Mvc, repo: Path) -> None:
    assert mvc("count-objects", cwd=repo).out == "0 objects, 0 chunks, 0 B\n"
    assert mvc("count-objects", "-v", cwd=repo).out


def test_unlock(mvc: Mvc, history: History) -> None:
    path = history.path
    assert mvc("unlock", cwd=path).err == "no lock stands\n"
    lock = path / ".mvc/refs/heads/main.lock"
    lock.write_text("0" * 40 + "\n")  # as real git leaves it
    ran = mvc("unlock", cwd=path, code=5)
    assert "may still hold 'refs/heads/main.lock'" in ran.err and "mvc unlock --force" in ran.err
    assert lock.exists()
    assert mvc("unlock", "-n", cwd=path).out.startswith("refs/heads/main.lock  ")
    assert "nobody is there to answer" in mvc("unlock", "--force", cwd=path, code=2).err
    assert lock.exists()
    assert mvc("unlock", "--force", "--yes", cwd=path).out.startswith("broke refs/heads/main.lock")
    assert not lock.exists()


def test_unlock_of_a_dead_process(mvc: Mvc, repo: Path) -> None:
    root = str(Path(__file__).resolve().parents[2])
    lock = repo / ".mvc/locks/stage.lock"
    lock.parent.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-c", KILLED, lock], env={**os.environ, "PYTHONPATH": root}, check=False)
    assert lock.exists()
    document = json.loads(mvc("unlock", "-n", "--json", cwd=repo).out)
    assert [(one["name"], one["stale"], one["broken"]) for one in document["locks"]] == [
        ("locks/stage.lock", True, False)
    ]
    assert "its process is gone" in mvc("unlock", cwd=repo).out
    assert not lock.exists()


def test_upgrade(mvc: Mvc, repo: Path) -> None:
    assert mvc("upgrade", cwd=repo).out == "format 1 is the newest that this mvc knows: nothing to do\n"
    assert json.loads(mvc("upgrade", "--json", cwd=repo).out)["after"] == 1
    git(repo, "config", "mvc.format", "99")
    assert "format 99" in mvc("upgrade", cwd=repo, code=6).err
