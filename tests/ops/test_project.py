"""Inside a Git project: mvc goes with Git's branch, and mvc.lock with each commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mvc.gitlink.lockfile import read_lock
from tests.ops.world import World


class Project(World):
    def outer(self, *arguments: str) -> str:
        """Git on the project around."""
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@y", *arguments]
        environment = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(command, cwd=self.path, capture_output=True, text=True, check=True, env=environment)
        return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    top = tmp_path / "project"
    top.mkdir()
    made = Project(top, new=False)
    made.outer("init", "-q", "-b", "main")
    made.write("train.py", "code\n")
    made.outer("add", "train.py")
    made.outer("commit", "-q", "-m", "code")
    made.mvc("init")
    made.write("model.bin", "w" * 100_000)
    made.mvc("add", "model.bin")
    made.mvc("commit", "-m", "one", "--no-environment")
    return made


def test_the_lock_names_the_commit(project: Project) -> None:
    lock = read_lock(project.path)
    assert lock is not None and lock.commit == project.head()
    assert [file.path for file in lock.files] == ["model.bin"]
    project.write("model.bin", "v" * 100_000)
    project.mvc("commit", "-a", "-m", "two", "--no-environment")
    second = read_lock(project.path)
    assert second is not None and second.commit == project.head() != lock.commit
    project.mvc("reset", "--hard", "HEAD~1")
    assert read_lock(project.path) == lock


def test_mvc_goes_with_gits_branch(project: Project) -> None:
    assert "git switch" in project.mvc("switch", "-c", "lora", code=5).err
    assert "Git is on branch main" in project.mvc("checkout", "HEAD~0", code=5).err
    project.outer("switch", "-q", "-c", "lora")
    project.write("model.bin", "v" * 100_000)
    project.mvc("commit", "-a", "-m", "on lora", "--no-environment")
    assert project.git("symbolic-ref", "HEAD") == "refs/heads/lora"
    assert project.subjects("main") == ["one"]
    project.outer("switch", "-q", "main")
    ran = project.mvc("commit", "--allow-empty", "-m", "x", code=5)
    assert "mvc switch main" in ran.err
    project.mvc("switch", "main")
    assert project.read("model.bin").startswith("w")
    lock = read_lock(project.path)
    assert lock is not None and lock.commit == project.head()
    project.mvc("merge", "lora")
    assert read_lock(project.path) != lock


def test_a_rebase_may_stop_detached_and_ends_on_gits_branch(project: Project) -> None:
    project.outer("switch", "-q", "-c", "topic")
    project.write("model.bin", "t" * 100_000)
    project.mvc("commit", "-a", "-m", "t", "--no-environment")
    project.outer("switch", "-q", "main")
    project.mvc("switch", "main")
    project.write("model.bin", "m" * 100_000)
    project.mvc("commit", "-a", "-m", "m", "--no-environment")
    project.outer("switch", "-q", "topic")
    project.mvc("switch", "topic")
    project.mvc("rebase", "main", code=1)
    project.write("model.bin", "b" * 100_000)
    project.mvc("add", "model.bin")
    project.mvc("rebase", "--continue")
    assert project.git("symbolic-ref", "HEAD") == "refs/heads/topic"
    assert project.subjects() == ["t", "m", "one"]
    lock = read_lock(project.path)
    assert lock is not None and lock.commit == project.head()
