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

    Where a folder's own name holds an "@", the URL ends at the first "@" before which a folder of that name stands.
    Without any it is HEAD that is meant, without ":" no path. Raises UsageError.
    """
    start = next((found.end() for kind in (_AUTHORITY, _HOST) if (found := kind.match(text))), 0)
    places = [at for at in range(start, len(text)) if text[at] == "@"]
    if not start and len(places) > 1:
        places = [at for at in places if (cwd / os.path.expanduser(text[:at])).is_dir()] or places
    if not places or (not start and (cwd / os.path.expanduser(text)).is_dir()):
        if not text:
            raise UsageError("a URL is missing", hint="URL@REV:PATH")
        return Address(text, "", None)
    url, rest = text[: places[0]], text[places[0] + 1 :]
    revision, colon, path = rest.partition(":")
    if not url:
        raise UsageError(f"'{text}' names no repository", hint="URL@REV:PATH; . is the one of this folder")
    return Address(url, revision, path.strip("/") if colon else None)
