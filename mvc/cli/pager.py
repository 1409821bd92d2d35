"""Long output goes through the user's pager, as Git does it: only on a terminal; `less` quits when it fits."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from mvc.cli.session import Session

_DEFAULTS = {"LESS": "FRX", "LV": "-c"}


class Pager:
    """`with Pager(session):` redirects the session's output; does nothing where the user wants no pager."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._process: subprocess.Popen[bytes] | None = None
        self._terminal: IO[str] = session.out

    def __enter__(self) -> None:
        session = self._session
        command = self._command()
        if command in ("", "cat"):
            return
        session.out.flush()
        environment = {**_DEFAULTS, **session.environment}
        try:
            # A shell, since PAGER may hold options; the command is the user's own.
            self._process = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, env=environment)
        except OSError:
            return
        assert self._process.stdin is not None
        session.out = io.TextIOWrapper(self._process.stdin, encoding="utf-8", errors="surrogateescape", newline="\n")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        process = self._process
        if process is None:
            return False
        gone = kind is not None and issubclass(kind, BrokenPipeError)
        try:
            self._session.out.close()
        except BrokenPipeError:
            gone = True  # the reader left the pager before the end: nothing is wrong
        self._session.out = self._terminal
        # Ctrl-C belongs to the pager while it is up.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process.wait()
        finally:
            signal.signal(signal.SIGINT, before)
        if process.returncode == 127:
            self._session.warn(f"the pager was not found: {self._command()} (set MVC_PAGER, or use --no-pager)")
        return gone

    def _command(self) -> str:
        environment = self._session.environment
        for given in (environment.get("MVC_PAGER"), self._session.setting("core.pager"), environment.get("PAGER")):
            if given is not None:
                return given.strip()
        return "more" if os.name == "nt" else "less"
