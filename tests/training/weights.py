"""What tests of training share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mvc.ops.fsck import fsck
from mvc.repo.repository import Repository

Weights = dict[str, np.ndarray[Any, Any]]


def steps_of(repo: Repository, run: str) -> list[int]:
    """The steps of which a checkpoint is stored."""
    names = [ref.rpartition("/")[2] for ref in repo.refs.list(f"refs/runs/{run}/")]
    return sorted(int(name) for name in names if name.isdigit())


def read_safetensors(path: Path) -> Weights:
    """By the words of the format, not by mvc's reader."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    kinds = {"F32": np.float32, "F64": np.float64, "F16": np.float16, "I64": np.int64, "U8": np.uint8, "BOOL": np.bool_}
    found = {}
    for name, said in header.items():
        begin, end = (8 + length + at for at in said["data_offsets"])
        found[name] = np.frombuffer(data[begin:end], kinds[said["dtype"]]).reshape(said["shape"])
    return found


def assert_sound(repo: Repository) -> None:
    """Every byte is, and nothing is missing."""
    found = fsck(Repository.open(repo.require_worktree())).findings
    assert not found, found
