"""A real HTTP server that speaks what is used of GitHub's and GitLab's interfaces."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PATH = re.compile(
    r"/repos/team/bert/issues/(?:7/comments|comments/(\d+))(?:\?.*page=(\d+))?$"
    r"|/api/v4/projects/42/merge_requests/7/notes(?:/(\d+))?(?:\?.*page=(\d+))?$"
)


@dataclass
class Forge:
    """Its comments, and what it was asked."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    broken: int = 0
    """So many requests are answered with 502."""
    url: str = ""
    token: str = "secret"


@contextmanager
def running() -> Iterator[Forge]:
    forge = Forge()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        do_POST = do_PATCH = do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            forge.asked.append(f"{self.command} {self.path}")
            found = _PATH.match(self.path)
            tokens = {self.headers.get(name, "") for name in ("Authorization", "PRIVATE-TOKEN", "JOB-TOKEN")}
            if forge.broken:
                forge.broken -= 1
                self._send(502, {})
            elif self.path.startswith("/moved"):
                self.send_response(302)
                self.send_header("Location", forge.url + "/repos/team/bert/issues/7/comments")
                self.end_headers()
            elif not tokens & {forge.token, f"Bearer {forge.token}"}:
                self._send(401, {})
            elif found is None:
                self._send(404, {})
            else:
                self._comment(found[1] or found[3], int(found[2] or found[4] or 1), data)

        def _comment(self, one: str | None, page: int, data: bytes) -> None:
            if self.command == "GET":
                self._send(200, forge.comments[100 * (page - 1) : 100 * page])
                return
            body = json.loads(data)["body"]
            if one is None:
                made = {"id": len(forge.comments) + 1, "body": body, "user": {"type": "Bot"}, "html_url": "http://x/1"}
                forge.comments.append(made)
                self._send(201, made)
            else:
                forge.comments[int(one) - 1]["body"] = body
                self._send(200, forge.comments[int(one) - 1])

        def _send(self, code: int, content: object) -> None:
            data = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    forge.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield forge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
