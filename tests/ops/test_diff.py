from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mvc.formats.base import Tensor
from mvc.objects.manifest import ChunkRef, Manifest, ManifestSegment
from mvc.ops.tensor_changes import TensorStatus, tensor_changes
from mvc.ops.text_diff import hunks
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
    assert tuned.mvc("diff", "--quiet", "HEAD~1", code=1).out == "" == tuned.mvc("diff", "--quiet").out
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
    assert tuned.mvc("diff").out.splitlines()[0].split() == ["U", "notes", "in", "conflict"]


def test_lines_of_texts(world: World) -> None:
    long = "".join(f"line {number}\n" for number in range(20))
    world.commit("one", config=long, binary="a\0b", end="x\n")
    world.write("config", long.replace("line 9\n", "line nine\x1b[2J\n"))
    world.write("binary", "a\0c")
    world.write("end", "x")
    out = world.mvc("diff").out
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "M binary 3 B",
        "M config 150 B -> 157 B",
        "@@ -7,7 +7,7 @@",
        "line 6",
        "line 7",
        "line 8",
        "-line 9",
        r"+line nine\x1b[2J",
        "line 10",
        "line 11",
        "line 12",
        "M end 2 B -> 1 B",
        "@@ -1 +1 @@",
        "-x",
        "+x",
        r"\ No newline at end of file",
        "3 files changed",
    ]
    hunks = {one["path"]: one.get("hunks") for one in world.mvc("diff", "--json").json["files"]}
    assert hunks["end"] == ["@@ -1 +1 @@", "-x", "+x", r"\ No newline at end of file"] and hunks["binary"] is None
    assert "```diff\n@@ -1 +1 @@\n-x\n+x\n" in world.mvc("diff", "--md").out
    world.mvc("commit", "-am", "two")
    assert r"+line nine" in world.mvc("diff", "HEAD~1", "HEAD").out
    assert "@@" not in world.mvc("diff", "--stat", "HEAD~1", "HEAD").out


@pytest.mark.parametrize("seed", range(20))
def test_hunks_are_those_of_git(seed: int, tmp_path: Path) -> None:
    """A patch from the hunks makes the new text of the old one, as real git applies it."""
    rng = np.random.default_rng(seed)
    old = [f"{number}\n" for number in rng.integers(0, 50, rng.integers(1, 40))]
    new = [f"{number}!\n" if rng.random() < 0.2 else line for number, line in enumerate(old) if rng.random() < 0.9]
    before, after = ("".join(lines)[: None if rng.random() < 0.5 else -1] for lines in (old, new))
    if before == after:
        return
    (tmp_path / "f").write_text(before)
    patch = "\n".join(["--- a/f", "+++ b/f", *hunks(before, after), ""])
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=patch.encode(), check=True)
    assert (tmp_path / "f").read_text() == after


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


def test_figures_of_a_tensor_in_several_blocks(world: World) -> None:
    """Each block is compared by itself; one with NaN and infinite numbers, on both sides, goes another way."""
    rng = np.random.default_rng(3)
    old = rng.standard_normal(200_000)
    new = old + (rng.random(old.size) < 0.3) * rng.standard_normal(old.size) * 1e-3
    old[:2], new[:4] = np.inf, (np.inf, -np.inf, np.nan, np.inf)
    for number, values in enumerate((old, new)):
        world.write("m.safetensors", safetensors_bytes({"w": values}))
        world.mvc("add", ".")
        world.mvc("commit", "-m", str(number), "--no-environment")
    shown = world.mvc("diff", "--tensors", "--json", "HEAD~1", "HEAD")
    assert shown.err == ""
    (file,) = shown.json["files"]
    delta = file["tensor_changes"][0]["delta"]
    a, b = old[4:], new[4:]
    assert (delta["elements"], delta["new_nan"]) == (old.size, 1)
    assert delta["changed"] == 3 + np.count_nonzero(a != b)
    assert delta["largest"] == np.abs(b - a).max()
    assert delta["relative_norm"] == pytest.approx(np.linalg.norm(b - a) / np.linalg.norm(a))
    assert delta["cosine"] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert file["layers"] == [{"name": "w", "tensors": 1, "relative_norm": delta["relative_norm"]}]


def keys(value: object, at: str = "") -> set[str]:
    """Where each key of a document stands: "files.tensors.added"."""
    if isinstance(value, list):
        return set().union(*(keys(one, at) for one in value)) if value else set()
    if isinstance(value, dict):
        return set().union(*({f"{at}.{key}"} | keys(one, f"{at}.{key}") for key, one in value.items()))
    return set()


def test_the_page_tells_each_key_of_the_json(tuned: World) -> None:
    page = (Path(__file__).parents[2] / "docs/commands/diff.md").read_text()
    documented = json.loads(page.split("```json\n")[1].split("```")[0])
    assert keys(documented) == keys(tuned.mvc("diff", "HEAD~1", "HEAD", "--tensors", "--json").json)
