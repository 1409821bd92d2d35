"""URL@REV:PATH: a version, and what is in it, in one line."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from mvc.errors import UsageError

_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^/?]*")
_HOST = re.compile(r"[^/\\@:]+@[^/\\@:]+:")
"""user@host:path, as ssh has it."""


@dataclass(frozen=True, slots=True)
class Address:
    """`revision` is "" for HEAD. `path` is None where none was given; "" is the top of the tree."""

    url: str
    revision: str
    path: str | None

    def __str__(self) -> str:
        return f"{self.url}@{self.revision or 'HEAD'}" + (f":{self.path}" if self.path is not None else "")


def parse_address(text: str, cwd: Path) -> Address:
    """The URL ends at the first "@" behind its host, the revision at the first ":" behind that.

    Of a path on this disk it ends at the first "@" before which a folder or bundle of that name stands (so
    `models@v1:x` is a folder's version, and not the ssh host v1, where there is a folder models). Without any "@" it
    is HEAD that is meant, without ":" no path. Raises UsageError.
    """
    if not text:
        raise UsageError("a URL is missing", hint="URL@REV:PATH")
    authority = _AUTHORITY.match(text)
    places = [at for at in range(authority.end() if authority else 0, len(text)) if text[at] == "@"]
    if authority is None:
        if _stands(cwd, text):
            return Address(text, "", None)
        standing = [at for at in places if _stands(cwd, text[:at])]
        host = _HOST.match(text)
        places = standing or [at for at in places if host is None or at >= host.end()]
    if not places:
        return Address(text, "", None)
    url, rest = text[: places[0]], text[places[0] + 1 :]
    revision, colon, path = rest.partition(":")
    if not url:
        raise UsageError(f"'{text}' names no repository", hint="URL@REV:PATH; . is the one of this folder")
    if "?" in revision and authority is not None:  # no name of a ref holds one
        raise UsageError("what stands behind '?' belongs to the URL, before the '@'", hint="URL?OPTIONS@REV:PATH")
    return Address(url, revision, path.strip("/") if colon else None)


def _stands(cwd: Path, text: str) -> bool:
    return bool(text) and "\0" not in text and (cwd / os.path.expanduser(text)).exists()
