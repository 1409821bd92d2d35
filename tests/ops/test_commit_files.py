from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mvc.errors import NotFound, RefChanged, Refused, UnsafePath, UsageError
from mvc.metadata.model import CommitMetadata
from mvc.objects.model import Signature
from mvc.ops.caller import Caller
from mvc.ops.commit_files import CommitFilesOptions, commit_files
from tests.formats.making import onnx_model, onnx_tensor, proto
from tests.ops.world import World

CALLER = Caller(Signature("Job", "job@example.org", 1_700_000_000, 60))


@pytest.fixture
def based(world: World) -> World:
    world.commit("base", a="1", sub__b="1")
    return world


def test_nothing_but_the_ref_moves(based: World, tmp_path: Path) -> None:
    source = tmp_path / "weights.bin"
    source.write_bytes(b"w" * 200_000)
    stage = (based.path / ".mvc" / "stage").read_bytes()
    done = commit_files(
        based.repo,
        "runs",
        {"m/weights.bin": source, "notes": b"text", "big": b"z" * 100_000},
        "step 1",
        CommitFilesOptions(metadata=CommitMetadata(params={"lr": 0.1}), start="main"),
        caller=CALLER,
    )
    assert done.ref == "refs/heads/runs" and done.parents == (based.head(),)
    assert based.git("rev-parse", "runs") == done.id
    assert based.git("log", "-1", "--format=%an %s", "runs") == "Job step 1"
    assert based.git("show", "runs:notes") == "text" and based.git("show", "runs:sub/b") == "1"
    assert based.git("show", "runs:.mvcmeta/params.yaml") == "lr: 0.1"
    assert based.git("reflog", "--format=%gs", "runs") == "commit: step 1"
    assert based.files() == {"a": "1", "sub/b": "1"}
    assert (based.path / ".mvc" / "stage").read_bytes() == stage
    based.mvc("switch", "runs")
    assert based.files()["m/weights.bin"] == "w" * 200_000 and based.files()["big"] == "z" * 100_000


def test_a_new_ref_without_a_start_has_no_parent(based: World) -> None:
    done = commit_files(based.repo, "refs/heads/alone", {"x": b"1"}, "alone", caller=CALLER)
    assert done.parents == ()
    assert based.git("ls-tree", "-r", "--name-only", "alone") == "x"


def test_removals_and_replacement(based: World) -> None:
    commit_files(based.repo, "main", {"a": None, "c": b"1"}, "next", caller=CALLER)
    assert based.git("ls-tree", "-r", "--name-only", "main").split() == ["c", "sub/b"]
    commit_files(based.repo, "main", {"d": b"1"}, "only", CommitFilesOptions(replace_all=True), caller=CALLER)
    assert based.git("ls-tree", "-r", "--name-only", "main").split() == ["d"]
    based.mvc("reset", "--hard")


def test_what_is_refused(based: World, tmp_path: Path) -> None:
    repo = based.repo
    with pytest.raises(Refused, match="nothing to commit"):
        commit_files(repo, "main", {"a": b"1"}, "same", caller=CALLER)
    with pytest.raises(UnsafePath):
        commit_files(repo, "main", {".mvc/config": b"x"}, "x", caller=CALLER)
    with pytest.raises(UsageError):
        commit_files(repo, "main", {"x": b"x"}, " ", caller=CALLER)
    with pytest.raises(NotFound):
        commit_files(repo, "main", {"x": tmp_path / "none"}, "x", caller=CALLER)
    with pytest.raises(RefChanged):
        commit_files(repo, "main", {"x": b"x"}, "x", CommitFilesOptions(expected="0" * 40), caller=CALLER)
    done = commit_files(repo, "main", {"a": b"1"}, "same", CommitFilesOptions(allow_empty=True), caller=CALLER)
    assert based.git("rev-parse", "main") == done.id
    assert list((based.path / ".mvc" / "tmp").iterdir()) == []


SCRIPT = """
import sys
from pathlib import Path
from mvc.repo.repository import Repository
from tests.ops.test_commit_files import CALLER, commit_files
repo = Repository.discover(Path(sys.argv[1]))
for number in range(5):
    name = f"{sys.argv[2]}{number}"
    commit_files(repo, "runs", {name: name.encode() * 20_000}, name, caller=CALLER)
"""


def test_several_processes_at_once_each_get_in(based: World) -> None:
    commit_files(based.repo, "runs", {"first": b"1"}, "first", caller=CALLER)
    running = [subprocess.Popen([sys.executable, "-c", SCRIPT, str(based.path), name]) for name in "abc"]
    assert [one.wait() for one in running] == [0, 0, 0]
    names = {f"{name}{number}" for name in "abc" for number in range(5)}
    assert set(based.subjects("runs")) == {"first", *names}
    assert set(based.git("ls-tree", "--name-only", "runs").split()) == {"first", *names}
    based.mvc("switch", "runs")
    assert based.files()["c4"] == "c4" * 20_000


@pytest.mark.parametrize("graph_of", ["small", "chunked"])
@pytest.mark.parametrize("how", ["weights alone", "graph as bytes", "graph is replaced by another"])
def test_weights_of_an_onnx_model(world: World, tmp_path: Path, how: str, graph_of: str) -> None:
    """The .onnx file that says where their tensors lie is in the ref's commit, or comes along."""
    values = np.random.default_rng(0).standard_normal((4, 100, 100)).astype(np.float32)
    tensors = [
        onnx_tensor(f"w{n}", [100, 100], 1, b"", location="m.data", offset=str(n * 40_000), length="40000")
        for n in range(4)
    ]
    noise = np.random.default_rng(1).bytes(200_000 if graph_of == "chunked" else 10)
    graph = onnx_model(*tensors, nodes=(proto(6, noise),))
    data = tmp_path / "weights"
    data.write_bytes(values.tobytes())
    if how == "graph as bytes":
        commit_files(world.repo, "main", {"a/m.onnx": graph, "a/m.data": data}, "base", caller=CALLER)
    else:
        commit_files(world.repo, "main", {"a/m.onnx": graph}, "graph", caller=CALLER)
        commit_files(world.repo, "main", {"a/m.data": data}, "base", caller=CALLER)
    world.mvc("reset", "-q", "--hard")
    assert "w3" in world.mvc("show", "main:a/m.data").out
    values[2] += 1
    data.write_bytes(values.tobytes())
    files: dict[str, Path | bytes] = {"a/m.data": data}
    if how == "graph is replaced by another":
        files["a/m.onnx"] = b"nothing"
    commit_files(world.repo, "main", files, "tuned", caller=CALLER)
    tensors_now = "w3" in world.mvc("show", "main:a/m.data").out
    assert tensors_now == (how != "graph is replaced by another")
    if tensors_now:
        assert "1 of 4 tensors changed" in world.mvc("diff", "main~1", "main").out
