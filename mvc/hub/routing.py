"""From a request's path to what it is about. Everything that is not of the protocol's form is not there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mvc.hub.replies import Absent

_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MARK = "/-/mvc/"
_VERSION = "1/"
_DEEPEST = 4
_LONGEST = 1024
_RESERVED = frozenset(["packs", "idx", "git", "txn", "gc", "leases", "latest", "server", "probe", "mvc-remote"])
"""Words of a remote's own keys: below a repository of that name another one's objects would lie."""
_ENDS = (".lock", ".tmp", ".")
ENDPOINTS = frozenset(("list", "txn", "have", "locate"))


@dataclass(frozen=True, slots=True)
class Route:
    """What a request is about."""

    repository: str
    """"team/model"; "" over a pipe."""
    endpoint: str
    """"info", "objects", or one of ENDPOINTS."""
    key: str = ""
    """Of "objects": as it came, not checked."""


def route(path: str) -> Route:
    """Raises NotFound."""
    before, mark, rest = path.partition(_MARK)
    if not mark or len(path) > _LONGEST or not (before == "" or before.startswith("/")):
        raise Absent("there is nothing here", hint="an mvc server is asked at <repository>/-/mvc/1/")
    repository = before[1:]
    if not is_repository(repository):
        raise Absent("there is no such repository")
    if rest in ("1", _VERSION):
        return Route(repository, "info")
    endpoint = rest.removeprefix(_VERSION)
    if not rest.startswith(_VERSION):
        raise Absent("this server speaks version 1 of the protocol")
    if endpoint.startswith("objects/"):
        return Route(repository, "objects", endpoint.removeprefix("objects/"))
    if endpoint not in ENDPOINTS:
        raise Absent("there is no such endpoint")
    return Route(repository, endpoint)


def is_repository(name: str) -> bool:
    """Whether a repository may be called so. "": the one of a pipe."""
    if not name:
        return True
    parts = name.split("/")
    return len(parts) <= _DEEPEST and all(
        _COMPONENT.fullmatch(part) and part not in _RESERVED and not part.endswith(_ENDS) for part in parts
    )
