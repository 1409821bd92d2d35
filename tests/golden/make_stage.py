"""Makes tests/golden/stage-1.bin, a stage of version 1. Run once, by the mvc that wrote this version first."""

from __future__ import annotations

from pathlib import Path

from mvc.objects.model import EXEC, FILE, LINK
from mvc.repo.stage import Stage, StageEntry, Stat

ENTRIES = [
    StageEntry(
        "README.md", FILE, "11" * 20, 812, None, Stat(1_700_000_000_123_456_789, 1_700_000_001_000_000_001, 42, 812)
    ),
    StageEntry("latest", LINK, "22" * 20, 17),
    StageEntry(
        "models/é.safetensors",
        FILE,
        "33" * 20,
        1 << 40,
        bytes(range(32)),
        Stat(-5, 1_700_000_002_000_000_003, 2**64 - 1, 1 << 40),
        0,
        123_456_789,
    ),
    StageEntry("models/\udcff\n", FILE, "44" * 20, 0),
    StageEntry("run.sh", EXEC, "55" * 20, 30, None, Stat(7, 8, 9, 30)),
]
CONFLICT = [
    StageEntry("head.bin", FILE, "66" * 20, 10, None, None, 1),
    StageEntry("head.bin", FILE, "77" * 20, 1 << 20, bytes(range(32, 64)), None, 2),
    StageEntry("head.bin", EXEC, "88" * 20, 12, None, None, 3),
]
TREE = "99" * 20


def make() -> bytes:
    """The file's bytes."""
    stage = Stage()
    for entry in ENTRIES:
        stage.put(entry)
    stage.put_conflict("head.bin", CONFLICT)
    stage.tree = TREE
    return stage.columns().dump()


if __name__ == "__main__":
    (Path(__file__).parent / "stage-1.bin").write_bytes(make())
