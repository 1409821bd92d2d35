"""`:PATH`: files of the stage by name, as Git has them."""

from __future__ import annotations

import numpy as np
import pytest

from mvc.ops.show import ShownBlob, show
from tests.models import safetensors_bytes
from tests.ops.world import World


def content(world: World, spec: str) -> str:
    return world.git("cat-file", "-p", world.mvc("rev-parse", spec).out.strip())


def test_a_staged_file(world: World) -> None:
    world.commit("one", a="1", sub__b="1")
    world.write("a", "2")
    world.mvc("add", "a")
    world.write("a", "3")
    world.write("m.safetensors", safetensors_bytes({"w": np.arange(40_000, dtype=np.float32)}))
    world.mvc("add", "m.safetensors")
    assert content(world, ":a") == content(world, ":0:a") == "2"
    assert world.mvc("cat-file", "-t", ":sub/b").out == "blob\n"
    assert show(world.repo, ":a") == ShownBlob(":a", world.mvc("rev-parse", ":a").out.strip(), b"2")
    assert "w" in world.mvc("show", ":m.safetensors").out
    out = world.path.parent / "w.npy"
    world.mvc("cat-file", "--tensor", "w", ":m.safetensors", "-o", str(out))
    assert np.array_equal(np.load(out), np.arange(40_000))
    world.mvc("cat-file", "-e", ":none", code=1)
    for spec in (":none", ":1:a", ":0:none"):
        assert "in the stage" in world.mvc("show", spec, code=4).err


def test_the_sides_of_a_conflict(world: World) -> None:
    world.commit("base", a="base")
    world.mvc("branch", "topic")
    world.commit("ours", a="ours")
    world.mvc("switch", "topic")
    world.commit("theirs", a="theirs")
    world.mvc("switch", "main")
    world.run("merge", "topic")
    assert [content(world, f":{side}:a") for side in (1, 2, 3)] == ["base", "ours", "theirs"]
    assert ":2:a" in world.mvc("show", ":a", code=4).err


@pytest.mark.parametrize("spec", [":", "::", ":4:a", ":/none", ":9", ":\udcff"])
def test_what_is_none(world: World, spec: str) -> None:
    world.commit("one", a="1")
    world.mvc("show", spec, code=4)
