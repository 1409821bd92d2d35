"""`run.json`: what the process that writes a run says of itself."""

from __future__ import annotations

import json
import time
from pathlib import Path

from mvc import fsio
from mvc.store.holder import this_process


def write_state(path: Path, run: str, status: str, started: float, step: int, remote: str | None) -> None:
    """Replace it. `started`: seconds since 1970; `step`: the last, -1 before the first."""
    me = this_process("run")
    row = {
        "format": 1,
        "run": run,
        "status": status,
        "started": round(started, 3),
        "updated": round(time.time(), 3),
        "step": step if step >= 0 else None,
        "host": me.host,
        "pid": me.pid,
        "remote": remote,
    }
    fsio.write_atomic(path, json.dumps(row, indent=1).encode() + b"\n", tmp_dir=path.parent, sync=False)
