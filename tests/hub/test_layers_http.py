"""The server's layers over ASGI, without a process: whatever is asked gets one answer, and never a failure inside."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.errors import RemoteUnavailable
from mvc.hub import app as stacked
from mvc.hub.exchange import App, Message, Receive, Scope, Send
from mvc.hub.grants import Grant
from mvc.hub.messages import Right
from mvc.hub.meter import Meter
from mvc.hub.options import ServerOptions
from mvc.hub.requestlog import RequestLog
from mvc.hub.tokens import open_tokens
from mvc.hub.watch import Watch
from tests.hub.made import Made

WORDS = "team model - mvc 1 objects txn have locate list .. . packs latest a mvc-remote %2e%2e leases healthz metrics"
PIECES = st.sampled_from([*WORDS.split(), "", "0" * 32, "\x00", "é", "x" * 300, "000000000001"])
PATHS = st.one_of(
    st.lists(PIECES, max_size=9).map(lambda parts: "/" + "/".join(parts)),
    st.lists(PIECES, max_size=3).map(lambda parts: "/team/model/-/mvc/1/" + "/".join(parts)),
    st.text(max_size=40),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["range", "content-length", "transfer-encoding", "if-none-match", "expect", "x", "user-agent"]),
        st.one_of(
            st.text(max_size=20), st.sampled_from(["bytes=0-5", "bytes=9-", "bytes=-1", "*", "chunked", "0", "5"])
        ),
    ),
    max_size=4,
)


class Asked:
    """An app, asked one request at a time."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.runner = asyncio.Runner()

    def close(self) -> None:
        self.runner.close()

    def __call__(
        self, method: str, path: str, headers: list[tuple[str, str]], query: bytes = b"", body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("utf-8", "replace"),
            "root_path": "",
            "query_string": query,
            "headers": [(k.encode(), v.encode("utf-8", "replace")) for k, v in headers],
            "client": ("192.0.2.1", "5"),
            "server": ("127.0.0.1", "80"),
        }
        sent: list[Message] = []
        came: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Message:
            return next(came, {"type": "http.disconnect"})

        async def send(message: Message) -> None:
            sent.append(message)

        async def run() -> None:
            await self.app(scope, receive, send)

        self.runner.run(run())
        assert [message["type"] for message in sent].count("http.response.start") == 1
        told = {k.decode("latin-1"): v.decode("latin-1") for k, v in sent[0]["headers"]}
        return sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.fixture(scope="module")
def asked(made: Made) -> Iterator[Asked]:
    with contextlib.closing(Asked(stacked.build(ServerOptions(str(made.folder.parents[1]), access_log="")))) as asked:
        yield asked


@pytest.fixture(scope="module")
def token(made: Made) -> str:
    return open_tokens(str(made.folder.parents[1]), {}).create("fuzz", [Grant(Right.ADMIN, "**")])[1]


@settings(deadline=None, max_examples=300)
@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "BREW"]),
    path=PATHS,
    headers=HEADERS,
    query=st.binary(max_size=30),
    body=st.binary(max_size=80),
    known=st.booleans(),
)
def test_whatever_is_asked_gets_an_answer(
    asked: Asked,
    token: str,
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    query: bytes,
    body: bytes,
    known: bool,
) -> None:
    told = [("authorization", f"Bearer {token}")] if known else []
    if method in ("PUT", "POST") and not any(name == "content-length" for name, _ in headers):
        told.append(("content-length", str(len(body))))
    status, answer, data = asked(method, path, headers + told, query, body)
    assert 200 <= status < 500
    if status >= 400 and data and not answer.get("content-type", "").startswith("text/plain"):
        assert set(json.loads(data)) == {"error", "hint", "kind"}
    if method != "HEAD" and "content-length" in answer:
        assert int(answer["content-length"]) == len(data)
    if not known:
        assert status in (400, 401, 404) or path in ("/healthz", "/metrics")


def test_what_raises_inside_is_a_500(tmp_path: Path) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("secret")

    log = tmp_path / "log"
    with contextlib.closing(Asked(Watch(broken, RequestLog(str(log)), Meter(None)))) as asked:
        status, _, body = asked("GET", "/", [])
    assert (status, b"secret" in body) == (500, False)
    assert "ValueError: secret" in json.loads(log.read_text())["failure"]


def test_tokens_that_cannot_be_asked_for_are_no_reason_to_let_somebody_in(
    made: Made, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    def fails(*_given: Any) -> None:
        raise RemoteUnavailable("the store is away")

    monkeypatch.setattr("mvc.hub.tokens.Tokens.get", fails)
    with contextlib.closing(Asked(stacked.build(ServerOptions(str(made.folder.parents[1]), access_log="")))) as asked:
        status, headers, body = asked("GET", "/team/model/-/mvc/1/", [("authorization", f"Bearer {token}")])
    assert (status, headers["retry-after"]) == (503, "5")
    assert b"away" not in body
