"""A real sshd for tests, on a port and with keys of its own; and what a client needs to reach it."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.backends.servers import listens, reserved_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
_RUN = Path("/run/sshd")
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel ERROR
MaxStartups 100
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Sshd:
    """A server that runs."""

    port: int
    user: str
    mvc: Path
    """The program to be started there."""
    environment: dict[str, str]
    home: Path
    """A home folder whose `.ssh` has a key and knows the host: what SFTP's client reads."""
    pid: int

    def sftp(self, path: Path) -> str:
        return f"sftp://{self.user}@127.0.0.1:{self.port}{path}"

    def sessions(self) -> list[int]:
        """The processes that serve its connections, children of children first."""
        parents: dict[int, list[int]] = {}
        for file in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has just ended
                text = file.read_text(errors="replace")
                parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(file.parent.name))
        found, ask = [], [self.pid]
        while ask:
            ask = [child for pid in ask for child in parents.get(pid, ())]
            found = ask + found
        return found

    def url(self, path: Path) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}{path}?mvc={self.mvc}"


def program() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def reason() -> str:
    """Why there can be no sshd here; "" if there can."""
    if program() is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        return "sshd is not installed (openssh-server)"
    if os.getuid() == 0 and not _RUN.is_dir():
        with contextlib.suppress(OSError):
            _RUN.mkdir(mode=0o755)
        return "" if _RUN.is_dir() else "sshd needs /run/sshd"
    return ""


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Sshd]:
    """`folder` must have a path without blanks."""
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    mvc = folder / "mvc"
    words = " ".join(map(shlex.quote, ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "mvc")))
    mvc.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    mvc.chmod(0o755)
    with reserved_port() as port, (folder / "log").open("wb") as log:
        command = _configured(folder, port)
        process = subprocess.Popen(
            [program() or "", "-D", "-e", "-f", folder / "config"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            wait_for(lambda: process.poll() is not None or listens(port), "sshd")
            assert process.poll() is None, (folder / "log").read_text()
            yield Sshd(
                port, getpass.getuser(), mvc, {**os.environ, "MVC_SSH_COMMAND": command}, folder / "home", process.pid
            )
        finally:
            process.terminate()
            process.wait()


def _configured(folder: Path, port: int) -> str:
    """Writes what the server and its clients read; gives the command of a client."""
    (folder / "config").write_text(CONFIG.format(port=port, folder=folder))
    known = f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}"
    (folder / "known").write_text(known)
    options = ["-F", "none", "-i", folder / "user", "-o", f"UserKnownHostsFile={folder}/known"]
    options += ["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
    (folder / "home/.ssh").mkdir(parents=True)
    (folder / "home/.ssh/known_hosts").write_text(known)
    (folder / "home/.ssh/config").write_text(f"IdentityFile {folder}/user\n")
    return " ".join(shlex.quote(os.fspath(word)) for word in ["ssh", *options])
