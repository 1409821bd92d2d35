"""`diff` of models in several files, and of models so small that they are plain blobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import safetensors_bytes
from tests.ops.world import World

Tensors = Mapping[str, np.ndarray[Any, Any]]


def weights(count: int = 6, width: int = 96) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return {f"layer.{number}": rng.standard_normal((width, width), dtype=np.float32) for number in range(count)}


def shards(world: World, tensors: Tensors, cuts: Sequence[int], stem: str = "model") -> None:
    """Write the model in as many files as there are cuts, and one more; remove its other files."""
    for path in world.path.glob(f"{stem}*.safetensors"):
        path.unlink()
    names, edges = list(tensors), [0, *cuts, len(tensors)]
    for number in range(len(edges) - 1):
        part = {name: tensors[name] for name in names[edges[number] : edges[number + 1]]}
        mark = f"-{number + 1:05}-of-{len(edges) - 1:05}" if cuts else ""
        world.write(f"{stem}{mark}.safetensors", safetensors_bytes(part))


def told(world: World, *arguments: str) -> dict[str, dict[str, Any]]:
    """Each tensor that is told of, by its name: all of them by one file alone."""
    found: dict[str, dict[str, Any]] = {}
    for one in world.mvc("diff", "--json", *arguments).json["files"]:
        for change in one.get("tensor_changes", ()):
            assert change["name"] not in found
            found[change["name"]] = {**change, "path": one["path"]}
    return found


@pytest.mark.parametrize("width", [96, 24], ids=["chunked", "blobs"])
@pytest.mark.parametrize(("before", "after"), [([3], [1]), ([3], [2, 4]), ([], [3]), ([2, 4], [])])
def test_tensors_that_move_to_another_shard(world: World, before: list[int], after: list[int], width: int) -> None:
    tensors = weights(width=width)
    shards(world, tensors, before)
    world.commit("one")
    tensors["layer.2"] = tensors["layer.2"] + 1
    tensors["layer.4"] = tensors["layer.4"].astype(np.float16)
    shards(world, tensors, after)
    world.mvc("add", "-A")
    staged = told(world, "--staged", "--tensors")
    world.commit("two")
    found = told(world, "HEAD~1", "HEAD", "--tensors")
    assert found == staged
    expected = {name: "moved" for name in tensors} | {"layer.2": "changed", "layer.4": "recast"}
    for name, change in found.items():
        assert change["status"] == expected[name], change
        assert change["old_path"] != change["path"]
    assert {"layer.2", "layer.4"} <= set(found)
    assert found["layer.2"]["delta"]["share"] == 1.0 and found["layer.4"]["delta"]["relative_norm"] < 0.001
    out = world.mvc("diff", "HEAD~1", "HEAD").out
    assert "- layer" not in out and "+ layer" not in out and "moved here from model" in out
    assert world.mvc("diff", "HEAD~1", "HEAD", "--md").out.count("moved") >= 1


def test_counts_are_in_the_row_of_the_file(world: World) -> None:
    tensors = weights()
    shards(world, tensors, [3])
    world.commit("one")
    shards(world, tensors, [2])
    world.commit("two")
    out = world.mvc("show", "HEAD").out
    assert "1 moved away" in out and "1 moved" in out
    found = world.mvc("diff", "HEAD~1", "HEAD", "--json").json["files"]
    assert [(one["tensors"]["moved"], one["tensors"]["moved_away"]) for one in found] == [(0, 1), (1, 0)]
    assert [one["tensors"]["unchanged"] for one in found] == [2, 3]


def test_in_the_worktree(world: World) -> None:
    tensors = weights()
    shards(world, tensors, [3])
    world.commit("one")
    tensors["layer.2"] = tensors["layer.2"] * 2
    shards(world, tensors, [2])
    found = told(world, "--tensors")
    assert {name: change["status"] for name, change in found.items()} == {"layer.2": "changed"}
    assert found["layer.2"]["old_path"] == "model-00001-of-00002.safetensors"
    assert found["layer.2"]["delta"]["share"] == 1.0


def test_models_that_are_not_one_stay_apart(world: World) -> None:
    """A checkpoint that goes and another that comes, though their tensors have the same names."""
    shards(world, weights(), [], stem="step1")
    world.commit("one")
    (world.path / "step1.safetensors").unlink()
    world.write("step2.safetensors", safetensors_bytes({name: a + 1 for name, a in weights().items()}))
    world.commit("two")
    found = world.mvc("diff", "HEAD~1", "HEAD", "--json").json["files"]
    assert [(one["status"], one["tensors"]) for one in found] == [("deleted", None), ("added", None)]


def test_between_files_of_a_folder(world: World) -> None:
    """Both are in both versions, so a name that went from one to the other has moved."""
    tensors = weights(4)
    first, last = list(tensors)[:2], list(tensors)[2:]
    world.write("encoder.safetensors", safetensors_bytes({name: tensors[name] for name in first}))
    world.write("head.safetensors", safetensors_bytes({name: tensors[name] for name in last}))
    world.commit("one")
    world.write("encoder.safetensors", safetensors_bytes({name: tensors[name] for name in first[:1]}))
    world.write("head.safetensors", safetensors_bytes({name: tensors[name] for name in (*last, first[1])}))
    world.commit("two")
    found = told(world, "HEAD~1", "HEAD")
    assert [(one["name"], one["status"], one["old_path"]) for one in found.values()] == [
        (first[1], "moved", "encoder.safetensors")
    ]


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_no_tensor_is_lost_or_told_twice(world: World, data: st.DataObject) -> None:
    tensors = weights(5, width=40)
    cuts = st.lists(st.integers(0, 5), max_size=3).map(sorted)
    for message in ("one", "two"):
        shards(world, tensors, data.draw(cuts))
        world.mvc("add", "-A")
        world.mvc("commit", "-m", message, "--allow-empty", "--no-environment")
    for change in told(world, "HEAD~1", "HEAD").values():
        assert change["status"] == "moved"


def test_a_small_model(world: World) -> None:
    tensors: dict[str, np.ndarray[Any, Any]] = {
        "lora.a": np.arange(64, dtype=np.float32).reshape(8, 8),
        "lora.b": np.zeros(4),
    }
    world.write("adapter.safetensors", safetensors_bytes(tensors))
    np.save(world.path / "scale.npy", np.ones(8, np.float32))
    world.write("empty", "")
    world.commit("one")
    tensors["lora.a"] = tensors["lora.a"] * np.float32(2)
    world.write("adapter.safetensors", safetensors_bytes(tensors))
    np.save(world.path / "scale.npy", np.full(8, 3, np.float32))
    world.write("empty", "x")
    edited = told(world, "--tensors")
    assert set(edited) == {"lora.a", "array"} or set(edited) == {"lora.a", ""}, edited
    assert edited["lora.a"]["delta"]["relative_norm"] == 1.0
    world.commit("two")
    assert told(world, "HEAD~1", "HEAD", "--tensors") == edited
    assert "1 of 2 tensors changed" in world.mvc("show", "HEAD").out


def test_a_model_that_grows_out_of_a_blob(world: World) -> None:
    """Its tensors are cut alike on both sides of 64 KiB: what is equal is told as equal."""
    tensors: dict[str, np.ndarray[Any, Any]] = {"a": np.arange(8000, dtype=np.float32), "b": np.ones(8, np.float32)}
    world.write("m.safetensors", safetensors_bytes(tensors))
    world.commit("one")
    tensors |= {"b": tensors["b"] * 2, "c": np.arange(16000, dtype=np.float32)}
    world.write("m.safetensors", safetensors_bytes(tensors))
    for arguments in (["--tensors"], ["HEAD", "--tensors"]):
        found = told(world, *arguments)
        assert {name: one["status"] for name, one in found.items()} == {"b": "changed", "c": "added"}
        assert found["b"]["delta"]["relative_norm"] == 1.0
    world.commit("two")
    assert told(world, "HEAD", "HEAD~1", "--tensors")["b"]["delta"]["relative_norm"] == 0.5


def test_a_file_that_only_says_that_it_is_a_model(world: World) -> None:
    for content in (
        b"\x08\0\0\0\0\0\0\0{]      ",
        b"GGUF\3\0\0\0" + b"\xff" * 40,
        b"\x93NUMPY\1\0\xff\xff" + b"x" * 99,
    ):
        world.write("m.safetensors", content)
        world.mvc("add", ".")
        world.mvc("commit", "-m", "x", "--no-environment")
        world.write("m.safetensors", content + b"more")
        assert world.mvc("diff", "--tensors", "--json").json["files"][0]["tensors"] is None


def test_a_model_in_which_no_tensor_is_known(world: World) -> None:
    """Big-endian, compressed: all that can be said is that its bytes differ."""
    for number in range(2):
        np.save(world.path / "big.npy", np.full(100, number, ">f4"))
        np.savez_compressed(world.path / "packed.npz", w=np.full(100, number, np.float32))
        world.mvc("add", ".")
        world.mvc("commit", "-m", "x", "--no-environment")
    out = world.mvc("diff", "HEAD~1", "HEAD").out
    assert "big.npy" in out and "tensor" not in out


def test_names_that_would_break_a_table(world: World) -> None:
    name = "a\nM  other.safetensors\t\x1b[31m"
    for number in range(2):
        world.write("m.safetensors", safetensors_bytes({name: np.full(20_000, number + 1, np.float32)}))
        world.mvc("add", ".")
        world.mvc("commit", "-m", "x", "--no-environment")
    for arguments in (["diff", "HEAD~1", "HEAD"], ["show", "HEAD:m.safetensors"]):
        for more in ([], ["--tensors"]) if arguments[0] == "diff" else ([],):
            out = world.mvc(*arguments, *more).out
            assert "\nM  other" not in out and "\x1b" not in out, out
