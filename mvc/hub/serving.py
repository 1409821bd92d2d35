"""Running the server: processes, sockets, TLS, and the end of it.

granian (docs/adr/0014-granian.md) accepts connections and speaks HTTP and TLS in Rust; each of its workers is a process
that runs what `app.build` made, and ends with the one that started it. On SIGTERM or SIGINT it takes no more
connections, lets what runs come to its end, and closes the rest after `Listen.grace` seconds. On SIGHUP workers are
replaced one after the other: so certificates and the log are opened anew.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from mvc.errors import Refused, UsageError
from mvc.hub.exchange import App, Message, Receive, Scope, Send
from mvc.hub.options import ServerOptions
from mvc.hub.requestlog import RequestLog
from mvc.lazy import load

BUILD = "mvc.hub.app:build"
"""Loaded in the workers, after PROMETHEUS_MULTIPROC_DIR is set."""

_HEADER_SECONDS = 15
_AT_ONCE = 1 << 20
"""Bytes of a body that are read at once, at the most: each piece has its price (docs/adr/0014-granian.md)."""
_BACKLOG = 1024
_CONNECTIONS = 2048
"""Of one process, idle ones included; others wait to be accepted."""
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
_TELL_SECONDS = 120.0
"""An address that this machine cannot reach itself is told then."""

_LOGGING: dict[str, Any] = {
    "handlers": {
        "console": {"formatter": "generic", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
        "access": {"formatter": "access", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
    }
}
"""granian's own words go to stderr; standard output is the access log's."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where, and with how many processes."""

    host: str = "127.0.0.1"
    port: int = 0
    """0: one that is free."""
    workers: int = 1
    certificate: Path | None = None
    """PEM, with the chain. With `key` (PEM, PKCS#8): https."""
    key: Path | None = None
    grace: float = 60.0
    """Seconds that requests have to come to their end when the server stops."""


def serve(options: ServerOptions, listen: Listen, ready: Callable[[str], None]) -> None:
    """Serve until a signal comes. `ready` is told the URL, by another thread, once connections are taken there.

    Raises UsageError for certificates that are none, Refused where the address is taken. Replaces the process's
    handlers of SIGTERM, SIGINT and SIGHUP, and its way of starting processes.
    """
    _check_tls(listen)
    RequestLog(options.access_log).close()  # what cannot be written is told here, and not by each worker
    listen = replace(listen, port=_free(listen))
    # A fork would take over locks of threads that are not there (opendal, numpy).
    multiprocessing.set_start_method("spawn", force=True)
    # For glibc in the workers, which reads it when a process starts: else threads that come and go keep what they had.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    with tempfile.TemporaryDirectory(prefix="mvc-serve-") as scratch:
        if listen.workers > 1:
            # prometheus_client reads it when it is imported, which only the workers do.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = scratch
            options = replace(options, metrics_folder=Path(scratch))
        server = _server(listen)
        threading.Thread(target=_tell, args=(listen, ready), name="tell", daemon=True).start()
        try:
            server.serve(target_loader=partial(_app, options, listen.grace, server.there), wrap_loader=False)
        except SystemExit as ended:
            raise Refused("the server's processes failed; what they said stands above") from ended


def _tell(listen: Listen, ready: Callable[[str], None]) -> None:
    """Tell the URL as soon as somebody listens, which a worker does some seconds after it was started on a machine that
    has much to do: who waits for the URL and then connects would be refused."""
    host = _LOOPBACK.get(listen.host, listen.host)
    end = time.monotonic() + _TELL_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((host, listen.port), timeout=1.0):
            break
        time.sleep(0.02)
    ready(f"{'https' if listen.certificate else 'http'}://{_shown(listen.host)}:{listen.port}")


def _app(options: ServerOptions, grace: float, there: Semaphore) -> App:
    """What a worker runs. It tells `there` when it begins to."""
    threading.Thread(target=_follow, args=(grace,), name="follow", daemon=True).start()
    app: App = load(BUILD)(options)

    async def until_the_end(scope: Scope, receive: Receive, send: Send) -> None:
        async def telling(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                there.release()

        lives = scope["type"] == "lifespan"
        await app(scope, receive, telling if lives else send)
        if lives:
            # All requests have ended, and all is closed. Not through the interpreter's own end: there, now and then, a
            # thread of granian's still asks for Python's lock, and dies of it with a backtrace.
            os._exit(0)

    return until_the_end


def _follow(grace: float) -> None:
    """End as SIGTERM has it when the process that started this one is gone, however it went: else of a killed server a
    worker would answer on, and hold its port."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    os._exit(1)


class _Server(MPServer):  # type: ignore[misc]  # granian tells no types
    """granian's, but for SIGHUP: there an old worker goes some seconds after the new one was started, ready or not. On
    a machine that has much to do it is not, and nobody would listen for a while."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.there = multiprocessing.get_context("spawn").Semaphore(0)
        self._replaces = False

    def _respawn_workers(self, *args: Any, **named: Any) -> Any:
        self._replaces = True
        try:
            return super()._respawn_workers(*args, **named)
        finally:
            self._replaces = False

    def _spawn_worker(self, *args: Any, **named: Any) -> Any:
        worker = super()._spawn_worker(*args, **named)
        if self._replaces:
            start = worker.start
            worker.start = lambda: self._start(start, worker.is_alive)
        return worker

    def _start(self, start: Callable[[], None], lives: Callable[[], bool]) -> None:
        """Start a worker, and wait until it is there, or is no more."""
        while self.there.acquire(block=False):
            pass
        start()
        while not self.there.acquire(timeout=0.1) and lives():
            pass


def _server(listen: Listen) -> _Server:
    return _Server(
        "mvc",
        address=listen.host,
        port=listen.port,
        interface=Interfaces.ASGI,
        workers=listen.workers,
        # The older HTTP alone: the protocol gains nothing by streams, and each costs buffers.
        http=HTTPModes.http1,
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_SECONDS * 1000, max_buffer_size=_AT_ONCE),
        # Below that it warns of having killed processes that were just ending by themselves.
        log_level=LogLevels.error,
        log_dictconfig=_LOGGING,
        ssl_cert=listen.certificate,
        ssl_key=listen.key,
        respawn_failed_workers=True,
        workers_kill_timeout=max(1, round(listen.grace)),
    )


def _free(listen: Listen) -> int:
    """The port; raises Refused if it cannot be had."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen.host, listen.port))
        except OSError as error:
            where = f"{_shown(listen.host)}:{listen.port}"
            raise Refused(
                f"cannot listen at {where}: {error.strerror or error}", hint="another address: --host, --port"
            ) from None
        return int(probe.getsockname()[1])


def _check_tls(listen: Listen) -> None:
    if listen.certificate is None and listen.key is None:
        return
    if listen.certificate is None or listen.key is None:
        raise UsageError("TLS needs a certificate and its key", hint="--tls-cert FILE --tls-key FILE")
    if b"BEGIN PRIVATE KEY" not in listen.key.read_bytes():
        raise UsageError(
            f"the key in '{listen.key}' is not PKCS#8 without a password",
            hint=f"openssl pkcs8 -topk8 -nocrypt -in {listen.key} -out pkcs8.pem",
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(listen.certificate, listen.key)
    except ssl.SSLError as error:
        raise UsageError(f"'{listen.certificate}' and '{listen.key}' do not go together: {error.reason}") from None


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
