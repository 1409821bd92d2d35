"""What a server is told when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mvc.hub.limits import DEFAULT, Limits
from mvc.hub.messages import Right


@dataclass(frozen=True, slots=True)
class Patience:
    """How slow a client may be. Only time spent waiting for the client counts, not what the server takes itself."""

    stall: float = 30.0
    """Seconds without a byte."""
    grace: float = 30.0
    """Seconds of waiting after which the mean rate is looked at."""
    slowest: float = 4096.0
    """Bytes a second, on the mean."""
    longest: float = 6 * 3600.0
    """Seconds that one body may keep the server waiting, all told."""


@dataclass(frozen=True, slots=True)
class Crowds:
    """How many requests run at once, in one process."""

    requests: int = 512
    """All told; beyond, 503."""
    client: int = 256
    """Of one token, or of one address without a token; beyond, 429."""
    uploads: int = 64
    """With a body: each holds a thread until it has come."""
    client_uploads: int = 48
    """Of one token or address."""
    readers: int = 16
    """Threads that answer all else and read what is sent. A download holds one only while its next part is read."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """All of it. It goes to other processes, so it can be pickled."""

    place: str
    """The folder or the URL under which the repositories lie."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where the store's credentials are looked for."""
    memory: Path | None = None
    """A folder for derived data, if `place` is none of this machine."""
    anonymous: Right = Right.NONE
    """What those without a token may do, everywhere."""
    access_log: str = "-"
    """A file to append to; "-" is standard output, "" is none."""
    limits: Limits = DEFAULT
    patience: Patience = Patience()
    crowds: Crowds = Crowds()
    token_seconds: float = 10.0
    """So long a token counts as it was last read: a revoked one stops to work within this."""
    metrics_folder: Path | None = None
    """Where several processes of one server put their counts together."""
