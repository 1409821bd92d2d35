"""A line to an SFTP server: asyncssh, whose event loop runs in a thread of its own, for callers that are threads.

Who the server is must stand in a known_hosts file, always: nothing in ~/.ssh/config turns that off here, and nobody is
asked. Who we are is told by the agent, or by keys without a passphrase.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncssh

from mvc.backends.sftp_address import SftpAddress
from mvc.backends.ssh_address import Place
from mvc.errors import MvcError, NetworkError, NotFound, RemoteRefused, RemoteUnavailable, Unsupported

Client = Any
"""asyncssh's SFTPClient."""
Alive = Callable[[], None]
"""Tells that something came: the time for the rest begins anew."""
Result = TypeVar("Result")

CONNECT_SECONDS = 30.0
STALL_SECONDS = 60.0
"""Nothing came for so long: the line is given up."""
_ALIVE_SECONDS = 15.0
_QUICK = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com")
"""In this order unless ~/.ssh/config names others: asyncssh moves 1.8 times as much by AES (ADR 0015)."""
_OTHERS = ("aes256-ctr", "aes192-ctr", "aes128-ctr")
_KNOWN = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_LOST = (asyncssh.DisconnectError, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.ChannelOpenError)
Work = Callable[[Client, Alive], Awaitable[Result]]


class Line:
    """One connection, made when it is first needed, and again when it broke. Threads may use it at once."""

    def __init__(self, address: SftpAddress, *, stall: float = STALL_SECONDS) -> None:
        self._address = address
        self._stall = stall
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connecting = asyncio.Lock()
        self._connection: Any = None
        self._client: Client = None

    def run(self, work: Work[Result], key: str) -> Result:
        """What `work` gives, done with the connection. Raises MvcError; what the server says of a file stays SFTPError.

        `key`: what it is about, for messages.
        """
        future = asyncio.run_coroutine_threadsafe(self._run(work, key), self._started())
        try:
            return future.result()
        finally:
            future.cancel()  # where the caller was interrupted

    def close(self) -> None:
        with self._starting:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._hang_up(), loop).result(5.0)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="mvc-sftp", daemon=True)
                self._thread.start()
            return self._loop

    async def _run(self, work: Work[Result], key: str) -> Result:
        client = await self._connected()
        try:
            async with asyncio.timeout(self._stall) as limit:
                clock = asyncio.get_running_loop().time
                return await work(client, lambda: limit.reschedule(clock() + self._stall))
        except (*_LOST, OSError) as error:  # TimeoutError is one
            self._drop(client)
            why = "does not answer" if isinstance(error, TimeoutError) else "broke the connection"
            raise RemoteUnavailable(f"{self._address.url} {why} ('{key}')") from None

    async def _connected(self) -> Client:
        async with self._connecting:
            if self._client is None or self._connection.is_closed():
                self._connection, self._client = await self._connect()
            return self._client

    def _drop(self, client: Client) -> None:
        """The next request starts afresh, unless another has done so already."""
        if client is self._client and self._connection is not None:
            self._connection.abort()
            self._client = None

    async def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            await self._connection.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connect(self) -> tuple[Any, Client]:
        place, url = self._address.place, self._address.url
        options = self._options()
        connection = None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await asyncssh.connect(place.host, place.port or (), options=options)
                return connection, await connection.start_sftp_client()
        except Exception as error:
            if connection is not None:
                connection.abort()
            raise _why(error, url, place) from None

    def _options(self) -> Any:
        """What ~/.ssh/config and the environment say, with the host's key verified in any case."""
        place, environment = self._address.place, self._address.environment
        home = Path(environment.get("HOME") or environment.get("USERPROFILE") or Path.home())
        config = home / ".ssh/config"
        given: dict[str, Any] = {"config": [str(config)] if config.is_file() else None, "host": place.host}
        if place.port is not None:
            given["port"] = place.port
        if place.user is not None:
            given["username"] = place.user
        try:
            asks = asyncssh.SSHClientConnectionOptions(**given).config
            if asks.get("IdentityAgent") is None:
                given["agent_path"] = environment.get("SSH_AUTH_SOCK")
            if asks.get("Ciphers") is None:
                given["encryption_algs"] = [*_QUICK, *_OTHERS]
            files = asks.get("UserKnownHostsFile") or [str(home / ".ssh/known_hosts"), str(home / ".ssh/known_hosts2")]
            files = [Path(name).expanduser() for name in (*files, *(asks.get("GlobalKnownHostsFile") or _KNOWN))]
            found = [str(file) for file in files if file.is_file()]
            # Never None, which asyncssh takes for "whoever it is" and makes of `UserKnownHostsFile none`.
            known = asyncssh.read_known_hosts(found) if found else asyncssh.import_known_hosts("")
            return asyncssh.SSHClientConnectionOptions(
                **given, known_hosts=known, connect_timeout=CONNECT_SECONDS, login_timeout=CONNECT_SECONDS,
                keepalive_interval=_ALIVE_SECONDS, password=None,
            )  # fmt: skip
        except (OSError, ValueError, asyncssh.Error) as error:
            said = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
            raise NetworkError(
                f"{self._address.url}: ~/.ssh/config, known_hosts or a key that is named there cannot be used{said}"
            ) from None


