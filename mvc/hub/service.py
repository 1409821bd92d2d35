"""The one door of the server: a request in, an answer out. Synchronous, thread-safe, knows no transport.

    service = Service(repositories_in("/srv/models", environment=os.environ))
    answer = service.handle(Request("GET", "/team/model/-/mvc/1/", {}, {}, NoBody(), 0, Everywhere(Right.READ)))

`handle` never raises: what goes wrong becomes a status (docs/protocol/sync.md).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace

from mvc.errors import NotFound
from mvc.hub.limits import DEFAULT, Limits
from mvc.hub.messages import Body, Everywhere, FileSlice, Identity, NoBody, Request, Response, Right
from mvc.hub.replies import Status, as_json, failed
from mvc.hub.routing import Route, route
from mvc.hub.served import Served
from mvc.hub.storage import StorageOf
from mvc.lazy import load

__all__ = ["Body", "Everywhere", "FileSlice", "Identity", "Limits", "NoBody", "Request", "Response", "Right", "Service"]

HANDLERS = {
    "read": "mvc.hub.reading:read_object",
    "list": "mvc.hub.reading:list_keys",
    "put": "mvc.hub.uploads:put_object",
    "delete": "mvc.hub.uploads:delete_object",
    "have": "mvc.hub.locating:have",
    "locate": "mvc.hub.locating:locate",
    "txn": "mvc.hub.transactions:append_entry",
}
"""Loaded when first asked for: a pipe that only reads starts without numpy and codecs."""

_METHODS: Mapping[str, tuple[str, ...]] = {
    "info": ("GET", "HEAD"),
    "objects": ("GET", "HEAD", "PUT", "DELETE"),
    "list": ("GET", "HEAD"),
    "have": ("POST",),
    "locate": ("POST",),
    "txn": ("POST",),
}
_PROTOCOLS = [1]


class Service:
    """All repositories of a server."""

    def __init__(self, storage: StorageOf, limits: Limits = DEFAULT, *, keyed: bool = False) -> None:
        """`keyed`: take repositories whose chunks are named by a key, so that their names cannot be verified."""
        self._storage, self._limits, self._keyed = storage, limits, keyed
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Served] = OrderedDict()

    def handle(self, request: Request) -> Response:
        """Answer one request. Reads its body only as far as it needs. Blocks while it verifies what was sent."""
        repository = endpoint = ""
        try:
            where = route(request.path)
            repository, endpoint = where.repository, where.endpoint
            response = self._answer(request, where)
        except Exception as error:
            response = failed(error)
        response = replace(response, repository=repository, endpoint=endpoint)
        return replace(response, body=b"") if request.method == "HEAD" else response

    def close(self) -> None:
        """Let go of what is open. Nothing may be asked afterwards."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def _answer(self, request: Request, where: Route) -> Response:
        right = request.identity.right(where.repository)
        if right < Right.READ:
            raise _unknown(request.identity)
        methods = _METHODS[where.endpoint]
        if request.method not in methods:
            raise Status(405, "this endpoint is asked in another way", allow=", ".join(methods))
        writes = request.method in ("PUT", "DELETE") or where.endpoint == "txn"
        if writes and right < Right.APPEND:
            raise _forbidden(request.identity)
        served = self._served(where.repository)
        if where.endpoint == "info":
            return self._info(served, where.repository, right)
        if where.endpoint == "objects":
            return self._objects(served, request, where.key, right)
        handler = load(HANDLERS[where.endpoint])
        answer: Response = (
            handler(served, request, right) if where.endpoint in ("list", "txn") else handler(served, request)
        )
        return answer

    def _objects(self, served: Served, request: Request, key: str, right: Right) -> Response:
        answer: Response
        if request.method == "PUT":
            answer = load(HANDLERS["put"])(served, request, key, keyed=self._keyed)
        elif request.method == "DELETE":
            answer = load(HANDLERS["delete"])(served, key)
        else:
            answer = load(HANDLERS["read"])(served, request, key, right)
        return answer

    def _info(self, served: Served, repository: str, right: Right) -> Response:
        naming: str | None = None
        try:
            naming = served.naming()
        except NotFound:
            if right < Right.APPEND:
                raise
        of = self._limits
        return as_json(
            200,
            {
                "schema": 1,
                "protocol": _PROTOCOLS,
                "repository": repository,
                "exists": naming is not None,
                "naming": naming,
                "right": right.name.lower(),
                "limits": {
                    "names": of.names,
                    "entry": of.entry,
                    "pack": of.pack,
                    "records": of.records,
                    "git_pack": of.git_pack,
                    "idx": of.idx,
                },
            },
        )

    def _served(self, repository: str) -> Served:
        with self._lock:
            found = self._open.get(repository)
            if found is None:
                found = self._open[repository] = Served(self._storage(repository), self._limits)
                if len(self._open) > self._limits.repositories:
                    self._open.popitem(last=False)  # whoever is at work with it goes on
            self._open.move_to_end(repository)
            return found


def _unknown(identity: Identity) -> Status:
    """A repository that somebody must not know of: for who has no token, as good as any other."""
    if not identity.name:
        return _token("a token is needed here")
    return Status(404, "there is no such repository, or this token may not know of it")


def _forbidden(identity: Identity) -> Status:
    if not identity.name:
        return _token("a token is needed to write here")
    return Status(403, "this token may not add to this repository")


def _token(message: str) -> Status:
    return Status(401, message, hint="set MVC_TOKEN, or the host's password in netrc", www_authenticate="Bearer")
