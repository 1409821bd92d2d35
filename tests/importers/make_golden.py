"""Makes tests/importers/data: small sources written by the real tools, which the importers are held to.

    python tests/importers/make_golden.py DVC3 DVC2 MLFLOW_PYTHON

DVC3, DVC2: commands `dvc` of version 3 and 2. MLFLOW_PYTHON: a Python that has mlflow. Also needs git and git-lfs. Made
with dvc 3.67.1, dvc 2.58.2, git-lfs 3.3.0, mlflow 3.17.2.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

DATA = Path(__file__).parent / "data"
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann Other",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Con Mitter",
    "GIT_COMMITTER_EMAIL": "con@example.org",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
PIPELINE = """stages:
  train:
    cmd: cp model.bin out.bin && cp small.json cached.json && cp small.json plain.json
    deps: [model.bin, small.json]
    params: [lr]
    outs: [out.bin]
    metrics:
    - cached.json
    - plain.json: {cache: false}
"""
MLFLOW = """
import sys, mlflow
from mlflow.tracking import MlflowClient
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("ner")
client = MlflowClient()
with mlflow.start_run(run_name="first run") as run:
    mlflow.log_params({"lr": "0.01", "opt.name": "adam"})
    for step in range(3):
        mlflow.log_metric("val/loss", 1.0 / (step + 1), step=step)
    mlflow.log_metric("bad", float("nan"))
    mlflow.set_tags({"task": "ner", "mlflow.note.content": "A note."})
    mlflow.log_artifact(sys.argv[2], "model")
    mlflow.log_text("hi", "notes/a.txt")
    with mlflow.start_run(run_name="child", nested=True):
        mlflow.log_param("fold", 1)
client.create_registered_model("ner-model")
version = client.create_model_version("ner-model", run.info.artifact_uri + "/model", run.info.run_id)
client.set_registered_model_alias("ner-model", "champion", version.version)
client.transition_model_version_stage("ner-model", version.version, "Production")
"""


def weights(seed: int) -> bytes:
    """More than 64 KiB, and nothing in an archive."""
    return bytes((seed + number // 256) % 256 for number in range(70_000))


class Maker:
    def __init__(self, home: Path) -> None:
        self.home, self.times = home, 0

    def run(self, cwd: Path, *command: str) -> None:
        self.times += 1
        dates = {f"GIT_{who}_DATE": f"{1_700_000_000 + 1000 * self.times} +0100" for who in ("AUTHOR", "COMMITTER")}
        subprocess.run(command, cwd=cwd, env=ENVIRONMENT | dates | {"HOME": str(self.home)}, check=True)

    def dvc(self, top: Path, dvc: str) -> None:
        top.mkdir()
        self.run(top, "git", "init", "-q", "-b", "main")
        self.run(top, dvc, "init", "-q")
        (top / "model.bin").write_bytes(weights(1))
        (top / "data").mkdir()
        (top / "data/a.csv").write_bytes(b"a,b\r\n" * 20_000)
        (top / "data/b.txt").write_text("b\n")
        (top / "params.yaml").write_text("lr: 0.1\n")
        (top / "small.json").write_text('{"acc": 0.5}')
        self.run(top, dvc, "add", "-q", "model.bin", "data")
        self.run(top, "git", "add", "-A")
        self.run(top, "git", "commit", "-q", "-m", "first")
        (top / "dvc.yaml").write_text(PIPELINE)
        self.run(top, dvc, "repro", "-q")
        self.run(top, "git", "add", "-A")
        self.run(top, "git", "commit", "-q", "-m", "a pipeline")
        self.run(top, "git", "tag", "-a", "v1", "-m", "first release")
        (top / "model.bin").write_bytes(weights(2))
        (top / "data/b.txt").unlink()
        self.run(top, dvc, "add", "-q", "model.bin", "data")
        self.run(top, dvc, "repro", "-q")
        self.run(top, "git", "commit", "-q", "-a", "-m", "more")
        self.run(top, "git", "gc", "-q")

    def lfs(self, top: Path) -> None:
        top.mkdir()
        self.run(top, "git", "init", "-q", "-b", "main")
        self.run(top, "git", "lfs", "install", "--local")
        self.run(top, "git", "lfs", "track", "*.bin")
        for seed in (1, 2):
            (top / "model.bin").write_bytes(weights(seed))
            self.run(top, "git", "add", "-A")
            self.run(top, "git", "commit", "-q", "-m", f"commit {seed}")

    def mlflow(self, top: Path, python: str, uri: str) -> None:
        top.mkdir(exist_ok=True)
        (self.home / "w.bin").write_bytes(weights(1))
        self.run(top, python, "-c", MLFLOW, uri, str(self.home / "w.bin"))


def keep(top: Path, name: str, left_out: tuple[str, ...] = ()) -> None:
    def entry(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if any(part in info.name for part in left_out):
            return None
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(DATA / f"{name}.tar.xz", "w:xz") as out:
        out.add(top, name, filter=entry)


def main() -> None:
    dvc3, dvc2, python = sys.argv[1:]
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        maker = Maker(work)
        git = (".git/hooks", ".git/logs", "/.dvc/tmp", ".git/index")
        for name, command in (("dvc3", dvc3), ("dvc2", dvc2)):
            maker.dvc(work / name, command)
            keep(work / name, name, git)
        maker.lfs(work / "lfs")
        keep(work / "lfs", "lfs", git)
        maker.mlflow(work / "mlflow-files", python, "file:./mlruns")
        keep(work / "mlflow-files", "mlflow-files")
        maker.mlflow(work / "mlflow-db", python, "sqlite:///mlflow.db")
        keep(work / "mlflow-db", "mlflow-db")


if __name__ == "__main__":
    main()
