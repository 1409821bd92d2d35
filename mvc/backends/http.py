"""A backend that asks an mvc server: the client of docs/protocol/sync.md, over whatever carries HTTP.

The server keeps a remote and stands before its keys: it takes no other than those of a remote, verifies what is put,
and answers questions that a store cannot. `latest` it tells itself, so that is not sent.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mvc import fsio
from mvc.backends.base import (
    Capabilities,
    Entry,
    FilePart,
    Report,
    Source,
    Streamed,
    check_key,
    check_prefix,
    check_range,
)
from mvc.backends.http_address import HttpAddress
from mvc.backends.http_pool import CONNECT_SECONDS, Answer, Body, Connect, Exchange, Pool
from mvc.errors import (
    FileChanged,
    IntegrityError,
    MvcError,
    NetworkError,
    NotFound,
    Refused,
    RemoteRefused,
    RemoteUnavailable,
    UnsupportedFormat,
)
from mvc.fsio import Buffer

_PARALLEL = 6
_PART = 8 << 20
_BLOCK = 1 << 20
_ASKED_FIRST = 1 << 20
"""Who sends more asks first whether it is there, or would not be taken."""
_MOST_ANSWER = 64 << 20
_MOST_LISTING = 1 << 20
_MOST_SAID = 1 << 16
"""Bytes of an answer that tells nothing but that it was done."""
_ROW = re.compile(r"(\S{1,512}) ([0-9]{1,18})")
_UNSEEN = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]")
_LATEST = "latest"
_NEWEST = "mvc-newest"
"""Header of the answer to an entry."""
_LOG = "txn/"


class HttpBackend:
    """The objects of one repository of a server."""

    def __init__(
        self,
        exchange: Exchange,
        url: str,
        base: str,
        headers: Mapping[str, str] | None = None,
        *,
        parallel: int = _PARALLEL,
    ) -> None:
        """`url`: for messages. `base`: path of the repository. `headers` go with each request, and hold the token."""
        self.url = url
        self._exchange = exchange
        self._base = f"{base}/-/mvc/1/"
        self._headers = dict(headers or {})
        self.capabilities = Capabilities(
            put_if_absent=True,
            atomic_put=True,
            ranges=True,
            list_after=True,
            parallel=parallel,
            part=_PART,
            vouched=True,
            ask=self._question,
        )

    def __repr__(self) -> str:
        return f"HttpBackend({self.url!r})"

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        check_range(offset, length)
        target = self._object(key)
        if length == 0:
            self._known_size(key)
            return b""
        headers: dict[str, str] = {}
        if offset or length is not None:
            headers["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        answer = self._ask("GET", target, headers, most=length)
        if answer.status == 416:
            return b""
        self._expect(answer, key, 200, 206)
        if headers and not _fits(answer, offset):
            raise NetworkError(f"{self.url} gives other bytes of '{key}' than it was asked for")
        return answer.data

    def size(self, key: str) -> int | None:
        answer = self._ask("HEAD", self._object(key))
        if answer.status == 404:
            return None
        self._expect(answer, key, 200)
        told = answer.headers.get("content-length", "")
        if not told.isdecimal() or len(told) > 18:
            raise NetworkError(f"{self.url} does not tell how large '{key}' is")
        return int(told)

    def _known_size(self, key: str) -> int:
        size = self.size(key)
        if size is None:
            raise NotFound(f"'{key}' is not in {self.url}")
        return size

    def put(self, key: str, source: Source, *, progress: Report | None = None) -> None:
        target = self._object(key)
        if key == _LATEST:
            return
        with contextlib.ExitStack() as stack:
            if isinstance(source, Path):
                file = stack.enter_context(fsio.RandomFile(source))
                size = file.stat().st_size
                blocks: Iterator[Buffer | FilePart] = _file_blocks(file, size)
            elif isinstance(source, Streamed):
                size, blocks = source.size, source.pieces()
            else:
                view = memoryview(source).cast("B")
                size = len(view)
                blocks = (view[at : at + _BLOCK] for at in range(0, size, _BLOCK))
            if size > _ASKED_FIRST and self.size(key) == size:
                if progress is not None:
                    progress(size)
                return
            answer = self._ask("PUT", target, body=_told(blocks, progress), length=size, works=True)
        self._expect(answer, key, 200, 201, 204)

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        target = self._object(key)
        size = memoryview(data).nbytes
        if key.startswith(_LOG):
            answer = self._ask("POST", self._base + "txn", body=data, length=size, works=True)
        else:
            answer = self._ask("PUT", target, {"If-None-Match": "*"}, body=data, length=size, works=True)
        if answer.status in (409, 412):
            return False
        self._expect(answer, key, 200, 201, 204)
        if key.startswith(_LOG) and _NEWEST not in answer.headers:
            raise _stranger(self.url)  # an entry that nobody took would be a push that never was
        return True

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        return self._pages(prefix, after)

    def _pages(self, prefix: str, after: str) -> Iterator[Entry]:
        more = True
        while more:
            answer = self._ask("GET", f"{self._base}list?prefix={prefix}&after={after}", most=_MOST_LISTING)
            if answer.status == 404:
                return
            self._expect(answer, prefix, 200)
            before = after
            for line in answer.data.decode("ascii", "replace").splitlines():
                row = _ROW.fullmatch(line)
                if row is None or row[1] <= after or not row[1].startswith(prefix):
                    raise NetworkError(f"{self.url} lists objects in a way that makes no sense")
                after = check_key(row[1])
                yield Entry(after, int(row[2]), None)
            more = answer.headers.get("mvc-more") == "1" and after != before

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            answer = self._ask("DELETE", self._object(key))
            if answer.status != 404:
                self._expect(answer, key, 200, 204)

    def close(self) -> None:
        self._exchange.close()

    def _question(self, question: str, body: bytes) -> bytes:
        answer = self._ask("POST", self._base + question, body=body, length=len(body), most=_MOST_ANSWER, works=True)
        self._expect(answer, question, 200)
        return answer.data

    # ---- one request

    def _object(self, key: str) -> str:
        return f"{self._base}objects/{check_key(key)}"

    def _ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        *,
        body: Body = b"",
        length: int = 0,
        most: int | None = _MOST_SAID,
        works: bool = False,
    ) -> Answer:
        sent = {**self._headers, **(headers or {})}
        return self._exchange.ask(method, target, sent, body, length=length, most=most, works=works)

    def _expect(self, answer: Answer, key: str, *statuses: int) -> None:
        if answer.status in statuses and answer.headers.get("content-type", "").lower().startswith("text/html"):
            raise _stranger(self.url)
        if answer.status not in statuses:
            raise failure(answer, self.url, key, writes=201 in statuses)


def _stranger(url: str) -> NetworkError:
    """Success, as a page to log in has it that stands before all of a network."""
    return NetworkError(
        f"what answers at {url} is no mvc server", hint="a page to log in, or a proxy? look at it in a browser"
    )


def failure(answer: Answer, url: str, key: str, *, writes: bool = False) -> MvcError:
    """What an answer that is no success comes to. `writes`: the request was to change something."""
    status = answer.status
    if 300 <= status < 400:
        return NetworkError(
            f"{url} sends us elsewhere (HTTP status {status}), and a token must not go there",
            hint="set the remote's URL to where it is now: mvc remote set-url",
        )
    text, hint, kind = _told_by(answer)
    if status == 404:
        return NotFound(f"{url}: {text}" if writes and text else f"'{key}' is not in {url}")
    said = f": {text}" if text else f" (HTTP status {status})"
    if status in (401, 403, 407):
        default = "set MVC_TOKEN, or the host's password in netrc" if status == 401 else None
        return RemoteRefused(f"{url} refuses this{said}", hint=hint or default)
    if status in (408, 425, 429) or status >= 500:
        after = answer.headers.get("retry-after", "")
        if status in (501, 505, 507):
            return NetworkError(f"{url} cannot do this{said}", hint=hint)
        return RemoteUnavailable(
            f"{url} does not answer as it should{said}", hint=hint, after=float(after) if after.isdecimal() else 0.0
        )
    if status == 422 and kind == "integrity":
        return IntegrityError(f"{url} takes this for damaged{said}", hint=hint or "mvc fsck")
    if status == 422 and kind == "format":
        return UnsupportedFormat(f"{url} does not know this{said}", hint=hint)
    if status in (409, 412, 413, 422):
        return Refused(f"{url} does not take this{said}", hint=hint)
    return NetworkError(f"{url} does not answer as an mvc server{said}", hint="is the URL that of a repository?")


def _told_by(answer: Answer) -> tuple[str, str | None, str]:
    """What the server says of an error: text that may be shown."""
    try:
        found = json.loads(answer.data)
        text, hint, kind = (found.get(name) for name in ("error", "hint", "kind"))
    except (ValueError, AttributeError, RecursionError):
        return "", None, ""
    clean = [_UNSEEN.sub("?", one)[:300] if isinstance(one, str) else "" for one in (text, hint, kind)]
    return clean[0], clean[1] or None, clean[2]


def _fits(answer: Answer, offset: int) -> bool:
    """Whether an answer is about the range that begins there."""
    if answer.status == 200:
        return offset == 0
    return answer.headers.get("content-range", "").startswith(f"bytes {offset}-")


def _file_blocks(file: fsio.RandomFile, size: int) -> Iterator[Buffer]:
    for at in range(0, size, _BLOCK):
        wanted = min(_BLOCK, size - at)
        block = file.read_at(at, wanted)
        if len(block) != wanted:
            raise FileChanged(f"'{file.path}' became shorter while it was read")
        yield block


def _told(blocks: Iterable[Buffer | FilePart], progress: Report | None) -> Iterator[Buffer | FilePart]:
    for block in blocks:
        yield block
        if progress is not None:
            progress(len(block))


def open_http(address: HttpAddress) -> HttpBackend:
    """The backend at an http(s) address. Connects to nothing yet."""
    headers = {"User-Agent": "mvc", "Host": address.authority}
    if address.token is not None:
        headers["Authorization"] = f"Bearer {address.token}"
    base = address.base
    if address.proxy is not None and not address.secure:
        base = f"http://{address.authority}{base}"
        if address.proxy.authorization is not None:
            headers["Proxy-Authorization"] = address.proxy.authorization
    return HttpBackend(Pool(_connector(address), address.url), address.url, base, headers)


def _connector(address: HttpAddress) -> Connect:
    proxy = address.proxy
    host, port = (proxy.host, proxy.port) if proxy is not None else (address.host, address.port)
    if not address.secure:
        return lambda: http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
    context = ssl.create_default_context()

    def connect() -> http.client.HTTPConnection:
        connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=context)
        if proxy is not None:
            said = {"Proxy-Authorization": proxy.authorization} if proxy.authorization is not None else {}
            connection.set_tunnel(address.host, address.port, said)
        return connection

    return connect
