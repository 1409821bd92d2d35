"""A server in a process of its own, and raw connections to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mvc.hub.grants import Grant
from mvc.hub.messages import Right
from mvc.hub.tokens import open_tokens

ROOT = Path(__file__).resolve().parents[2]
LONG = 180.0
"""Seconds after which a test gives up on what must come, however busy the machine is."""


@dataclass
class Running:
    """A server that runs."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    place: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    def token(self, right: Right, pattern: str = "**", *, expires: int | None = None) -> str:
        """A new token for it."""
        grants = [Grant(right, pattern)]
        return open_tokens(self.place, self.environment).create(right.name, grants, expires=expires)[1]

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, token: str = "", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body of an answer."""
        with contextlib.closing(http.client.HTTPConnection(*self.address, timeout=LONG)) as connection:
            told = {name.replace("_", "-"): value for name, value in headers.items()}
            if token:
                told["Authorization"] = f"Bearer {token}"
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may answer before it has all
                connection.request(method, path, body, told)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def connect(self) -> socket.socket:
        connection = socket.create_connection(self.address)
        connection.settimeout(LONG)
        return connection

    def raw(self, data: bytes, *, end: bool = False, silence: float = LONG) -> bytes:
        """What comes back, until it closes or is silent for so many seconds, for bytes that may be no request."""
        with self.connect() as connection:
            with contextlib.suppress(OSError):
                connection.sendall(data)
                if end:
                    connection.shutdown(socket.SHUT_WR)
            connection.settimeout(silence)
            came = b""
            with contextlib.suppress(OSError):
                while part := connection.recv(65536):
                    came += part
            return came

    def lines(self, **wanted: Any) -> list[dict[str, Any]]:
        """Lines of the access log that hold `wanted`."""
        every = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in every if all(line.get(key) == value for key, value in wanted.items())]

    def logged(self, **wanted: Any) -> dict[str, Any]:
        """The last such line, waited for: an answer may arrive before it is logged."""
        end = time.monotonic() + LONG
        while not (found := self.lines(**wanted)):
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)
        return found[-1]

    def stop(self, seconds: float = LONG) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def workers(self) -> list[int]:
        """The processes that serve."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == self.process.pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
        return found


@contextlib.contextmanager
def serving(
    place: str, *options: str, environment: Mapping[str, str] | None = None, talks: bool = False
) -> Iterator[Running]:
    """`mvc serve` over `place`, at a port that is free. If it says more on stderr than its address, the test fails,
    unless it `talks`."""
    with tempfile.TemporaryDirectory(prefix="served-") as name:
        log, err = Path(name) / "access.jsonl", Path(name) / "err"
        command = [sys.executable, "-m", "mvc", "serve", "run", place, "--port", "0", "--access-log", os.fspath(log)]
        told = {**os.environ, "PYTHONPATH": os.fspath(ROOT), "MVC_HOME": name, **(environment or {})}
        with err.open("wb") as out:
            process = subprocess.Popen(
                [*command, *options], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=told, cwd=name
            )
        try:
            yield Running(_url(process, err), process, log, place, environment or {})
            if process.poll() is None:
                process.terminate()
                process.wait(LONG)
            said = [line for line in err.read_text().splitlines() if "Serving " not in line and "no token" not in line]
            assert talks or not said, "\n".join(said)
        finally:
            process.kill()
            process.wait()


def _url(process: subprocess.Popen[bytes], err: Path) -> str:
    end = time.monotonic() + LONG
    while time.monotonic() < end and process.poll() is None:
        for line in err.read_text().rpartition("\n")[0].splitlines():
            if line.startswith("Serving "):
                url = line.rpartition(" ")[2]
                # It says so when it listens, and not before.
                socket.create_connection((urlsplit(url).hostname or "", urlsplit(url).port or 0)).close()
                return url
        time.sleep(0.02)
    raise TimeoutError(f"no server: {err.read_text()}")


def put(path: str, length: object, token: str, more: str = "") -> bytes:
    """The head of a PUT."""
    return (
        f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n{more}\r\n"
    ).encode()


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    assert found, answer[:200]
    return int(found[1])


def running_now(server: Running) -> float:
    """How many requests run, this question among them."""
    found = re.search(r"^mvc_requests_running (\S+)$", server.ask("GET", "/metrics")[2].decode(), re.M)
    return float(found[1]) if found else -1


def wait_until(holds: Callable[[], object], seconds: float = LONG) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def refused(server: Running) -> bool:
    """Whether it takes no more connections."""
    try:
        socket.create_connection(server.address).close()
    except ConnectionRefusedError:
        return True
    return False
