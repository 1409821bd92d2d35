"""A server that does nothing but keep bodies as files: what HTTP alone costs, on the server that mvc's own stands on.

python -m benchmarks.bare_server FOLDER        prints its URL, and serves until it is ended

PUT writes a body to a file, syncs it and gives it its name; GET sends it; MKCOL says that it is done. Nobody is asked
who he is, nothing is verified, and there is one flat folder. For opendal's WebDAV, which mvc's server is held against.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.server.mp import MPServer

Message = MutableMapping[str, Any]
_FOLDER = "MVC_BARE_SERVER"


async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Any]) -> None:
    if scope["type"] != "http":
        return
    path = Path(os.environ[_FOLDER], scope["path"].strip("/").replace("/", "_") or ".")

    async def answer(status: int) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    if scope["method"] == "PUT":
        beside = path.with_name(f".{path.name}")
        with beside.open("wb", buffering=0) as out:
            while True:
                message = await receive()
                out.write(message.get("body", b""))
                if not message.get("more_body"):
                    break
            await asyncio.to_thread(os.fsync, out.fileno())
        beside.rename(path)
        await answer(201)
    elif scope["method"] == "GET" and path.is_file():
        size = b"%d" % path.stat().st_size
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", size)]})
        await send({"type": "http.response.pathsend", "path": str(path)})
    else:
        await answer(201 if scope["method"] == "MKCOL" else 404)


def main() -> int:
    os.environ[_FOLDER] = sys.argv[1]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = MPServer(
        "benchmarks.bare_server:app",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    print(f"http://127.0.0.1:{port}", flush=True)
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
