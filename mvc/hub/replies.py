"""Answers, and the one place where an error becomes a status."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping

from mvc.errors import (
    AuthError,
    IntegrityError,
    MvcError,
    NetworkError,
    NotFound,
    ParseError,
    Refused,
    RemoteUnavailable,
    Unsupported,
    UnsupportedFormat,
    UsageError,
)
from mvc.hub.messages import Response

_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_LINE = 500
BINARY = "application/octet-stream"


class Status(MvcError):
    """An answer that is no success, said outright."""

    def __init__(self, status: int, message: str, *, hint: str | None = None, **headers: str) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.kind = "refused"


class Absent(NotFound):
    """Nothing is there. What this says may be told; what a store says of a missing object may name its place."""


def unprocessable(error: MvcError) -> Status:
    """What somebody sent is not what it must be."""
    answer = Status(422, error.message, hint=None)
    answer.kind = _kind(error)
    return answer


def plain(status: int, body: bytes = b"", content: str = BINARY, headers: Mapping[str, str] | None = None) -> Response:
    """A success with this body."""
    return Response(
        status,
        {"content-length": str(len(body)), "content-type": content, "cache-control": "no-store", **(headers or {})},
        body,
    )


def as_json(status: int, value: object, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON."""
    body = json.dumps(value, separators=(",", ":")).encode() + b"\n"
    return plain(status, body, "application/json", headers)


def failed(error: Exception) -> Response:
    """The answer to a request that raised. Of what failed inside, nothing is told."""
    if isinstance(error, Status):
        return _told(error.status, error, error.kind, error.headers)
    if isinstance(error, NotFound):
        shown = error if isinstance(error, Absent) else Absent("there is no such object or repository")
        return _told(404, shown, "refused")
    if isinstance(error, UsageError):
        return _told(400, error, "refused")
    if isinstance(error, Unsupported):
        return _inside(Status(501, "this server's store cannot keep two pushes apart, so it takes none"), error)
    if isinstance(error, Refused):
        return _told(422, error, "refused")
    if isinstance(error, RemoteUnavailable):
        return _inside(Status(503, "the server's store does not answer now", retry_after="2"), error)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return _inside(Status(507, "the server's disk is full"), error)
    if isinstance(error, NetworkError | AuthError):
        return _inside(Status(502, "the server cannot use its store", hint="ask who runs it"), error)
    if isinstance(error, IntegrityError | ParseError):
        message = "the server's copy of the repository is damaged"
        return _inside(Status(500, message, hint="ask who runs it to look at it"), error)
    return _inside(Status(500, "the server failed"), error)


def _told(status: int, error: MvcError, kind: str, headers: Mapping[str, str] | None = None) -> Response:
    hint = error.hint if isinstance(error, Status | Absent) else None
    return as_json(status, {"error": _one_line(error.message), "hint": hint, "kind": kind}, headers)


def _inside(shown: Status, error: Exception) -> Response:
    answer = _told(shown.status, shown, "refused", shown.headers)
    return Response(answer.status, answer.headers, answer.body, failure=error)


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_LINE])


def _kind(error: MvcError) -> str:
    if isinstance(error, UnsupportedFormat):
        return "format"
    return "integrity" if isinstance(error, IntegrityError | ParseError) else "refused"