_HANDS: tuple[tuple[type[Exception], str], ...] = (
    (ConnectionRefusedError, "refuses connections"),
    (TimeoutError, "does not answer"),
    (asyncssh.ConnectionLost, "broke the connection before anybody had logged in"),
    (OSError, "cannot be reached"),
)


def _why(error: Exception, url: str, place: Place) -> MvcError:
    """Why there is no connection: in words of ours, for what the server said may hold anything."""
    port = f"-p {place.port} " if place.port else ""
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return NetworkError(
            f"{url}: this host's key does not stand in known_hosts, or another does",
            hint=f"connect once by ssh, and compare the fingerprint: ssh {port}{place.host}",
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return RemoteRefused(
            f"{url} takes none of our keys",
            hint="ssh-add -l shows the agent's; a key with a passphrase is used through the agent alone",
        )
    if isinstance(error, asyncssh.ChannelOpenError | asyncssh.SFTPError | asyncssh.ProtocolError):
        return NetworkError(f"{url} has no SFTP for us", hint="sshd has it where its configuration says Subsystem sftp")
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return NetworkError(f"{url} and this side know no cipher, or no way to agree on a key, in common")
    if isinstance(error, socket.gaierror):
        return NetworkError(f"{url} has a host that is not known")
    for kind, said in _HANDS:
        if isinstance(error, kind):
            return RemoteUnavailable(f"{url} {said}")
    if isinstance(error, asyncssh.DisconnectError):
        return RemoteUnavailable(f"{url} ended the connection before anybody had logged in")
    return NetworkError(f"{url} does not answer as an SFTP server should: {type(error).__name__}")


def translated(error: asyncssh.SFTPError, url: str, key: str) -> MvcError:
    """What the server says of a file."""
    if isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath | asyncssh.SFTPNotADirectory):
        return NotFound(f"'{key}' is not in {url}")
    if isinstance(error, asyncssh.SFTPPermissionDenied | asyncssh.SFTPWriteProtect):
        return RemoteRefused(f"{url} refuses this ('{key}')", hint="may this account read and write there?")
    if isinstance(error, asyncssh.SFTPOpUnsupported):
        return Unsupported(f"{url} cannot do this")
    if isinstance(error, asyncssh.SFTPNoSpaceOnFilesystem | asyncssh.SFTPQuotaExceeded):
        return NetworkError(f"there is no space left at {url}")
    return NetworkError(f"{url} could not do this ('{key}'): {type(error).__name__.removeprefix('SFTP')}")
