"""Progress on a terminal: one line, redrawn at most ten times a second, only when it takes longer than one.

Written out here and not taken from rich: that costs 0.1 s to load and a thread that contends
with the workers for the interpreter.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import IO

from mvc.cli.sizes import human_bytes, human_seconds

_DELAY = 1.0
_INTERVAL = 0.1
_BAR = 24


class Bars:
    """A `mvc.progress.Progress` that draws on a terminal's `stream`; not `shown`, it only passes warnings on."""

    def __init__(
        self,
        stream: IO[str],
        *,
        shown: bool,
        width: int,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._shown = shown
        self._width = width
        self._warn = warn
        self._clock = clock
        self._lock = threading.RLock()
        self._title = ""
        self._unit = "bytes"
        self._total: int | None = None
        self._done = 0
        self._began = 0.0
        self._next = float("inf")
        self._drawn = False

    def begin(self, title: str, total: int | None = None, unit: str = "bytes") -> None:
        with self._lock:
            self.clear()
            self._title, self._total, self._unit, self._done = title, total, unit, 0
            self._began = self._clock()
            self._next = self._began + _DELAY if self._shown else float("inf")

    def advance(self, amount: int) -> None:
        with self._lock:
            self._done += amount
            now = self._clock()
            if now >= self._next:
                self._next = now + _INTERVAL
                self._draw(now)

    def warn(self, message: str) -> None:
        with self._lock:
            self._warn(message)

    def end(self) -> None:
        with self._lock:
            self.clear()
            self._next = float("inf")

    def clear(self) -> None:
        """Take the line off the terminal, so that something else can be written."""
        with self._lock:
            if self._drawn:
                self._stream.write("\r\x1b[K")
                self._stream.flush()
                self._drawn = False

    def _draw(self, now: float) -> None:
        line = self.line(now)[: max(self._width - 1, 20)]
        self._stream.write("\r" + line + "\x1b[K")
        self._stream.flush()
        self._drawn = True

    def line(self, now: float) -> str:
        """The line as it stands at `now`: title, bar, amount, rate, time left."""
        took = max(now - self._began, 1e-6)
        rate = self._done / took
        parts = [f"{self._title:<12}"]
        if self._total:
            share = min(self._done / self._total, 1.0)
            full = int(share * _BAR)
            parts.append("━" * full + "╺" * (_BAR - full))
            parts.append(f"{share:4.0%}")
        parts.append(self._amount())
        parts.append(f"{human_bytes(int(rate))}/s" if self._unit == "bytes" else f"{rate:,.0f} {self._unit}/s")
        if self._total and rate and self._total > self._done:
            parts.append(f"{human_seconds((self._total - self._done) / rate)} left")
        return "  ".join(parts)

    def _amount(self) -> str:
        if self._unit == "bytes":
            done = human_bytes(self._done)
            return f"{done} of {human_bytes(self._total)}" if self._total else done
        return f"{self._done:,} of {self._total:,} {self._unit}" if self._total else f"{self._done:,} {self._unit}"
