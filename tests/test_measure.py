"""What the benchmarks say a command took is what it took, whatever the process that started it holds in memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.measure import Step, StepFailed, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="wait4")


def _python(code: str, folder: Path) -> Step:
    return Step((sys.executable, "-c", code), folder, {"MARK": "here"})


def test_the_peak_is_the_commands_own(tmp_path: Path) -> None:
    (log := tmp_path / "log").touch()
    held = bytearray(b"x" * 300_000_000)
    small = run([_python("import os; print(os.environ['MARK'], os.getcwd())", tmp_path)], log)
    large = run([_python("x = b'x' * 150_000_000", tmp_path)], log)
    assert held and 1_000_000 < small.rss < 100_000_000 < large.rss < 250_000_000
    assert f"here {tmp_path}\n" in log.read_text() and small.wall > 0 and small.cpu > 0


def test_a_command_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match=r"ended with 3:(?s:.*)too bad"):
        run([_python("print('too bad'); raise SystemExit(3)", tmp_path)], tmp_path / "log")
