"""Makes a project as `dvc add` and `git commit` leave it, three versions of a model long, without needing DVC.

usage: python make_project.py FOLDER

If you have a project with DVC, take that instead.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np


def git(project: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(project), *arguments], check=True)


def dvc_add(project: Path, name: str, data: bytes) -> None:
    """The file, its copy in the cache under its MD5, and the .dvc file that Git is to keep."""
    digest = hashlib.md5(data).hexdigest()
    cached = project / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(data)
    (project / name).write_bytes(data)
    (project / f"{name}.dvc").write_text(f"outs:\n- md5: {digest}\n  size: {len(data)}\n  hash: md5\n  path: {name}\n")


def main(folder: str) -> None:
    project = Path(folder)
    (project / ".dvc").mkdir(parents=True)
    (project / ".dvc" / "config").write_text("")
    (project / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (project / ".gitignore").write_text("/model.npy\n")
    (project / "dvc.yaml").write_text("params:\n- params.yaml\nmetrics:\n- metrics.json\n")
    git(project, "init", "-q")
    weights = np.random.default_rng(0).standard_normal((600, 600)).astype("f4")
    for version in range(3):
        np.save(project / "new.npy", weights)
        data = (project / "new.npy").read_bytes()
        (project / "new.npy").unlink()
        dvc_add(project, "model.npy", data)
        (project / "params.yaml").write_text(f"lr: {0.1 / 2**version}\n")
        (project / "metrics.json").write_text(f'{{"accuracy": {0.9 + version / 100}}}\n')
        git(project, "add", ".")
        git(project, "commit", "-q", "-m", f"Version {version}")
        git(project, "tag", f"v{version}")
        step = np.random.default_rng(version + 1).standard_normal(weights.shape) * 1e-4
        weights = weights + step.astype("f4")


if __name__ == "__main__":
    main(*sys.argv[1:])
