"""Bearer tokens: who asks, and what they may do.

A token is `mvc_<id>_<secret>`: 12 hex digits that name it, and 32 bytes of chance in URL-safe base64. The server keeps
the SHA-256 of the secret under `-/tokens/<id>` in its own store, so all servers of one store know the same tokens, and
who reads the store learns none. (A slow hash is for what people can remember: 256 bits of chance cannot be guessed.)
`-` is no component of a repository's name, so no request leads there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mvc.backends.base import Backend
from mvc.backends.folder import FolderBackend
from mvc.backends.open import is_local, local_path, open_backend
from mvc.backends.retrying import RetryingBackend
from mvc.errors import IntegrityError, NotFound, UsageError
from mvc.hub.grants import Grant, right_in
from mvc.hub.messages import Right

_FORMAT = 1
_TOKEN = re.compile(r"mvc_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_ID = re.compile(r"[0-9a-f]{12}")
_PREFIX = "tokens/"
_LONGEST_NAME = 100
_MOST_CACHED = 4096


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token."""

    id: str
    name: str
    """For people and logs."""
    grants: tuple[Grant, ...]
    created: int
    """Seconds since 1970."""
    expires: int | None
    digest: str
    """SHA-256 of the secret, 64 hex digits."""

    def live(self, now: float) -> bool:
        return self.expires is None or now < self.expires


@dataclass(frozen=True, slots=True)
class Bearer:
    """Somebody with a token. `floor`: what everybody may do."""

    token: Token
    floor: Right = Right.NONE

    @property
    def name(self) -> str:
        return self.token.name

    def right(self, repository: str) -> Right:
        return max(self.floor, right_in(self.token.grants, repository))


class Tokens:
    """The tokens of a server, in a backend of their own. Each call may raise NetworkError, AuthError."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def create(
        self, name: str, grants: Sequence[Grant], *, expires: int | None = None, now: float | None = None
    ) -> tuple[Token, str]:
        """A new token, and its text, which cannot be had again. Raises UsageError for a name that is none."""
        if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
            raise UsageError("a token's name is 1 to 100 letters that can be printed")
        if not grants:
            raise UsageError("a token without a right would be of no use", hint="--read, --append, --write or --admin")
        secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
        made = int(time.time() if now is None else now)
        token = Token(secrets.token_hex(6), name, tuple(grants), made, expires, _digest(secret))
        self._backend.put(_PREFIX + token.id, _text(token))
        return token, f"mvc_{token.id}_{secret}"

    def get(self, token_id: str) -> Token | None:
        """The token of that id; raises IntegrityError if what is kept of it makes no sense."""
        if not _ID.fullmatch(token_id):
            return None
        try:
            return _parsed(token_id, self._backend.get(_PREFIX + token_id, 0, 1 << 20))
        except NotFound:
            return None

    def every(self) -> list[Token]:
        """All of them, by name."""
        ids = [entry.key.removeprefix(_PREFIX) for entry in self._backend.list(_PREFIX)]
        return sorted(filter(None, map(self.get, ids)), key=lambda token: (token.name, token.created, token.id))

    def revoke(self, token_id: str) -> None:
        """Forget a token; servers do within `ServerOptions.token_seconds`."""
        self._backend.delete([_PREFIX + token_id])


class TokenCache:
    """Tokens as they were read last, for some seconds; also that there is none of an id. Thread-safe."""

    def __init__(self, tokens: Tokens, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens, self._seconds, self._clock = tokens, seconds, clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Token | None]] = OrderedDict()

    def bearer(self, text: str, *, floor: Right = Right.NONE, now: float | None = None) -> Bearer | None:
        """Who has the token `text`; None if it is not, or no more, one of ours."""
        found = _TOKEN.fullmatch(text)
        if found is None:
            return None
        token = self._get(found[1])
        # Compared in any case, and in constant time: how long it takes tells nothing.
        same = hmac.compare_digest(_digest(found[2]), token.digest if token else "0" * 64)
        if token is None or not same or not token.live(time.time() if now is None else now):
            return None
        return Bearer(token, floor)

    def _get(self, token_id: str) -> Token | None:
        now = self._clock()
        with self._lock:
            known = self._known.get(token_id)
            if known is not None and now < known[0]:
                return known[1]
        token = self._tokens.get(token_id)
        with self._lock:
            self._known[token_id] = (now + self._seconds, token)
            self._known.move_to_end(token_id)
            while len(self._known) > _MOST_CACHED:
                self._known.popitem(last=False)
        return token


def open_tokens(place: str, environment: Mapping[str, str]) -> Tokens:
    """The tokens of the server over `place`: a folder or a store's URL. Asks nothing yet."""
    if is_local(place):
        root = local_path(place)
        if not root.is_dir():
            raise NotFound(f"there is no folder '{root}'")
        return Tokens(RetryingBackend(FolderBackend(Path(root, "-"))))
    head, mark, query = place.partition("?")
    return Tokens(open_backend(f"{head.rstrip('/')}/-{mark}{query}", environment=environment))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _text(token: Token) -> bytes:
    kept = {
        "format": _FORMAT,
        "name": token.name,
        "grants": [[grant.right.name.lower(), grant.pattern] for grant in token.grants],
        "created": token.created,
        "expires": token.expires,
        "sha256": token.digest,
    }
    return (json.dumps(kept, indent=1) + "\n").encode()


def _parsed(token_id: str, text: bytes) -> Token:
    try:
        kept = json.loads(text)
        if kept["format"] != _FORMAT:
            raise ValueError
        grants = tuple(Grant(Right[right.upper()], pattern) for right, pattern in kept["grants"])
        expires = kept["expires"]
        digest = kept["sha256"]
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise ValueError
        return Token(
            token_id, str(kept["name"]), grants, int(kept["created"]), None if expires is None else int(expires), digest
        )
    except (ValueError, KeyError, TypeError, AttributeError, UsageError):
        raise IntegrityError(f"what is kept of the token {token_id} is none of format {_FORMAT}") from None
