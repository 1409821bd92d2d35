from __future__ import annotations

import numpy as np
import pytest

from mvc.formats.base import Tensor
from mvc.objects.manifest import ChunkRef, Manifest, ManifestSegment
from mvc.ops.tensor_changes import TensorStatus, tensor_changes
from tests.models import safetensors_bytes
from tests.ops.world import World


def weights(seed: int = 0, **more: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    names = ("embed", "layer.0", "layer.1")
    return {**{name: rng.standard_normal((128, 256), dtype=np.float32) for name in names}, **more}


@pytest.fixture
def tuned(world: World) -> World:
    """A model whose layer.1 changed, with params and metrics; a text that changed, one removed, one renamed."""
    world.write("m.safetensors", safetensors_bytes(weights()))
    world.write("notes", "one\n")
    world.write("gone", "x")
    world.write("old-name", "moved")
    world.mvc("add", ".")
    world.mvc("commit", "-m", "base", "--no-environment", "--param", "lr=0.1", "--metric", "acc=0.8")
    changed = weights()
    changed["layer.1"] = changed["layer.1"] + 1
    changed["layer.0"] = changed["layer.0"].astype(np.float16)
    changed["head"] = np.zeros((4, 4), np.float32)
    del changed["embed"]
    world.write("m.safetensors", safetensors_bytes(changed))
    world.write("notes", "two\n")
    (world.path / "gone").unlink()
    (world.path / "old-name").rename(world.path / "new-name")
    world.mvc("add", "-A")
    world.mvc("commit", "-m", "tuned", "--no-environment", "--param", "lr=0.2", "--metric", "acc=0.9")
    return world


def test_between_commits(tuned: World) -> None:
    out = tuned.mvc("diff", "HEAD~1", "HEAD").out
    assert out == tuned.mvc("diff", "HEAD~1..HEAD").out == tuned.mvc("diff", "HEAD~1...").out
    for line in (
        "+ head     F32 4×4",
        "- embed    F32 128×256",
        "~ layer.0  F32 128×256 -> F16 128×256",
        "~ layer.1  F32 128×256",
        "D  gone",
        "R  old-name -> new-name",
        "4 files changed",
        "params   lr   0.1 -> 0.2",
        "metrics  acc  0.8 -> 0.9",
    ):
        assert line in out, line


def test_json(tuned: World) -> None:
    found = tuned.mvc("diff", "HEAD~1", "HEAD", "--json").json
    assert found["schema"] == 1
    files = {one["path"]: one for one in found["files"]}
    assert files["gone"]["status"] == "deleted" and files["new-name"]["old_path"] == "old-name"
    changes = {one["name"]: one["status"] for one in files["m.safetensors"]["tensor_changes"]}
    assert changes == {"embed": "removed", "head": "added", "layer.0": "recast", "layer.1": "changed"}
    assert [(one["group"], one["name"], one["new"]) for one in found["metadata"]] == [
        ("params", "lr", 0.2),
        ("metrics", "acc", 0.9),
    ]


def test_names(tuned: World) -> None:
    assert tuned.mvc("diff", "HEAD~1", "HEAD", "--name-only").out.split() == [
        "gone",
        "m.safetensors",
        "new-name",
        "notes",
    ]
    assert tuned.mvc("diff", "HEAD~1", "HEAD", "--name-status").out.splitlines() == [
        "D\tgone",
        "M\tm.safetensors",
        "R100\told-name\tnew-name",
        "M\tnotes",
    ]
    plain = tuned.mvc("diff", "HEAD~1", "HEAD", "--name-status", "--no-renames").out.splitlines()
    assert "A\tnew-name" in plain and "D\told-name" in plain
    assert tuned.mvc("diff", "HEAD~1", "HEAD", "--name-only", "--", "notes").out == "notes\n"


def test_stat_and_markdown(tuned: World) -> None:
    stat = tuned.mvc("diff", "--stat", "HEAD~1", "HEAD").out
    assert "1 of 4 tensors changed, 1 added, 1 removed, 1 recast" in stat
    text = tuned.mvc("diff", "--md", "HEAD~1", "HEAD").out
    assert "| M | `m.safetensors` |" in text and "| params | `lr` | 0.1 | 0.2 |" in text


def test_exit_code(tuned: World) -> None:
    assert tuned.mvc("diff", "--exit-code").out == ""
    tuned.mvc("diff", "--exit-code", "HEAD~1", code=1)
    assert tuned.mvc("diff", "HEAD", "HEAD").out == ""


def test_worktree_and_stage(tuned: World) -> None:
    changed = weights()
    changed["layer.1"] = changed["layer.1"] * 2
    tuned.write("m.safetensors", safetensors_bytes(changed))
    (tuned.path / "notes").unlink()
    tuned.write("untracked", "x")
    out = tuned.mvc("diff").out
    assert "D  notes" in out and "M  m.safetensors" in out and "untracked" not in out
    assert "~ layer.1  F32 128×256" in out and "+ embed" in out
    assert tuned.mvc("diff", "--staged").out == ""
    tuned.mvc("add", "m.safetensors")
    assert tuned.mvc("diff", "--name-status").out == "D\tnotes\n"
    staged = tuned.mvc("diff", "--staged").out
    assert "~ layer.1  F32 128×256" in staged and "+ embed" in staged
    assert tuned.mvc("diff", "HEAD", "--name-status").out == "M\tm.safetensors\nD\tnotes\n"
    assert tuned.mvc("diff", "--staged", "HEAD~1", "--name-only").out.split() == [
        "gone",
        "m.safetensors",
        "new-name",
        "notes",
    ]


def test_worktree_against_another_commit(tuned: World) -> None:
    tuned.write("notes", "three\n")
    rows = tuned.mvc("diff", "HEAD~1", "--name-status", "--no-renames").out.splitlines()
    assert sorted(rows) == ["A\tnew-name", "D\tgone", "D\told-name", "M\tm.safetensors", "M\tnotes"]
    tuned.write("notes", "one\n")


def test_conflicts_are_shown(tuned: World) -> None:
    tuned.mvc("switch", "-c", "other", "HEAD~1")
    tuned.commit("other", notes="three")
    tuned.mvc("merge", "main", code=1)
    assert "U\tnotes" in tuned.mvc("diff", "--name-status").out


def test_values(tuned: World) -> None:
    out = tuned.mvc("diff", "--tensors", "HEAD~1", "HEAD").out
    assert "rel. norm" in out and "layer.1" in out and "100.0 %" in out
    changed = weights()
    del changed["embed"]
    tuned.write("m.safetensors", safetensors_bytes(changed))
    found = tuned.mvc("diff", "--tensors", "--json").json
    by_name = {one["name"]: one for one in found["files"][0]["tensor_changes"]}
    assert by_name["layer.1"]["delta"]["share"] == 1.0
    assert by_name["layer.1"]["delta"]["largest"] == pytest.approx(1.0, abs=1e-5)


def test_too_many_revisions(tuned: World) -> None:
    tuned.mvc("diff", "HEAD", "HEAD~1", "HEAD", code=2)
    tuned.mvc("diff", "nowhere", code=4)


def test_diff_before_the_first_commit(world: World) -> None:
    world.write("a", "1")
    world.mvc("add", "a")
    assert world.mvc("diff", "--staged", "--name-status").out == "A\ta\n"


def segment(
    name: str, *chunks: bytes, dtype: str = "F32", shape: tuple[int, ...] = (1,), nan: int | None = 0
) -> ManifestSegment:
    refs = tuple(ChunkRef(chunk.ljust(32), 4) for chunk in chunks)
    return ManifestSegment("tensor", 4 * len(refs), Tensor(name, dtype, shape), refs, (), nan, 0)


def manifest(*segments: ManifestSegment) -> Manifest:
    return Manifest(sum(one.length for one in segments), bytes(32), "safetensors", "1", segments)


def test_a_renamed_tensor_is_told_apart() -> None:
    old = manifest(segment("a", b"1"), segment("b", b"2"))
    new = manifest(segment("module.a", b"1"), segment("b", b"2"), segment("c", b"1"))
    found = tensor_changes(old, new)
    assert [(one.status, one.name) for one in found.changes] == [
        (TensorStatus.RENAMED, "module.a"),
        (TensorStatus.ADDED, "c"),
    ]
    assert found.unchanged == 1


def test_nan_that_came_in() -> None:
    found = tensor_changes(manifest(segment("a", b"1", nan=1)), manifest(segment("a", b"2", nan=4)))
    assert found.changes[0].new_nan == 3
    unknown = tensor_changes(manifest(segment("a", b"1")), manifest(segment("a", b"2", nan=None)))
    assert unknown.changes[0].new_nan is None


def test_reshaped_and_bytes_around() -> None:
    header = ManifestSegment("header", 4, None, (ChunkRef(b"h".ljust(32), 4),))
    other = ManifestSegment("header", 4, None, (ChunkRef(b"i".ljust(32), 4),))
    one = tensor_changes(
        manifest(header, segment("a", b"1", shape=(2, 2))), manifest(other, segment("a", b"1", shape=(4,)))
    )
    assert one.changes[0].status is TensorStatus.RESHAPED and one.other_bytes_differ


def test_weights_beside_an_onnx_model(world: World) -> None:
    """The .onnx file that names the tensors did not change: they are found all the same, before `add` and after it."""
    onnx = pytest.importorskip("onnx")
    values = {name: value for name, value in weights().items()}
    graph = onnx.helper.make_graph(
        [], "g", [], [], initializer=[onnx.numpy_helper.from_array(value, name) for name, value in values.items()]
    )
    onnx.save(onnx.helper.make_model(graph), world.path / "m.onnx", save_as_external_data=True, location="m.data")
    world.mvc("add", ".")
    world.mvc("commit", "-m", "base", "--no-environment")
    data = bytearray((world.path / "m.data").read_bytes())
    data[-4:] = b"\0\0\0\0"  # the end of layer.1
    (world.path / "m.data").write_bytes(data)
    before = world.mvc("diff").out
    assert "1 of 3 tensors changed" in before and "~ layer.1  F32 128×256" in before
    world.mvc("add", "-u")
    assert world.mvc("diff", "--staged").out == before
