"""The log of a run on the disk: appended to as it goes, so that a killed process loses nothing of it.

A line is handed to the system in the call that logs it: then it outlives the process. What makes it outlive the
machine, fsync, is done by a thread now and then. A disk that is full holds nobody up: lines wait in memory.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from mvc import fsio
from mvc.ops.runfiles import RunLog, read_log, whole_lines

_MOST_WAITING = 64 * 1024 * 1024


class LogFile:
    """Open for appending. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Whatever a killed process left of a last line is cut off. `known`: what the file held before."""
        fsio.make_dirs(path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        fsio.step("create", path)
        self._fd = os.open(path, flags, 0o666)
        self._path = path
        self._lock = threading.Lock()
        self._waiting = bytearray()
        self._dirty = False
        self.problem: OSError | None = None
        """Why lines wait; None as long as all are written."""
        data = path.read_bytes()
        self.known: RunLog = read_log(data)
        if whole_lines(data) != len(data):
            fsio.step("truncate", path)
            os.ftruncate(self._fd, whole_lines(data))
        fsio.fsync_dir(path.parent)

    def append(self, line: bytes) -> None:
        """Add a line. Never raises for the disk's sake."""
        with self._lock:
            self._dirty = True
            if self._waiting:
                if len(self._waiting) < _MOST_WAITING:
                    self._waiting += line
                return
            rest = self._write(line)
            if rest:
                self._waiting += rest

    def sync(self) -> None:
        """Write what waits, and make it durable."""
        with self._lock:
            if self._fd < 0 or not (self._dirty or self._waiting):
                return
            self._dirty = False
            if self._waiting:
                self._waiting = bytearray(self._write(bytes(self._waiting)))
            if not self._waiting:
                self.problem = None
            fd = os.dup(self._fd)
        # Outside of the lock: a slow disk must not hold up who logs.
        try:
            fsio.step("fsync", self._path)
            os.fsync(fd)
        except OSError as error:
            self.problem = error
        finally:
            os.close(fd)

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        self.abandon()

    def abandon(self) -> None:
        """Close without another word: in a process that was forked."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _write(self, data: bytes) -> bytes:
        """Write; returns what could not be."""
        if self._fd < 0:
            return b""
        try:
            fsio.step("write", self._path)
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            self.problem = error
        return data
