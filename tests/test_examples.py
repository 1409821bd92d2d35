"""The examples run as they stand (examples/finetune.py runs in tests/test_readme.py).

An example in a folder is a README: its blocks of `sh` are run one after the other, in a copy of the folder.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
ENV = os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/README.md"))


def test_training_run(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "training_run.py"), str(tmp_path / "models")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENV)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(" ", 1)[1][:7] for line in lines[:-1]] == [f"epoch {n}" for n in range(1, 7)]
    assert lines[-1].startswith("best: epoch 6, y = ")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder(folder: Path, tmp_path: Path) -> None:
    """Every line of it ends well, on a machine where nothing is set but who the user is."""
    pytest.importorskip("safetensors")
    text = (folder / "README.md").read_text("utf-8")
    needed = re.search(r"<!-- needs: ([\w ]+) -->", text)
    for name in needed[1].split() if needed else ():
        if shutil.which(name) is None:
            pytest.importorskip(name)
    blocks = [block for block in BLOCK.findall(text) if not block.startswith("pip install")]
    assert blocks
    work = tmp_path / "an example"
    shutil.copytree(folder, work, ignore=shutil.ignore_patterns("__pycache__"))
    programs = tmp_path / "bin"
    programs.mkdir()
    python = shlex.quote(sys.executable)
    for name, command in (("mvc", f"{python} -m mvc"), ("python", python)):
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)
    (tmp_path / ".gitconfig").write_text(
        "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
    )
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MVC_", "GIT_", "XDG_"))}
    env |= {
        "HOME": str(tmp_path),
        "PATH": f"{programs}{os.pathsep}{env['PATH']}",
        "PYTHONPATH": str(EXAMPLES.parent),
        "COLUMNS": "100",
    }
    script = "set -x\n" + "\n".join(blocks)
    done = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", script],
        cwd=work,
        env=env,
        text=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "Traceback" not in done.stdout and "mistake in mvc" not in done.stdout, done.stdout[-4000:]


def test_every_example_is_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    assert all(f"]({path.name})" in listed for path in EXAMPLES.glob("*.py"))
    assert all(f"]({folder.name}/README.md)" in listed for folder in FOLDERS)
