"""Does a store really keep two from creating the same key? Some say yes to a condition that they then ignore.

All that makes a remote safe against two pushes at once is that step (docs/format/remote.md), so a store is tried out
before the first write to it, and one that fails is refused for writing; reading needs none of this. The caller keeps
the answer: it is a property of the store, and costs some twenty small requests to find out.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mvc.backends.base import Backend
from mvc.errors import AuthError, NetworkError, NotFound, Unsupported

PREFIX = "probe/"
"""Keys of a probe, which are deleted again. What lies here longer than that was left by one that was killed."""
_ROUNDS = 2
_RACERS = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a probe found."""

    enforced: bool
    """Whether the store may be written to."""
    reason: str
    """Why not, as the rest of a sentence that begins with the store's URL; "" if it may."""


def probe(backend: Backend, *, nonce: Callable[[], str] = lambda: os.urandom(16).hex()) -> Verdict:
    """Try out `put_if_absent`, one after another and at once. Raises as the backend's methods do."""
    if not backend.capabilities.put_if_absent:
        return Verdict(False, "cannot create an object only if it is not there")
    keys = [f"{PREFIX}{nonce()}" for _ in range(1 + _ROUNDS)]
    try:
        reason = _in_turn(backend, keys[0])
        for key in keys[1:]:
            reason = reason or _at_once(backend, key)
    except Unsupported as error:
        return Verdict(False, f"cannot create an object only if it is not there ({error.message})")
    finally:
        with contextlib.suppress(NetworkError, AuthError):  # a store where nothing may be deleted is none the worse
            backend.delete(keys)
    return Verdict(not reason, reason)


def require(backend: Backend, verdict: Verdict) -> None:
    """Raises Unsupported, naming the store, unless it may be written to."""
    if not verdict.enforced:
        raise Unsupported(
            f"{backend.url} {verdict.reason}, so two who push at once could lose a version",
            hint="it can be read from; to write, take a store that enforces If-None-Match (docs/format/backends.md)",
        )


def _in_turn(backend: Backend, key: str) -> str:
    if not _create(backend, key, b"first"):
        return "says that a new object is there already"
    if _create(backend, key, b"second"):
        return "creates an object over one that is there, although told not to"
    return _holds(backend, key, b"first")


def _at_once(backend: Backend, key: str) -> str:
    texts = [f"racer {number}".encode() for number in range(_RACERS)]
    with ThreadPoolExecutor(_RACERS) as pool:
        won = [
            text
            for text, done in zip(texts, pool.map(lambda t: backend.put_if_absent(key, t), texts), strict=True)
            if done
        ]
    if len(won) > 1:
        return f"lets {len(won)} of {_RACERS} create the same object at once"
    # None: the winner's answer was lost, and its repeat found its own object.
    return _holds(backend, key, *(won or texts))


def _create(backend: Backend, key: str, data: bytes) -> bool:
    """Whether the object is ours; also if it was made by a try whose answer was lost."""
    return backend.put_if_absent(key, data) or not _holds(backend, key, data)


def _holds(backend: Backend, key: str, *expected: bytes) -> str:
    try:
        found = backend.get(key)
    except NotFound:
        return "does not show an object that it has just taken"
    return "" if found in expected else "gives other bytes than it has just taken"
