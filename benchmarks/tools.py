"""mvc and its peers, as commands: how each begins a store, commits a folder, and brings a version back.

Every tool works in `root`: what is committed lies in `root/tree/data`; `restored` says where a version comes back to
(in place, for the tools that have a worktree; in `root/out` for those that extract).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measure import Step, tree_bytes

PROJECT = Path(__file__).resolve().parents[1]
IDENTITY = {
    f"{tool}_{role}_{what}": value
    for tool in ("GIT", "MVC")
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "bench"), ("EMAIL", "bench@example.org"))
}


class Tool:
    """The commands of one tool. Those of `commit` and `restore` are measured, the others are not."""

    name = ""
    needs = ""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = root / "tree"
        self.data = self.tree / "data"
        self.store = root / "store"
        self.env: dict[str, str] = {"HOME": str(root), **IDENTITY}

    def step(self, *argv: str | Path, cwd: Path | None = None) -> Step:
        return Step(tuple(map(str, argv)), cwd or self.tree, self.env)

    def available(self) -> bool:
        return shutil.which(self.needs or self.name) is not None

    def begin(self) -> Sequence[Step]:
        return ()

    def commit(self, label: str) -> Sequence[Step]:
        raise NotImplementedError

    def remember(self, label: str) -> Sequence[Step]:
        """What names the version just committed, where `commit` did not."""
        return ()

    def restore(self, label: str) -> Sequence[Step]:
        raise NotImplementedError

    def restored(self) -> Path:
        return self.root / "out" / "data"

    def stored(self) -> int:
        return tree_bytes(self.store)


class Mvc(Tool):
    name = "mvc"

    def available(self) -> bool:
        return True

    def mvc(self, *argv: str) -> Step:
        self.env["PYTHONPATH"] = str(PROJECT)
        return self.step(sys.executable, "-m", "mvc", *argv)

    def begin(self) -> Sequence[Step]:
        return (self.mvc("init"),)

    def commit(self, label: str) -> Sequence[Step]:
        return self.mvc("add", "."), self.mvc("commit", "-m", label)

    def remember(self, label: str) -> Sequence[Step]:
        return (self.mvc("tag", label),)

    def restore(self, label: str) -> Sequence[Step]:
        return (self.mvc("checkout", label),)

    def restored(self) -> Path:
        return self.data

    def stored(self) -> int:
        return tree_bytes(self.tree / ".mvc")


class Git(Tool):
    """Plain git: for many small files."""

    name = "git"

    def begin(self) -> Sequence[Step]:
        return (self.step("git", "init", "-q"), self.step("git", "config", "advice.detachedHead", "false"))

    def commit(self, label: str) -> Sequence[Step]:
        return self.step("git", "add", "."), self.step("git", "commit", "-q", "-m", label)

    def remember(self, label: str) -> Sequence[Step]:
        return (self.step("git", "tag", label),)

    def restore(self, label: str) -> Sequence[Step]:
        return (self.step("git", "checkout", "-q", label),)

    def restored(self) -> Path:
        return self.data

    def stored(self) -> int:
        return tree_bytes(self.tree / ".git")


class GitLfs(Git):
    name = "Git LFS"
    needs = "git-lfs"

    def begin(self) -> Sequence[Step]:
        track = self.step("git", "lfs", "track", "*.safetensors", "*.pt", "*.bin")
        return (*super().begin(), self.step("git", "lfs", "install", "--local"), track)


class Dvc(Tool):
    name = "DVC"

    def __init__(self, root: Path, venv: Path) -> None:
        super().__init__(root)
        self.dvc = venv / "bin" / "dvc"

    def available(self) -> bool:
        return self.dvc.exists()

    def begin(self) -> Sequence[Step]:
        quiet = self.step(self.dvc, "config", "core.analytics", "false")
        return self.step(self.dvc, "init", "--no-scm"), quiet

    def commit(self, label: str) -> Sequence[Step]:
        return (self.step(self.dvc, "add", "data"),)

    def remember(self, label: str) -> Sequence[Step]:
        return (self.step("cp", "data.dvc", self.root / f"{label}.dvc"),)

    def restore(self, label: str) -> Sequence[Step]:
        pointer = self.step("cp", self.root / f"{label}.dvc", "data.dvc")
        return pointer, self.step(self.dvc, "checkout", "--force", "data.dvc")

    def restored(self) -> Path:
        return self.data

    def stored(self) -> int:
        return tree_bytes(self.tree / ".dvc" / "cache")


class Xet(Tool):
    """Xet's client on a folder as its server: what `hf upload` does, without a network."""

    name = "Xet"

    def __init__(self, root: Path, venv: Path) -> None:
        super().__init__(root)
        self.python = venv / "bin" / "python"
        self.client = Path(__file__).with_name("xet_client.py")
        self.env["HF_HOME"] = str(root / "cache")

    def available(self) -> bool:
        return any(self.python.parent.parent.glob("lib/python*/site-packages/hf_xet"))

    def commit(self, label: str) -> Sequence[Step]:
        return (self.step(self.python, self.client, "upload", self.store, self.root / label, self.data),)

    def restore(self, label: str) -> Sequence[Step]:
        return (self.step(self.python, self.client, "download", self.store, self.root / label, self.restored()),)

    def stored(self) -> int:
        """What a server would keep: without the client's own cache of shards."""
        return tree_bytes(self.store / "xet" / "xorbs")


