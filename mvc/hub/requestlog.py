"""The access log: JSON, a line a request."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any


class RequestLog:
    """Appends to a file. A line is one write, so that several processes may share it."""

    def __init__(self, target: str) -> None:
        """`target`: a path; "-" for standard output; "" for none."""
        self._fd: int | None = None
        self._own = target not in ("", "-")
        if target == "-":
            self._fd = 1
        elif target:
            self._fd = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o640)

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line. A log that cannot be written (a full disk, a closed pipe) stops no request."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.write(self._fd, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        if self._fd is not None and self._own:
            os.close(self._fd)
        self._fd = None
