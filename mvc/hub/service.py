"""The one door of the server: a request in, an answer out. Synchronous, thread-safe, knows no transport.

    service = Service(repositories_in("/srv/models", environment=os.environ))
    answer = service.handle(Request("GET", "/team/model/-/mvc/1/", {}, {}, NoBody(), 0, Everywhere(Right.READ)))

`handle` never raises: what goes wrong becomes a status (docs/protocol/sync.md).
"""

from __future__ import annotations

from mvc.hub.limits import DEFAULT, Limits
from mvc.hub.messages import Body, Everywhere, FileSlice, Identity, NoBody, Request, Response, Right
from mvc.hub.storage import StorageOf

__all__ = ["Body", "Everywhere", "FileSlice", "Identity", "Limits", "NoBody", "Request", "Response", "Right", "Service"]


class Service:
    """All repositories of a server."""

    def __init__(self, storage: StorageOf, limits: Limits = DEFAULT, *, keyed: bool = False) -> None:
        """`keyed`: take repositories whose chunks are named by a key, so that their names cannot be verified."""
        self._storage, self._limits, self._keyed = storage, limits, keyed

    def handle(self, request: Request) -> Response:
        """Answer one request. Reads its body only as far as it needs. Blocks while it verifies what was sent."""
        return Response(501, {"content-length": "0"})

    def close(self) -> None:
        """Let go of what is open. Nothing may be asked afterwards."""
