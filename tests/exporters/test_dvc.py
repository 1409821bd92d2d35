"""`mvc export dvc`: round trips, and what real DVC makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mvc.errors import Refused
from mvc.importers.dvc import DvcSource
from mvc.metadata.model import CommitMetadata
from mvc.ops.commit_files import CommitFilesOptions, commit_files
from mvc.ops.export import export_git
from tests.importers.importing import Target
from tests.importers.making import ENVIRONMENT, DvcProject, git, md5, noise, put


def history(project: DvcProject) -> None:
    put(project.path / "params.yaml", "lr: 0.1\n")
    put(project.path / "train.py", "print()\n")
    project.add("model.bin", noise(1))
    project.add_folder("data", {"a.bin": noise(2), "b/c.bin": noise(3)})
    put(project.path / ".gitignore", "/model.bin\n/data\n")
    project.commit("one\n\nbody")
    git(project.path, "tag", "v1")
    project.add("model.bin", noise(4), isexec=True)
    put(project.path / "params.yaml", "lr: 0.2\n")
    project.commit("two")


def _without_ignores(files: dict[str, bytes]) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if not path.endswith(".gitignore")}


def test_there_and_back(target: Target, tmp_path: Path) -> None:
    project = DvcProject(tmp_path / "project")
    history(project)
    target.take(DvcSource(project.path, {}))
    dest = tmp_path / "out"
    done = export_git(target.repo, "dvc", dest, [], caller=target.caller)
    assert (done.new, done.contents) == (2, 4)
    git(dest, "fsck", "--strict")
    shown = "%an %ae %at %cn %ce %ct %B"
    assert git(dest, "log", f"--format={shown}", "main") == git(project.path, "log", f"--format={shown}", "main")
    assert (dest / ".dvc/cache/files/md5" / md5(noise(4))[:2] / md5(noise(4))[2:]).read_bytes() == noise(4)
    again = Target(tmp_path / "again")
    again.take(DvcSource(dest, {}))
    for revision in ("main", "v1"):
        files = target.files(revision)
        found = again.files(revision)
        ignored = found[".gitignore"]
        assert _without_ignores(found) == _without_ignores(files)
        assert b"/model.bin" in ignored
        assert b"/data" not in ignored.split(b"\n")
        assert again.known(revision).params == target.known(revision).params
        assert again.commit(revision).author == target.commit(revision).author


def test_params_and_metrics_without_files(target: Target, tmp_path: Path) -> None:
    metadata = CommitMetadata(params={"opt.lr": 0.1, "opt.name": "adam"}, metrics={"acc": 0.5})
    options = CommitFilesOptions(metadata=metadata)
    commit_files(target.repo, "main", {"dir/m.bin": noise(1)}, "one", options, caller=target.caller)
    export_git(target.repo, "dvc", tmp_path / "out", [], caller=target.caller)
    assert git(tmp_path / "out", "show", "main:dir/.gitignore") == "/m.bin"
    again = Target(tmp_path / "again")
    again.take(DvcSource(tmp_path / "out", {}))
    known = again.known("main")
    assert (known.params, known.metrics) == (metadata.params, metadata.metrics)


@pytest.fixture
def pipeline(tmp_path: Path) -> DvcProject:
    project = DvcProject(tmp_path / "pipeline")
    put(project.path / "train.sh", "true\n")
    put(project.path / "metrics.json", '{"acc": 0.5}\n')
    put(project.path / ".gitignore", "/out.bin\n/small.txt\n/folder\n")
    put(
        project.path / "dvc.yaml",
        "stages:\n  train:\n    cmd: sh train.sh\n    deps:\n    - train.sh\n    outs:\n    - out.bin\n"
        "    - small.txt\n    - folder\n    metrics:\n    - metrics.json:\n        cache: false\n",
    )
    rows = [("metrics.json", b'{"acc": 0.5}\n'), ("out.bin", noise(1)), ("small.txt", b"small")]
    outs = [{"path": path, "hash": "md5", "md5": md5(data), "size": len(data)} for path, data in rows]
    for _, data in rows[1:]:
        project.cache(md5(data), data)
    folder = project.add_folder("folder", {"x.bin": noise(2), "y.txt": b"y"})
    (project.path / "folder.dvc").unlink()
    outs.append({"path": "folder", "hash": "md5", "md5": folder, "size": 100_001, "nfiles": 2})
    deps = [{"path": "train.sh", "hash": "md5", "md5": md5(b"true\n"), "size": 5}]
    lock = {"schema": "2.0", "stages": {"train": {"cmd": "sh train.sh", "deps": deps, "outs": outs}}}
    put(project.path / "dvc.lock", json.dumps(lock))
    project.commit("one")
    return project


def test_a_pipeline_keeps_its_lock(pipeline: DvcProject, target: Target, tmp_path: Path) -> None:
    target.take(DvcSource(pipeline.path, {}))
    assert target.files("main")["folder/x.bin"] == noise(2)
    done = export_git(target.repo, "dvc", tmp_path / "out", [], caller=target.caller)
    assert done.contents == 4
    listed = git(tmp_path / "out", "ls-tree", "-r", "--name-only", "main").split()
    assert not [path for path in listed if path.endswith((".bin", "small.txt", ".bin.dvc"))]
    assert git(tmp_path / "out", "show", "main:dvc.lock") == (pipeline.path / "dvc.lock").read_text()
    changes = {"out.bin": noise(9), "folder/new.bin": noise(8)}
    commit_files(target.repo, "main", changes, "two", caller=target.caller)
    export_git(target.repo, "dvc", tmp_path / "out", [], caller=target.caller)
    lock = json.loads(git(tmp_path / "out", "show", "main:dvc.lock"))
    told = {one["path"]: one for one in lock["stages"]["train"]["outs"]}
    assert told["out.bin"]["md5"] == md5(noise(9))
    assert told["folder"]["nfiles"] == 3
    again = Target(tmp_path / "again")
    again.take(DvcSource(tmp_path / "out", {}))
    assert again.files("main")["folder/new.bin"] == noise(8)


def test_real_dvc_checks_it_out(pipeline: DvcProject, target: Target, tmp_path: Path) -> None:
    pytest.importorskip("dvc")
    target.take(DvcSource(pipeline.path, {}))
    odd = {"dir/with space.bin": noise(5), "dir/[x]#.bin": noise(6), "dir/übung: 1.bin": noise(7)}
    commit_files(target.repo, "main", {**odd, "out.bin": noise(9)}, "two", caller=target.caller)
    dest = tmp_path / "out"
    export_git(target.repo, "dvc", dest, [], caller=target.caller)
    git(dest, "checkout", "-q")
    environment = ENVIRONMENT | {
        "HOME": str(tmp_path),
        "DVC_NO_ANALYTICS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }

    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(command, cwd=dest, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    dvc("checkout")
    assert git(dest, "status", "--porcelain") == ""
    for path, data in target.files("main").items():
        if not path.endswith((".gitignore", "dvc.lock")):
            assert (dest / path).read_bytes() == data, path
    assert json.loads(dvc("status", "--json")) == {}


def test_a_name_that_is_taken(target: Target, tmp_path: Path) -> None:
    commit_files(target.repo, "main", {"m.bin": noise(1), "m.bin.dvc": b"x"}, "one", caller=target.caller)
    with pytest.raises(Refused, match=r"'m\.bin' cannot get a \.dvc"):
        export_git(target.repo, "dvc", tmp_path / "out", [], caller=target.caller)
