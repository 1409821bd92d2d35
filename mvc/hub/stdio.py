"""The server over a pipe: HTTP/1.1 on standard input and output, one request after another, one user.

Only what the client of this protocol sends is taken: no bodies in chunks, no folded headers. What breaks a rule ends
the conversation with an answer that says so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import closing
from http import HTTPStatus
from io import BufferedReader, FileIO
from pathlib import Path
from urllib.parse import parse_qsl

from mvc.backends.folder import refuse_repository
from mvc.errors import NotFound
from mvc.fsio import Buffer, RandomFile
from mvc.hub.messages import Everywhere, FileSlice, Identity, Request, Response, Right
from mvc.hub.service import Service
from mvc.hub.storage import single_folder

_MOST_HEAD = 32 * 1024
_MOST_HEADERS = 64
_MOST_DRAINED = 4 * 1024 * 1024
_BLOCK = 1024 * 1024
_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]{0,4096}) HTTP/1\.1")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([\t\x20-\x7e\x80-\xff]{0,8192})")
_REASONS = {status.value: status.phrase for status in HTTPStatus}

Told = Callable[[Exception], None]


def serve_folder(place: str, cwd: Path, environment: Mapping[str, str], note: Callable[[str], None]) -> None:
    """Serve the remote in a folder of this machine on standard input and output, with all rights: what may be done
    there is for the file system to say. `note` is told of inner failures, a line each.

    `~/` is the user's home. Raises Refused for a repository with a worktree, NotFound where none could be made.
    """
    folder = cwd / _expanded(place, environment)
    refuse_repository(folder, place)
    if not folder.is_dir() and not folder.parent.is_dir():
        raise NotFound(f"the folder '{folder.parent}' is not there")

    def failed(error: Exception) -> None:
        note(f"mvc serve: {type(error).__name__}: {error}")

    with closing(Service(single_folder(folder), keyed=True)) as service:
        converse(service, Everywhere(Right.ADMIN, environment.get("USER", "") or "pipe"), 0, 1, failed)


def _expanded(place: str, environment: Mapping[str, str]) -> str:
    if place == "~" or place.startswith("~/"):
        return environment.get("HOME", "~") + place[1:]
    return place


class _Broken(Exception):
    """What came is no request, or the other side is gone."""


def converse(service: Service, identity: Identity, source: int, sink: int, failed: Told) -> None:
    """Answer what comes from the descriptor `source` on `sink`, until it ends. `failed` is told of inner failures."""
    with BufferedReader(FileIO(source, closefd=False), _BLOCK) as reader:
        try:
            while _one(service, identity, reader, sink, failed):
                pass
        except (BrokenPipeError, ConnectionResetError):
            return  # nobody listens any more


def _one(service: Service, identity: Identity, reader: BufferedReader[FileIO], sink: int, failed: Told) -> bool:
    """Take and answer one request; whether another may follow."""
    try:
        head = _head(reader)
        if head is None:
            return False
        method, path, query, headers = head
        length = _length(headers)
    except _Broken as error:
        _send_head(sink, Response(400, {"content-length": "0", "mvc-error": str(error)}), last=True)
        return False
    body = _Body(reader, length or 0)
    response = service.handle(Request(method, path, query, headers, body, length, identity))
    if response.failure is not None:
        failed(response.failure)
    last = body.left > _MOST_DRAINED
    _send_head(sink, response, last=last)
    if not _send_body(sink, response, failed) or last:
        return False
    while body.left:
        if not body.read(_BLOCK):
            return False
    return True


def _head(reader: BufferedReader[FileIO]) -> tuple[str, str, Mapping[str, str], dict[str, str]] | None:
    """Method, path, query and headers; None where nothing more comes. Raises _Broken."""
    first = reader.readline(_MOST_HEAD)
    if not first:
        return None
    line = _LINE.fullmatch(first.rstrip(b"\r\n"))
    if line is None:
        raise _Broken("this is no request")
    headers: dict[str, str] = {}
    left = _MOST_HEAD
    while True:
        raw = reader.readline(left + 1)
        left -= len(raw)
        if left < 0 or not raw.endswith(b"\n") or len(headers) > _MOST_HEADERS:
            raise _Broken("the head of a request is cut short, or too long")
        text = raw.rstrip(b"\r\n")
        if not text:
            break
        header = _HEADER.fullmatch(text)
        if header is None or (name := header[1].decode().lower()) in headers:
            raise _Broken("a header makes no sense, or comes twice")
        headers[name] = header[2].decode("latin-1").strip()
    path, _, query = line[2].decode("ascii").partition("?")
    return line[1].decode("ascii"), path, dict(parse_qsl(query, keep_blank_values=True)), headers


def _length(headers: Mapping[str, str]) -> int | None:
    """Bytes of the body; None where there is none. Raises _Broken."""
    if "transfer-encoding" in headers:
        raise _Broken("bodies in chunks are not taken over a pipe")
    text = headers.get("content-length")
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,18}", text):
        raise _Broken("a length makes no sense")
    return int(text)


class _Body:
    """A request's body."""

    def __init__(self, reader: BufferedReader[FileIO], length: int) -> None:
        self._reader = reader
        self.left = length

    def read(self, size: int, /) -> bytes:
        block = self._reader.read1(min(size, self.left)) if self.left else b""
        self.left -= len(block)
        return block


def _send_head(sink: int, response: Response, *, last: bool) -> None:
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Other')}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines += ["connection: close"] if last else []
    _write(sink, "\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))


def _send_body(sink: int, response: Response, failed: Told) -> bool:
    """Whether all of it went."""
    body = response.body
    if isinstance(body, bytes):
        _write(sink, body)
        return True
    if isinstance(body, FileSlice):
        return _send_file(sink, body)
    left = int(response.headers["content-length"])
    try:
        for part in body:
            left -= len(part)
            _write(sink, part)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        failed(error)
    return left == 0


def _send_file(sink: int, part: FileSlice) -> bool:
    try:
        file = RandomFile(part.path)
    except FileNotFoundError:
        return False
    offset, left = part.offset, part.length
    with closing(file):
        while left:
            data = file.read_at(offset, min(left, _BLOCK))
            if not data:
                return False
            _write(sink, data)
            offset += len(data)
            left -= len(data)
    return True


def _write(sink: int, data: Buffer) -> None:
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(sink, view) :]
