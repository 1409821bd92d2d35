"""What a backend is: bytes by key, with its abilities as data. The contract is tests/backends/contract.py.

A backend is synchronous and thread-safe: `capabilities.parallel` callers at once is what suits it. It knows nothing
of what it stores. Its errors, all from mvc/errors.py, name the remote (`url`) and the key, and never a credential:

| error | when |
|---|---|
| NotFound | `get` of a key that is not there |
| RemoteUnavailable | no answer, a cut answer, "slow down", a failure of the store: may pass when tried again |
| RemoteRefused | credentials are lacking or wrong, or do not permit this |
| Unsupported | the store cannot do this at all (`put_if_absent` without the capability) |
| NetworkError | an answer that makes no sense; trying again would not help |

A failed disk (OSError: no space, read-only, input/output) stays what it is, for cli/errors.py has lines for those.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mvc.errors import UsageError
from mvc.fsio import Buffer

MAX_KEY = 512
"""Bytes of a key. S3 takes 1024, prefix included."""

_KEY = re.compile(r"(?!/)(?:(?:/|\A)[a-z0-9][a-z0-9._-]{0,199})+")
_PREFIX = re.compile(r"(?:[a-z0-9][a-z0-9._-]{0,199}(?:/|\Z))*")

Ask = Callable[[str, bytes], bytes]
"""A question ("have", "locate") and its body to the answer's. Raises as a Backend's methods do."""
Report = Callable[[int], None]
"""Told the number of bytes that went since it was last called."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do. A capability that is False is one that nobody may lean on."""

    put_if_absent: bool
    """`put_if_absent` is atomic against every other writer of the same store (see `probe`)."""
    atomic_put: bool
    """Whoever reads a key while it is put sees the old bytes, the new ones, or none: never a part."""
    ranges: bool
    """A `get` of a part costs that part; else the whole object is read and the rest thrown away."""
    list_after: bool
    """`list(after=...)` costs what comes behind it; else everything under the prefix is listed and filtered."""
    parallel: int
    """How many requests at once make sense."""
    part: int
    """Bytes above which a put goes in parts of this size."""
    vouched: bool = False
    """Behind it is a server that has tried its store out: nobody else need (see `probe`)."""
    ask: Ask | None = None
    """Puts a question to the server behind it (docs/protocol/sync.md); None: there is none."""
    needs: tuple[str, ...] = ()
    """Commits whose history it counts on and does not hold (a bundle with `--since`)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a listing."""

    key: str
    size: int
    modified: float | None
    """Seconds since 1970 by the store's clock, where it tells."""


class OpenFile(Protocol):
    """A file that is open for positioned reads."""

    def fileno(self) -> int: ...

    def read_into(self, offset: int, out: memoryview) -> int:
        """Fill `out` from `offset`, as far as the file goes; returns how many bytes that was."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes where they lie, for who can send them without reading them."""

    file: OpenFile
    offset: int
    length: int

    def __len__(self) -> int:
        return self.length


class Streamed(ABC):
    """An object that is made while it is put: nowhere does it lie whole."""

    @property
    @abstractmethod
    def size(self) -> int:
        """All its bytes."""

    @abstractmethod
    def blocks(self) -> Iterator[Buffer]:
        """The bytes, from the first on, each time it is called; a block is valid until the next is asked for.

        What it raises ends the put, as it is: nothing stands under the key then.
        """

    def pieces(self) -> Iterator[Buffer | FilePart]:
        """The same where the other end verifies all that it takes: so nothing need be verified, or even read, here."""
        return self.blocks()


Source = Buffer | Path | Streamed
"""What can be put."""


class Backend(Protocol):
    """Bytes by key. See the module's text for errors and threads.

    No key may be a folder of another: who stores `a` stores no `a/b`.
    """

    @property
    def url(self) -> str:
        """Where it is, for messages: without credentials."""

    @property
    def capabilities(self) -> Capabilities: ...

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `offset` (default: to the end); fewer only where the object ends before.

        Raises NotFound. An `offset` behind the end gives b"".
        """

    def size(self, key: str) -> int | None:
        """Bytes of an object, or None if it is not there."""

    def put(self, key: str, source: Source, *, progress: Report | None = None) -> None:
        """Store bytes, or a file's, under `key`, whole or not at all; replaces what is there.

        Durable once it returns. A file or stream is passed on by blocks: memory does not depend on its size. A
        stream's own errors come out as they are. May be repeated after any
        error. `progress` adds up to the size; after an error it may have been told of bytes that did not stay.
        """

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        """Store `data` if nothing is there, as one atomic step; False if something is.

        That something may be ours, from a try whose answer was lost: the caller compares. Durable once it returns
        True. Raises Unsupported where the store cannot do it.
        """

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """The objects whose keys begin with `prefix` and are greater than `after`, in order of bytes.

        What is put or deleted meanwhile may or may not show; all else shows once. Names that are no keys are left out.
        """

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is not there is no error."""

    def close(self) -> None:
        """Let go of connections. Nothing else may be called afterwards; closing twice is no error."""


def check_key(key: str) -> str:
    """`key` itself; raises UsageError if it is none.

    A key is components of [a-z0-9._-] that begin with a letter or digit (so neither ".", ".." nor hidden), none
    longer than 200 bytes, joined by "/". So a key is a safe relative path on every file system, the same on those
    that do not tell case.
    """
    if len(key) > MAX_KEY or not _KEY.fullmatch(key):
        raise UsageError(f"not a key of a remote: {key[:80]!r}")
    return key


def check_prefix(prefix: str) -> str:
    """`prefix` itself if keys can begin with it ("" too); raises UsageError otherwise."""
    if len(prefix) > MAX_KEY or not _PREFIX.fullmatch(prefix):
        raise UsageError(f"not a prefix of keys: {prefix[:80]!r}")
    return prefix


def is_key(text: str) -> bool:
    """Whether a name that a store lists is one of ours."""
    return len(text) <= MAX_KEY and _KEY.fullmatch(text) is not None


def check_range(offset: int, length: int | None) -> None:
    """Raises UsageError for a range that makes no sense."""
    if offset < 0 or (length is not None and length < 0):
        raise UsageError(f"not a range of bytes: {length} from {offset}")
