"""A server at the other end of ssh: the system's ssh starts `mvc serve --stdio PATH` there, and speaks HTTP with it.

    ssh://[user@]host[:port]/path      ssh://host/~/path      [user@]host:path (from the home folder on)

Which ssh: MVC_SSH_COMMAND, GIT_SSH_COMMAND (both through the shell, as Git does), GIT_SSH, else `ssh`. Its keys, agent,
known hosts and configuration are the user's own. What is started there is `mvc`, or what `?mvc=NAME` behind the URL
says (one word), or MVC_REMOTE_COMMAND (as it stands; `remote.NAME.mvcCommand` comes to that). What ssh and the far
side print goes to our standard error.
"""

from __future__ import annotations

import http.client
import re
import shlex
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mvc.backends.http import HttpBackend
from mvc.backends.http_pool import CONNECT_SECONDS, Answer, Body, Pool
from mvc.backends.ssh_address import checked, split
from mvc.errors import MvcError, NetworkError, RemoteUnavailable, UsageError

_COMMAND = re.compile(r"[A-Za-z0-9_./~][A-Za-z0-9_./~+-]{0,255}")
_SHORT = re.compile(r"(?:([^/:@\s][^/:\s]*)@)?(\[[^\]/]+\]|[^/:@\[\]]+):(.*)", re.DOTALL)
_END_SECONDS = 3.0
_PARALLEL = 4
"""Each connection is a process there."""
_CODES = {
    127: ("there is no mvc on its path", "install it there, or name it: ?mvc=/path/to/mvc behind an ssh:// URL"),
    126: ("mvc cannot be started there", None),
    255: ("ssh could not connect", "try: ssh HOST true"),
}


@dataclass(frozen=True, slots=True)
class SshAddress:
    """A repository behind ssh."""

    url: str
    host: str
    user: str | None
    port: int | None
    path: str
    """As the far side gets it, in one word: absolute, or from the home folder on."""
    command: str
    """What is started there, ready for a shell."""
    environment: Mapping[str, str] = field(repr=False, compare=False)
    """Of the ssh that is started here."""


def parse(url: str, environment: Mapping[str, str]) -> SshAddress:
    """Raises UsageError for a URL that names nothing, or that ssh or a shell could take for something else."""
    command = environment.get("MVC_REMOTE_COMMAND") or "mvc"
    if "://" in url:
        place, query = split(url)
        for name, value in query:
            if name != "mvc" or not _COMMAND.fullmatch(value):
                raise UsageError("ssh:// takes no option but 'mvc=NAME', the name of a program there")
            command = shlex.quote(value) if not value.startswith("~/") else f"~/{shlex.quote(value[2:])}"
    else:
        match = _SHORT.fullmatch(url)
        if match is None:
            raise UsageError("not a URL of a remote")
        place = checked(match[1], match[2], None, match[3])
    return SshAddress(url, place.host, place.user, place.port, place.path, command, environment)


def command_of(address: SshAddress, environment: Mapping[str, str]) -> list[str]:
    """The command that connects."""
    target = f"{address.user}@{address.host}" if address.user else address.host
    port = ["-p", str(address.port)] if address.port else []
    words = [*port, target, f"{address.command} serve --stdio {_quoted(address.path)}"]
    shell = environment.get("MVC_SSH_COMMAND") or environment.get("GIT_SSH_COMMAND")
    if shell:
        return ["sh", "-c", f'{shell} "$@"', shell, *words]
    return [environment.get("GIT_SSH") or "ssh", *words]


def _quoted(path: str) -> str:
    """One word for the shell there. `~` is not for that shell: the far side knows it too."""
    return shlex.quote(path) if not path.startswith("-") else shlex.quote("./" + path)


def open_ssh(address: SshAddress) -> HttpBackend:
    """The backend at an ssh address. Connects to nothing yet."""
    command = command_of(address, address.environment)
    pool = _SshPool(command, dict(address.environment), address.url)
    return HttpBackend(pool, address.url, "", {"Host": "mvc"}, parallel=_PARALLEL)


class _SshPool(Pool):
    """Connections that are processes. The first stands alone until it has answered: it may ask for a password."""

    def __init__(self, command: list[str], environment: dict[str, str], url: str) -> None:
        super().__init__(lambda: _Connection(command, environment, self._note), url)
        self._first = threading.Lock()
        self._answered = False
        self._code = 0

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Body = b"",
        *,
        length: int = 0,
        most: int | None = None,
        works: bool = False,
    ) -> Answer:
        if self._answered:
            return super().ask(method, target, headers, body, length=length, most=most, works=works)
        with self._first:
            try:
                answer = super().ask(method, target, headers, body, length=length, most=most, works=True)
            except RemoteUnavailable as error:
                if self._answered:
                    raise
                raise self._ended(error) from error
            self._answered = True
            return answer

    def _note(self, code: int) -> None:
        self._code = code

    def _ended(self, error: RemoteUnavailable) -> MvcError:
        """Why nothing was ever answered. What ssh or the far side had to say, they have printed."""
        if self._code <= 0:
            return error
        why, hint = _CODES.get(self._code, (f"mvc serve ended there with exit code {self._code}", None))
        return NetworkError(f"{self._url}: {why}", hint=hint)


class _Connection(http.client.HTTPConnection):
    """HTTP over the standard input and output of a process."""

    def __init__(self, command: list[str], environment: dict[str, str], ended: Callable[[int], None]) -> None:
        super().__init__("mvc", timeout=CONNECT_SECONDS)
        self._command, self._environment, self._ended = command, environment, ended
        self._process: subprocess.Popen[bytes] | None = None

    def connect(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            end = theirs.fileno()
            self._process = subprocess.Popen(self._command, stdin=end, stdout=end, env=self._environment)
        except OSError as error:
            ours.close()
            raise NetworkError(f"'{self._command[0]}' cannot be started: {error.strerror}") from error
        finally:
            theirs.close()
        self.sock = ours

    def close(self) -> None:
        """Close the pipe, and see the process end; it is made to if it does not by itself."""
        super().close()
        process, self._process = self._process, None
        if process is None:
            return
        try:
            code = process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        self._ended(code)
