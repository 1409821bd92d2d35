"""Who and where behind ssh, out of a URL: for ssh:// and sftp://. Nothing in it that ssh, a proxy command or a shell
could take for something else."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from mvc.errors import UsageError

_HOST = re.compile(r"[A-Za-z0-9_\[:][A-Za-z0-9._:%\[\]-]{0,252}")
_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+@$-]{0,63}")


class Place(NamedTuple):
    """A folder of a host."""

    user: str | None
    host: str
    port: int | None
    path: str
    """Absolute, or from the home folder on: what it begins with is "/", "~" or a name."""


def split(url: str) -> tuple[Place, list[tuple[str, str]]]:
    """`scheme://[user@]host[:port]/path?name=value` -> the place, and the options behind "?". Raises UsageError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError("not a URL of a remote") from None
    if parts.password is not None:
        raise UsageError("a password does not belong into a URL", hint="ssh asks for it, or has keys")
    if parts.fragment:
        raise UsageError(f"an {parts.scheme}:// URL has no fragment")
    user = unquote(parts.username) if parts.username is not None else None
    path = unquote(parts.path)
    path = path.removeprefix("/") if path.startswith("/~") else path
    return checked(user, parts.hostname or "", port, path), parse_qsl(parts.query, keep_blank_values=True)


def checked(user: str | None, host: str, port: int | None, path: str) -> Place:
    """Raises UsageError for names that no user, host or path has."""
    if user is not None and not _USER.fullmatch(user):
        raise UsageError("this is no name of a user for ssh")
    if not _HOST.fullmatch(host):
        raise UsageError("this is no name of a host for ssh")
    if not path or any(ord(letter) < 32 or letter == "\x7f" for letter in path):
        raise UsageError("which folder there? host:path, or ssh://host/path")
    return Place(user, host.strip("[]"), port, path)
