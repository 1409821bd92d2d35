"""`mvc import` and `mvc export` from the command line: what they print, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.world import Mvc
from tests.importers.making import DvcProject, LfsProject, hub_cache, mlruns, noise, put


def test_dvc_and_back(mvc: Mvc, repo: Path, tmp_path: Path) -> None:
    project = DvcProject(tmp_path / "project")
    put(project.path / "params.yaml", "lr: 0.1\n")
    digest = project.add("model.bin", noise(1))
    source = project.commit("first")
    assert mvc("import", "dvc", "../project", "-n", cwd=repo).out == (
        "would import 1 commit of 1: 2 contents, 100 kB\n"
    )
    ran = mvc("import", "dvc", "../project", cwd=repo)
    assert ran.lines[0] == "imported 1 commit of 1: 2 new contents"
    assert "the worktree is as it was" in ran.out
    document = json.loads(mvc("import", "dvc", "../project", "--json", cwd=repo).out)
    assert (document["schema"], document["kind"], document["new"]) == (1, "import", 0)
    assert document["commits"] == {source: mvc("rev-parse", "main", cwd=repo).out.strip()}
    mvc("restore", ".", cwd=repo)
    assert (repo / "model.bin").read_bytes() == noise(1)
    assert "nothing" in mvc("status", cwd=repo).out or "clean" in mvc("status", cwd=repo).out
    assert "lr" in mvc("log", cwd=repo).out
    ran = mvc("export", "dvc", "../out", cwd=repo)
    assert ran.lines[0] == "wrote 1 commit of 1: 1 content, 100 kB"
    assert "next: cd ../out && git checkout && dvc checkout" in ran.err
    assert (tmp_path / "out/.dvc/cache/files/md5" / digest[:2] / digest[2:]).is_file()
    assert json.loads(mvc("export", "dvc", "../out", "--json", cwd=repo).out)["new"] == 0


def test_missing_contents(mvc: Mvc, repo: Path, tmp_path: Path) -> None:
    project = DvcProject(tmp_path / "project")
    project.cache(project.add("lost.bin", noise(1)), b"").unlink()
    project.commit("first")
    ran = mvc("import", "dvc", "../project", cwd=repo, code=5)
    assert "'lost.bin'" in ran.err
    assert "--allow-missing" in ran.err
    ran = mvc("import", "dvc", "../project", "--allow-missing", cwd=repo)
    assert "left out, as the source lacks its content: lost.bin" in ran.err
    (tmp_path / "bad").mkdir()
    put(tmp_path / "bad/.dvc/config", "")
    assert mvc("import", "dvc", "../bad", cwd=repo, code=4)
    assert mvc("import", "dvc", "../nowhere", cwd=repo, code=4)


def test_git_lfs(mvc: Mvc, repo: Path, tmp_path: Path) -> None:
    project = LfsProject(tmp_path / "project")
    project.add("w.bin", noise(1))
    project.commit("first")
    mvc("import", "git-lfs", "../project", "--prefix", "bert", cwd=repo)
    assert mvc("export", "git-lfs", "../out", "bert/main", "--json", cwd=repo)
    assert (tmp_path / "out/.git/refs/heads/bert/main").is_file()
    put(project.path / ".git/lfs/objects/.keep", b"")
    ran = mvc("export", "git-lfs", str(project.path), cwd=repo, code=5)
    assert "no export made it" in ran.err


def test_mlflow(mvc: Mvc, repo: Path) -> None:
    mlruns(repo, {"w.bin": noise(1)})
    ran = mvc("import", "mlflow", cwd=repo)
    assert "runs/first-run-46bda08d/2" in ran.out
    assert "tags/ner-model/v1" in ran.out
    assert "ner-model-champion" in mvc("alias", cwd=repo).out
    assert "first-run" in mvc("runs", "list", cwd=repo).out


def test_hub_cache(mvc: Mvc, repo: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    hub_cache(hub, "acme/ner", {"1" * 40: {"config.json": b"{}"}}, {"main": "1" * 40})
    ran = mvc("import", "hf-cache", cwd=repo, HF_HUB_CACHE=str(hub))
    assert "acme/ner/main" in ran.out
    ran = mvc("export", "hf-cache", "../out", "acme/ner/main", "--name", "acme/ner", cwd=repo)
    assert ran.lines[0] == f"wrote 1 content, 2 B, to {tmp_path}/out/models--acme--ner"
    assert mvc("import", "hf-cache", "../nothing", cwd=repo, code=4)
    assert mvc("export", "hf-cache", "../out", "acme/ner/main", "--name", "../x", cwd=repo, code=2)


def test_safetensors(mvc: Mvc, repo: Path, tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    np.save(repo / "w.npy", np.arange(20_000))
    mvc("add", "w.npy", cwd=repo)
    mvc("commit", "-m", "w", cwd=repo)
    ran = mvc("export", "safetensors", "../out", cwd=repo)
    assert "w.safetensors  1 tensor, 160 kB" in ran.out
    assert (tmp_path / "out/w.safetensors").is_file()
    assert mvc("export", "safetensors", "../out", "HEAD", "x", cwd=repo, code=4)
