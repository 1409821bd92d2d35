"""The examples run as they stand (examples/finetune.py runs in tests/test_readme.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
ENV = os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}


def test_training_run(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "training_run.py"), str(tmp_path / "models")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENV)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(" ", 1)[1][:7] for line in lines[:-1]] == [f"epoch {n}" for n in range(1, 7)]
    assert lines[-1].startswith("best: epoch 6, y = ")


def test_every_example_is_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    assert all(f"]({path.name})" in listed for path in EXAMPLES.glob("*.py"))
