"""What is captured of the machine, the packages and the code."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

from mvc import __version__
from mvc.metadata.accelerators import find_accelerators
from mvc.metadata.canonical import dumps
from mvc.metadata.code import describe_code
from mvc.metadata.environment import Surroundings, capture, installed
from mvc.metadata.lean import loads
from mvc.metadata.values import flatten, nest


def test_this_machine() -> None:
    found = capture(Surroundings())
    assert found["mvc"] == __version__ and found["python"] == platform.python_version()
    assert platform.machine() in found["platform"] and found["processors"] >= 1
    assert "packages.numpy" in found and "command" not in found and "code.commit" not in found
    assert flatten(loads(dumps(nest(found))) or {}) == found


def test_nothing_is_imported() -> None:
    code = "from mvc.metadata.environment import *; capture(Surroundings())"
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print([m for m in ('torch', 'numpy') if m in sys.modules])"],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    assert done.stdout == "[]\n"


def test_the_command_has_no_secrets_and_is_text() -> None:
    found = capture(Surroundings(["train.py", "--token", "geheim", "two words", "odd\udcff", "x" * 9000]))
    assert found["command"].startswith("train.py --token '***' 'two words' ")
    assert len(found["command"]) == 4000
    found["command"].encode()


def test_packages_by_their_folders(tmp_path: Path) -> None:
    for name in (
        "torch-2.1.0+cu121.dist-info",
        "PyYAML-6.0.dist-info",
        "Sentence_Transformers-3.0.dist-info",
        "torch",
        "jax-0.4-py3.11.egg-info",
    ):
        (tmp_path / name).mkdir()
    assert installed([tmp_path, tmp_path / "gone"]) == {
        "torch": "2.1.0+cu121",
        "sentence-transformers": "3.0",
        "jax": "0.4",
    }


def test_the_virtual_environment_that_is_active(tmp_path: Path) -> None:
    (tmp_path / "lib/python3.12/site-packages/torch-9.9.dist-info").mkdir(parents=True)
    found = capture(Surroundings(environment={"VIRTUAL_ENV": str(tmp_path)}))
    assert found["packages.torch"] == "9.9" and found["python"] == "3.12" and "packages.numpy" not in found


def test_accelerators(tmp_path: Path) -> None:
    assert find_accelerators(tmp_path) == {} or platform.system() == "Darwin"
    for number in range(2):
        folder = tmp_path / f"proc/driver/nvidia/gpus/0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ: 3\n")
    (tmp_path / "proc/driver/nvidia/version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\n"
    )
    for number, version in ((0, 0), (1, 90402), (2, 110000)):
        folder = tmp_path / f"sys/class/kfd/kfd/topology/nodes/{number}"
        folder.mkdir(parents=True)
        (folder / "properties").write_text(f"cpu_cores_count 0\ngfx_target_version {version}\n")
    found = find_accelerators(tmp_path)
    assert found["devices"][:3] == ["1x AMD gfx1100", "1x AMD gfx942", "2x NVIDIA H100 80GB HBM3"]
    assert found["driver"] == "535.104.05"


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_commit_of_the_code(tmp_path: Path) -> None:
    assert describe_code(tmp_path) == {}
    git(tmp_path, "init", "-q", "-b", "work")
    assert describe_code(tmp_path) == {}
    (tmp_path / "train.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "x")
    git(tmp_path, "remote", "add", "origin", "https://me:geheim@host/x.git")
    found = describe_code(tmp_path)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert found == {"commit": head, "branch": "work", "dirty": False, "remote": "https://host/x.git"}
    (tmp_path / "new.txt").write_text("not tracked")
    assert describe_code(tmp_path)["dirty"] is False
    (tmp_path / "train.py").write_text("2")
    git(tmp_path, "checkout", "-q", "--detach")
    found = describe_code(tmp_path)
    assert found["dirty"] is True and "branch" not in found
