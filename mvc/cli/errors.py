"""An error becomes one line, a hint and an exit code. Nothing else in mvc does this.

| exit | meaning |
|---|---|
| 0 | done |
| 1 | a negative answer (`diff --exit-code`, a merge that conflicts) |
| 2 | usage |
| 3 | no repository |
| 4 | not found |
| 5 | refused: it would overwrite, is not a fast-forward, is locked, does not fit |
| 6 | integrity: stored bytes are not what they must be |
| 7 | network |
| 8 | other credentials wanted |
| 70 | a mistake in mvc itself; the log's path is printed |
| 130 | interrupted |
| 141 | whoever read the output went away |
"""

from __future__ import annotations

import contextlib
import errno
import os

import click

from mvc import errors
from mvc.cli.session import Session
from mvc.cli.text import one_line, printable_path
from mvc.lazy import load

_CRASH_LOG = "mvc.cli.crash:write_log"
_POINTED = "mvc.cli.pointing:pointed"

EXIT_CODES: tuple[tuple[type[errors.MvcError], int], ...] = (
    (errors.UsageError, 2),
    (errors.NotARepository, 3),
    (errors.NotFound, 4),
    (errors.Refused, 5),
    (errors.IntegrityError, 6),
    (errors.ParseError, 6),
    (errors.NetworkError, 7),
    (errors.AuthError, 8),
)

INTERNAL = 70
INTERRUPTED = 130
BROKEN_PIPE = 141

_OS_ERRORS: dict[int, tuple[int, str, str | None]] = {
    errno.ENOSPC: (
        5,
        "no space is left on the disk",
        "free some space and repeat the command: it goes on where it stopped",
    ),
    errno.EDQUOT: (
        5,
        "the disk quota is used up",
        "free some space and repeat the command: it goes on where it stopped",
    ),
    errno.EROFS: (5, "the file system is read-only", None),
    errno.EACCES: (5, "permission denied", None),
    errno.EPERM: (5, "not permitted", None),
    errno.ENOENT: (4, "no such file or folder", None),
    errno.ENOTDIR: (4, "not a folder", None),
    errno.EISDIR: (5, "it is a folder", None),
    errno.EMFILE: (5, "too many open files", "raise the limit: ulimit -n 4096"),
    errno.ENFILE: (5, "too many open files", None),
    errno.EIO: (6, "the disk reports an input/output error", "check the disk, then: mvc fsck"),
    errno.ENOMEM: (5, "out of memory", "take fewer chunks in flight: mvc config core.window 16"),
    errno.ENAMETOOLONG: (5, "the name is too long for this file system", None),
    errno.ELOOP: (5, "too many symbolic links", None),
    errno.ETXTBSY: (5, "the file is being run", None),
}

_MOST_PATHS = 10


def report(error: BaseException, session: Session) -> int:
    """Tell of `error` on stderr; returns the exit code."""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        if session.err.isatty():
            session.err.write("\n")  # behind the ^C that the terminal shows
        return _line(session, "interrupted", None, INTERRUPTED)
    if isinstance(error, errors.MvcError):
        return _mvc_error(error, session)
    if isinstance(error, click.ClickException):
        return _usage(error, session)
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    if isinstance(error, OSError) and error.errno in _OS_ERRORS:
        code, text, hint = _OS_ERRORS[error.errno]
        where = f"{printable_path(_name(error.filename))}: " if error.filename else ""
        return _line(session, where + text, hint, code)
    if isinstance(error, MemoryError):
        return _line(session, *_OS_ERRORS[errno.ENOMEM][1:], 5)
    return _unexpected(error, session)


def _mvc_error(error: errors.MvcError, session: Session) -> int:
    code = next((code for kind, code in EXIT_CODES if isinstance(error, kind)), INTERNAL)
    hint = error.hint
    if hint is None and isinstance(error, errors.NotARepository):
        hint = "mvc init"
    if hint is None and isinstance(error, errors.MissingObject):
        hint = "mvc fsck; a remote that was removed may hold it: mvc remote add NAME URL, then mvc fetch"
    _line(session, error.message, None, code)
    if isinstance(error, errors.QueryError) and error.query:
        query, blanks, marks = load(_POINTED)(error.query, error.at, error.length, session.width)
        session.err.write(f"         {query}\n         {blanks}{session.paint_err(marks, 'red bold')}\n")
    if isinstance(error, errors.WouldOverwrite):
        for path in error.paths[:_MOST_PATHS]:
            session.err.write(f"         {printable_path(path)}\n")
        if len(error.paths) > _MOST_PATHS:
            session.err.write(f"         and {len(error.paths) - _MOST_PATHS} more\n")
    _hint(session, hint)
    return code


def _usage(error: click.ClickException, session: Session) -> int:
    ctx = getattr(error, "ctx", None)
    hint = f"{ctx.command_path} --help" if ctx is not None else "mvc --help"
    if near := getattr(error, "possibilities", None):
        hint = f"did you mean {' or '.join(near[:2])}?"
    message = error.message if getattr(error, "possibilities", None) is not None else error.format_message()
    text = message.strip().rstrip(".").replace("\n", " ")
    return _line(session, text[:1].lower() + text[1:], hint, 2)


def _unexpected(error: BaseException, session: Session) -> int:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    path = load(_CRASH_LOG)(error, session.home, session.arguments)
    hint = f"this is a mistake in mvc; what happened is in {path}" if path else "this is a mistake in mvc"
    return _line(session, f"unexpected {text}".replace("\n", " "), hint, INTERNAL)


def _line(session: Session, message: str, hint: str | None, code: int) -> int:
    # The output may be gone; the error still has to be told.
    with contextlib.suppress(OSError):
        session.settle()
    session.err.write(f"{session.paint_err('error:', 'red bold')} {one_line(message)}\n")
    _hint(session, hint)
    return code


def _hint(session: Session, hint: str | None) -> None:
    if hint:
        session.err.write(f"{session.paint_err('hint:', 'cyan')}  {one_line(hint)}\n")


def _name(path: object) -> str:
    return os.fsdecode(path) if isinstance(path, (bytes, str, os.PathLike)) else str(path)
