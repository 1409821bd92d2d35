"""Installs the peers that can be: DVC and Xet's client into a venv of their own, the others from Debian."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

FROM_PYPI = ("dvc[s3]", "hf_xet")
FROM_DEBIAN = {"git": "git", "git-lfs": "git-lfs", "borg": "borgbackup", "restic": "restic", "casync": "casync"}


def install(venv: Path) -> list[str]:
    """Install what is missing; returns a line on each thing that could not be."""
    said: list[str] = []
    if not (venv / "bin" / "dvc").exists() or not any(venv.glob("lib/python*/site-packages/dvc_s3")):
        print(f"installing {' and '.join(FROM_PYPI)} into {venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        pip = subprocess.run([venv / "bin" / "python", "-m", "pip", "install", "-q", *FROM_PYPI], check=False)
        if pip.returncode != 0:
            said.append(f"pip could not install {' and '.join(FROM_PYPI)}: DVC and Xet are left out")
    missing = [package for command, package in FROM_DEBIAN.items() if shutil.which(command) is None]
    if missing and not _apt(missing):
        said.append(f"left out, for they are not installed: {' '.join(missing)} (apt-get install {' '.join(missing)})")
    return said


def _apt(packages: list[str]) -> bool:
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return False
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    return subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=False).returncode == 0


def versions(venv: Path) -> dict[str, str]:
    """The first line that each peer says of its version."""
    commands = {
        "Xet": [str(venv / "bin" / "python"), "-c", "from importlib.metadata import version; print(version('hf_xet'))"],
        "DVC": [str(venv / "bin" / "dvc"), "--version"],
        "Git LFS": ["git-lfs", "--version"],
        "borg": ["borg", "--version"],
        "restic": ["restic", "version"],
        "casync": ["casync", "--version"],
        "git": ["git", "--version"],
    }
    found: dict[str, str] = {}
    for name, command in commands.items():
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                found[name] = done.stdout.splitlines()[0].strip()
    return found
