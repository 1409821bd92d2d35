"""Revisions and paths in one list of arguments, told apart by Git's rule."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mvc.cli.session import Session
from mvc.cli.text import printable_path
from mvc.errors import NotFound, UsageError
from mvc.objects.refnames import short
from mvc.objects.revparse import parse_range, resolve, upstream_ref
from mvc.repo.wildmatch import is_glob


def split_arguments(session: Session, arguments: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`arguments` as (revisions, path specs as typed).

    What stood behind "--" is a path, what stood before it a revision. Without "--", revisions come
    first, up to the first argument that is a file instead, or looks like a glob. Raises NotFound for
    what is neither, UsageError for what is both.
    """
    behind = session.behind_dashes
    if behind is not None:
        count = len(arguments) - behind
        return tuple(arguments[:count]), tuple(arguments[count:])
    for count, argument in enumerate(arguments):
        missing = _is_no_revision(session, argument)
        is_file = os.path.lexists(session.cwd / argument)
        if missing is None and is_file:
            raise UsageError(f"'{argument}' is both a revision and a file", hint="put -- between revisions and files")
        if missing is None:
            continue
        if not is_file and not _is_spec(argument):
            raise missing
        for path in arguments[count:]:
            if not os.path.lexists(session.cwd / path) and not _is_spec(path):
                raise NotFound(f"no such file: {printable_path(path)}", hint=f"mvc log -- {path}, if it was once there")
        return tuple(arguments[:count]), tuple(arguments[count:])
    return tuple(arguments), ()


def split_versions(session: Session, arguments: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The same where revisions may be `REV:PATH`, and stand in any order with files."""
    behind = session.behind_dashes
    count = len(arguments) - (behind or 0)
    revisions: list[str] = []
    paths = [_inside(session, path) for path in arguments[count:]]
    repo = session.repo()
    for argument in arguments[:count]:
        is_file = behind is None and os.path.lexists(session.cwd / argument)
        try:
            resolve(repo.objects, repo.refs, argument)
        except (NotFound, UsageError):
            if not is_file:
                raise
            paths.append(_inside(session, argument))
        else:
            if is_file:
                raise UsageError(f"'{argument}' is both a revision and a file", hint="put -- before files")
            revisions.append(argument)
    return tuple(revisions), tuple(paths)


def followed(session: Session, question: str, hint: str) -> str:
    """What the present branch follows, for a verb that takes it where nothing is named: "origin/main".

    Raises UsageError, which asks `question`, where it follows nothing.
    """
    try:
        ref = upstream_ref(session.repo().refs, "@{upstream}")
    except NotFound as error:
        raise UsageError(f"{question} ({error.message})", hint=hint) from error
    return short(ref or "")


def _is_spec(argument: str) -> bool:
    """A path that needs no file of that name: with a wildcard, or magic (":!x", ":(top)x")."""
    return is_glob(argument) or argument.startswith((":!", ":^", ":/", ":("))


def _is_no_revision(session: Session, argument: str) -> NotFound | None:
    """Why it is no revision; None if it is one."""
    repo = session.repo()
    try:
        parse_range(repo.objects, repo.refs, argument)
    except NotFound as error:
        return error
    except UsageError as error:
        return NotFound(error.message, hint=error.hint)
    return None


def _inside(session: Session, path: str) -> str:
    return session.repo().locate(session.cwd / path)