class Borg(Tool):
    name = "borg"

    def begin(self) -> Sequence[Step]:
        return (self.step("borg", "init", "-e", "none", self.store),)

    def commit(self, label: str) -> Sequence[Step]:
        return (self.step("borg", "create", "-C", "zstd,1", f"{self.store}::{label}", "data"),)

    def restore(self, label: str) -> Sequence[Step]:
        return (self.step("borg", "extract", f"{self.store}::{label}", cwd=self.root / "out"),)


class Restic(Tool):
    name = "restic"

    def restic(self, *argv: str | Path) -> Step:
        self.env["RESTIC_PASSWORD"] = "bench"
        return self.step("restic", "-q", "--no-cache", "-r", self.store, *argv)

    def begin(self) -> Sequence[Step]:
        return (self.restic("init"),)

    def commit(self, label: str) -> Sequence[Step]:
        return (self.restic("backup", "--tag", label, "data"),)

    def restore(self, label: str) -> Sequence[Step]:
        return (self.restic("restore", "latest", "--tag", label, "--target", self.root / "out"),)

    def restored(self) -> Path:
        inside = Path(*self.data.parts[1:])
        return self.root / "out" / (inside if (self.root / "out" / inside).exists() else "data")


class Casync(Tool):
    name = "casync"

    def commit(self, label: str) -> Sequence[Step]:
        return (self.step("casync", "make", f"--store={self.store}", self.root / f"{label}.caidx", "data"),)

    def restore(self, label: str) -> Sequence[Step]:
        index = self.root / f"{label}.caidx"
        return (self.step("casync", "extract", f"--store={self.store}", index, self.restored()),)


class Copy(Tool):
    """`cp`, for scale."""

    name = "cp"

    def begin(self) -> Sequence[Step]:
        return (self.step("mkdir", self.store),)

    def commit(self, label: str) -> Sequence[Step]:
        return (self.step("cp", "-r", "data", self.store / label),)

    def restore(self, label: str) -> Sequence[Step]:
        return (self.step("cp", "-r", self.store / label, self.restored()),)


def tools(venv: Path) -> dict[str, Callable[[Path], Tool]]:
    """Every tool by its name, to be made with its root folder; `venv` holds DVC and Xet's client."""
    return {
        "mvc": Mvc,
        "Xet": lambda root: Xet(root, venv),
        "DVC": lambda root: Dvc(root, venv),
        "Git LFS": GitLfs,
        "borg": Borg,
        "restic": Restic,
        "casync": Casync,
        "cp": Copy,
    }


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
