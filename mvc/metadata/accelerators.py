"""The accelerators of this machine, as far as the kernel tells: no driver library is loaded, nothing is run."""

from __future__ import annotations

import platform
import re
from collections import Counter
from pathlib import Path
from typing import Any

_ROOT = Path("/")
_GFX = re.compile(r"^gfx_target_version\s+(\d+)$", re.MULTILINE)


def find_accelerators(root: Path = _ROOT) -> dict[str, Any]:
    """`devices` ("8x NVIDIA H100 80GB HBM3") and `driver`; empty where there is none or nothing is known."""
    names = [*_nvidia(root), *_amd(root), *_by_nodes(root), *_apple()]
    found: dict[str, Any] = {}
    if names:
        found["devices"] = [f"{count}x {name}" for name, count in sorted(Counter(names).items())]
    version = _read(root / "proc/driver/nvidia/version")
    if match := re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", version):
        found["driver"] = match[1]
    return found


def _nvidia(root: Path) -> list[str]:
    names = []
    for path in sorted(root.glob("proc/driver/nvidia/gpus/*/information")):
        match = re.search(r"^Model:\s*(.+?)\s*$", _read(path), re.MULTILINE)
        names.append(match[1] if match else "NVIDIA")
    return names


def _amd(root: Path) -> list[str]:
    """ROCm's topology: a node with a gfx version is a GPU (110000 is gfx1100, 90402 is gfx942)."""
    names = []
    for path in sorted(root.glob("sys/class/kfd/kfd/topology/nodes/*/properties")):
        match = _GFX.search(_read(path))
        if match and int(match[1]):
            number = int(match[1])
            names.append(f"AMD gfx{number // 10000}{number // 100 % 100:x}{number % 100:x}")
    return names


def _by_nodes(root: Path) -> list[str]:
    kinds = (("dev/accel/accel*", "accelerator"), ("dev/accel[0-9]*", "TPU"), ("dev/neuron[0-9]*", "AWS Neuron"))
    return [name for pattern, name in kinds for _ in root.glob(pattern)]


def _apple() -> list[str]:
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return ["Apple silicon"]
    return []


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""
