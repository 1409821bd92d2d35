"""Sources that the real tools wrote (make_golden.py), and, where they are installed, the tools themselves."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from mvc.importers.dvc import DvcSource
from mvc.importers.lfs import LfsSource
from mvc.importers.mlflow import MlflowSource
from mvc.metadata.model import Dataset, Point
from mvc.ops.alias import list_aliases
from tests.importers.importing import Target
from tests.importers.make_golden import MLFLOW, weights
from tests.importers.making import ENVIRONMENT, md5

DATA = Path(__file__).parent / "data"


@pytest.fixture
def unpacked(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    name = request.param
    with tarfile.open(DATA / f"{name}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="fully_trusted")
    return tmp_path / name


@pytest.mark.parametrize("unpacked", ["dvc3", "dvc2"], indirect=True)
def test_dvc(unpacked: Path, target: Target) -> None:
    done = target.take(DvcSource(unpacked, {}))
    assert (done.new, done.missing, done.warnings) == (3, (), ())
    files = target.files("main")
    assert files["model.bin"] == files["out.bin"] == weights(2)
    assert files["data/a.csv"] == b"a,b\r\n" * 20_000
    assert files["cached.json"] == b'{"acc": 0.5}'
    assert "data/b.txt" not in files
    before = target.files("v1")
    assert before["model.bin"] == weights(1)
    assert before["data/b.txt"] == b"b\n"
    assert sorted(target.files("v1~1")) == [
        ".gitignore",
        "data/a.csv",
        "data/b.txt",
        "model.bin",
        "params.yaml",
        "small.json",
    ]
    known = target.known("v1")
    assert (known.params, known.metrics) == ({"lr": 0.1}, {"acc": 0.5})
    assert known.datasets == (Dataset("model.bin", "model.bin", f"md5:{md5(weights(1))}", 70_000),)
    commit = target.commit("v1")
    assert (str(commit.author), str(commit.committer)) == (
        "Ann Other <ann@example.org>",
        "Con Mitter <con@example.org>",
    )
    target.check()


@pytest.mark.parametrize("unpacked", ["lfs"], indirect=True)
def test_git_lfs(unpacked: Path, target: Target) -> None:
    target.take(LfsSource(unpacked))
    assert target.files("main")["model.bin"] == weights(2)
    assert target.files("main~1")["model.bin"] == weights(1)
    target.check()


@pytest.mark.parametrize("unpacked", ["mlflow-files", "mlflow-db"], indirect=True)
def test_mlflow(unpacked: Path, target: Target) -> None:
    check_mlflow(unpacked, target)


def check_mlflow(store: Path, target: Target) -> None:
    """Both kinds of store say the same."""
    done = target.take(MlflowSource(store))
    assert (done.new, done.missing, done.warnings) == (2, (), ())
    assert target.files("ner-model/v1") == {"model/w.bin": weights(1), "notes/a.txt": b"hi"}
    run = target.commit("ner-model/v1")
    assert run.message == "first run\n\nA note.\n"
    known = target.known("ner-model/v1")
    assert known.params == {"lr": 0.01, "opt.name": "adam"}
    assert known.metrics["val/loss"] == 1 / 3
    assert math.isnan(known.metrics["bad"])
    assert known.series == tuple(Point(step, {"val/loss": 1 / (step + 1)}) for step in range(3))
    assert known.tags == {"experiment": "ner", "task": "ner", "run.name": "first run", "run.status": "finished"}
    assert {one.name for one in list_aliases(target.repo)} == {"ner-model-champion", "ner-model-production"}
    (child,) = [ref for ref in target.repo.refs.list("refs/runs/") if "/child-" in ref and ref.endswith("/0")]
    assert target.known(child).links["mlflow.parent"] == known.links["mlflow.run"]
    target.check()


@pytest.mark.parametrize("uri", ["file:./mlruns", "sqlite:///mlflow.db"])
def test_what_mlflow_writes_now(target: Target, tmp_path: Path, uri: str) -> None:
    pytest.importorskip("mlflow")
    if uri.startswith("sqlite"):
        pytest.importorskip("sqlalchemy")
    (tmp_path / "w.bin").write_bytes(weights(1))
    store = tmp_path / "store"
    store.mkdir()
    environment = ENVIRONMENT | {
        "HOME": str(tmp_path),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-c", MLFLOW, uri, str(tmp_path / "w.bin")]
    subprocess.run(command, cwd=store, env=environment, check=True, capture_output=True)
    check_mlflow(store, target)


def test_what_dvc_writes_now(target: Target, tmp_path: Path) -> None:
    pytest.importorskip("dvc")
    environment = ENVIRONMENT | {
        "HOME": str(tmp_path),
        "DVC_NO_ANALYTICS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, text=True)
        return done.stdout

    def dvc(*arguments: str) -> str:
        return run(sys.executable, "-m", "dvc", *arguments)

    run("git", "init", "-q", "-b", "main")
    dvc("init", "-q")
    dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    (project / "model.bin").write_bytes(weights(1))
    (project / "data/x.txt").write_bytes(b"x\r\n")
    dvc("add", "-q", "model.bin", "data")
    run("git", "add", "-A")
    run("git", "commit", "-q", "-m", "one")
    dvc("push", "-q")
    cache = project / ".dvc/cache"
    cache.rename(tmp_path / "gone")
    done = target.take(DvcSource(project, {}))
    assert (done.new, done.missing) == (1, ())
    assert target.files("main")["model.bin"] == weights(1)
    assert target.files("main")["data/x.txt"] == b"x\r\n"
    assert json.dumps(sorted(target.files("main"))) == '[".gitignore", "data/x.txt", "model.bin"]'
