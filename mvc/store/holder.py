"""Who holds a lock or an intent: a process, told so that others can judge whether it still runs.

Whether it runs can only be asked of the kernel that it runs on, and by a process id only in its
own namespace: so boot id and pid namespace must be ours. Of any other holder nothing is known but
how long ago it last gave a sign of life (`heartbeat.py`). The text is in docs/format/locks.md.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mvc import fsio

_FIRST_LINE = "mvc-lock 1"
_LAST_LINE = "end"


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, and what it does. `boot`, `namespace` and `started` are empty where the system does not tell."""

    host: str
    boot: str
    namespace: str
    pid: int
    started: str
    nonce: str
    what: str

    def describe(self) -> str:
        """For a person: "process 4711 on lab3 (mvc gc)"."""
        what = f" ({self.what})" if self.what else ""
        return f"process {self.pid} on {self.host}{what}"


def this_process(what: str) -> Holder:
    """This process as a holder, with a nonce of its own."""
    pid = os.getpid()
    boot, namespace = _machine()
    host = os.uname().nodename if hasattr(os, "uname") else ""
    return Holder(host, boot, namespace, pid, _start_of(pid) or "", os.urandom(8).hex(), _one_line(what))


def dump(holder: Holder) -> bytes:
    fields = {
        "host": _one_line(holder.host),
        "boot": holder.boot,
        "pidns": holder.namespace,
        "pid": str(holder.pid),
        "start": holder.started,
        "nonce": holder.nonce,
        "what": _one_line(holder.what),
    }
    lines = [_FIRST_LINE, *(f"{key} {value}" for key, value in fields.items()), _LAST_LINE, ""]
    return "\n".join(lines).encode("utf-8", "replace")


def parse(data: bytes) -> Holder | None:
    """The holder, or None if `data` is not, or not yet, whole."""
    lines = data.decode("utf-8", "replace").split("\n")
    if lines[0] != _FIRST_LINE or _LAST_LINE not in lines[1:]:
        return None
    fields = {key: value for key, _, value in (line.partition(" ") for line in lines[1 : lines.index(_LAST_LINE)])}
    try:
        return Holder(
            fields["host"],
            fields["boot"],
            fields["pidns"],
            int(fields["pid"]),
            fields["start"],
            fields["nonce"],
            fields["what"],
        )
    except (KeyError, ValueError):
        return None


def has_ended(holder: Holder) -> bool | None:
    """Whether the holder's process is gone; None if that cannot be known from here."""
    boot, namespace = _machine()
    if not boot or not namespace or (holder.boot, holder.namespace) != (boot, namespace) or holder.pid <= 0:
        return None
    try:
        os.kill(holder.pid, 0)
    except (ProcessLookupError, OverflowError):
        return True  # (a number beyond what the system has for processes)
    except OSError:
        pass  # it runs, but is another user's
    started = _start_of(holder.pid)
    # The id may be another process's by now. Where /proc hides it we cannot tell, and take it for the same.
    return started is not None and bool(holder.started) and started != holder.started


def fs_now(folder: Path) -> int:
    """The file system's own time, in nanoseconds: what it gives a file that is made there now.

    Hosts that share a disk may have different clocks; the times of its files come from one.
    """
    fsio.step("create", folder)
    fd, name = tempfile.mkstemp(prefix="tmp-clock-", dir=folder)
    try:
        return os.fstat(fd).st_mtime_ns
    finally:
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _start_of(pid: int) -> str | None:
    """When a process began, in clock ticks since boot; "" for one that is dead but not reaped; None if unknown."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    fields = text[text.rfind(")") + 1 :].split()  # the command before may hold blanks and brackets
    if len(fields) < 20:
        return None
    return "" if fields[0] in ("Z", "X") else fields[19]


def _machine() -> tuple[str, str]:
    """Boot id and pid namespace of this process, or empty."""
    if not sys.platform.startswith("linux"):
        return "", ""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")
    except OSError:
        return "", ""


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
