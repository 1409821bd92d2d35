"""Every error that mvc raises on purpose.

    MvcError
    ├── UsageError            the caller asked for something that makes no sense        exit 2
    │   └── QueryError        a query that cannot be read (`query`, `at`: where)        exit 2
    ├── NotARepository        no repository here or above                               exit 3
    ├── NotFound              a revision, path, tensor, key that does not exist         exit 4
    │   └── AmbiguousName     a short hash or name that fits several                    exit 4
    ├── Refused               it would lose something, or break a rule                  exit 5
    │   ├── WouldOverwrite    uncommitted work stands in the way (`paths`)              exit 5
    │   ├── UnsafePath        a tree entry that must never reach a worktree             exit 5
    │   ├── NotFastForward    the new value does not contain the old one                exit 5
    │   ├── RefChanged        compare-and-swap lost against another process             exit 5
    │   ├── Locked            another process holds the lock (`holder`)                 exit 5
    │   ├── NoSpace           it does not fit on the disk                               exit 5
    │   ├── FileChanged       a file kept changing while it was read                    exit 5
    │   └── Unsupported       a remote's storage cannot do what this needs              exit 5
    ├── IntegrityError        stored bytes are not what they must be                    exit 6
    │   ├── MissingObject     a chunk or object that is referred to is not there        exit 6
    │   └── UnsupportedFormat written by a newer mvc, or with a feature unknown here    exit 6
    ├── NetworkError          a remote did not answer as it should                      exit 7
    │   └── RemoteUnavailable for now: the same request may pass later, so it is retried exit 7
    ├── AuthError             a remote wants other credentials                          exit 8
    │   └── RemoteRefused     credentials are lacking, wrong, or do not permit this     exit 8
    └── ParseError            bytes that do not follow the format they claim            exit 6

The core raises these and never prints; `mvc.cli.errors` alone turns one into a line, a hint
and an exit code. Errors of third-party libraries are translated where the library is called.
"""

from __future__ import annotations

from collections.abc import Sequence


class MvcError(Exception):
    """Base of all errors of mvc.

    `message` is one line without a trailing stop; `hint`, when there is one, is the next
    command to run or the thing to change.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(MvcError):
    """The request itself makes no sense."""


class QueryError(UsageError):
    """A text in a small language that cannot be read: `query[at : at + length]` is what is wrong."""

    def __init__(self, message: str, query: str = "", at: int = 0, length: int = 1, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.query = query
        self.at = at
        self.length = max(length, 1)


class NotARepository(MvcError):
    """There is no mvc repository here or in a folder above."""


class NotFound(MvcError):
    """What was named does not exist."""


class AmbiguousName(NotFound):
    """What was named fits more than one thing."""


class Refused(MvcError):
    """It could be done, but would lose something or break a rule."""


class WouldOverwrite(Refused):
    """Uncommitted work stands in the way; `paths` lists it."""

    def __init__(self, message: str, *, paths: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.paths = tuple(paths)


class UnsafePath(Refused):
    """A tree entry whose name or kind must never reach a worktree."""


class NotFastForward(Refused):
    """The new value of a ref does not contain its old one."""


class RefChanged(Refused):
    """A ref no longer has the value that the caller saw."""


class Locked(Refused):
    """Another process holds the lock; `holder` tells who, as far as known."""

    def __init__(self, message: str, *, holder: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.holder = holder


class NoSpace(Refused):
    """What is to be written does not fit on the disk."""


class FileChanged(Refused):
    """A file kept changing while it was read."""


class Unsupported(Refused):
    """A remote's storage cannot do what is asked of it, or does it without the promise that goes with it."""


class IntegrityError(MvcError):
    """Stored bytes are not what their name says."""


class MissingObject(IntegrityError):
    """A chunk or Git object that something refers to is not there."""


class UnsupportedFormat(IntegrityError):
    """Written by a newer mvc, or with a feature that this one does not know."""


class NetworkError(MvcError):
    """A remote did not answer as it should."""


class RemoteUnavailable(NetworkError):
    """A remote did not answer, or not to the end: the same request may pass later.

    `after`: not before so many seconds, where the remote says so.
    """

    def __init__(self, message: str, *, hint: str | None = None, after: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.after = after


class AuthError(MvcError):
    """A remote wants other credentials."""


class RemoteRefused(AuthError):
    """A remote refuses this request: credentials are lacking or wrong, or do not permit it."""


class ParseError(MvcError):
    """Bytes that do not follow the format which they claim."""
