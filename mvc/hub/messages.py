"""Requests and answers, as any transport can carry them, and who asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from mvc.fsio import Buffer


class Right(IntEnum):
    """What somebody may do with a repository; each holds those before it (docs/protocol/sync.md)."""

    NONE = 0
    """Not even know that it is there."""
    READ = 1
    APPEND = 2
    """Add, but neither rewrite nor delete."""
    WRITE = 3
    ADMIN = 4


class Identity(Protocol):
    """Who asks. A face finds it out before it calls the service."""

    @property
    def name(self) -> str:
        """For logs. "" for somebody without a token."""

    def right(self, repository: str) -> Right:
        """What it may do with this repository, whether or not that exists."""


@dataclass(frozen=True, slots=True)
class Everywhere:
    """One right in every repository: the user of a pipe (ADMIN), an open server's readers (READ)."""

    granted: Right
    name: str = ""

    def right(self, repository: str) -> Right:
        return self.granted


class Body(Protocol):
    """A request's body, read from front to back."""

    def read(self, size: int, /) -> Buffer:
        """Up to `size` bytes, at least one; b"" at the end. Blocks. May raise OSError: the client is gone."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    """In capitals."""
    path: str
    """As it came, without the server's own prefix, beginning with "/"; NOT percent-decoded; without the query."""
    query: Mapping[str, str]
    """Decoded."""
    headers: Mapping[str, str]
    """Names in small letters."""
    body: Body
    length: int | None
    """`Content-Length`; None where there is none (a body in chunks): then bodies are refused."""
    identity: Identity


@dataclass(frozen=True, slots=True)
class FileSlice:
    """A part of a file, to be sent as the system does it best. It is there when the answer is made, and may vanish
    after: then the connection is cut."""

    path: Path
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Response:
    """One answer.

    An iterator as `body` makes its bytes as they are asked for, each part of at most 8 MiB; if it raises, the
    connection is to be cut. A face closes it (`close()` of a generator) when it stops before the end.
    The answer to HEAD has no body, and the `Content-Length` that GET would have.
    If the request's body was not read to its end, the face closes the connection after the answer, or reads on and
    throws away what comes, up to a limit.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """`Content-Length` is always among them, but for 204."""
    body: bytes | FileSlice | Iterator[Buffer] = b""
    repository: str = ""
    """For the access log: which repository, "" if none."""
    endpoint: str = ""
    """For logs and metrics: "info", "objects", "list", "txn", "have", "locate", "" if none: few values."""
    failure: Exception | None = None
    """What went wrong inside, of a 500: for the server's log, with its traceback, never for the client."""


class NoBody:
    """The body of a request that has none."""

    def read(self, size: int, /) -> bytes:
        return b""
