"""Names that are stored as they are, but will not come back on every system: warned of at `add`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mvc.objects.paths import folds_alike, parents

_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:[.:].*)?\Z", re.IGNORECASE
)
_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"|?*\\]')


@dataclass(frozen=True, slots=True)
class NameWarning:
    """A path, and why it will not come back on every system."""

    path: str
    reason: str


def warnings(paths: Iterable[str], *, others: Iterable[str] = ()) -> list[NameWarning]:
    """Paths that clash by case or Unicode form (among themselves, or with `others`, which are not warned of
    themselves), and paths with names that Windows reserves or cannot hold. Folders are warned of once."""
    taken: dict[str, str] = {}
    known: set[str] = set()
    for path in others:
        for part in (path, *parents(path)):
            if part in known:
                break
            known.add(part)
            taken.setdefault(folds_alike(part), part)
    found: list[NameWarning] = []
    for path in paths:
        for part in (path, *parents(path)):
            if part in known:
                break
            known.add(part)
            other = taken.setdefault(folds_alike(part), part)
            if other != part:
                found.append(NameWarning(part, f"differs from {other!r} only in case or Unicode form"))
            reason = windows_objection(part.rpartition("/")[2])
            if reason:
                found.append(NameWarning(part, reason))
    return found


def windows_objection(name: str) -> str:
    """Why Windows cannot hold a file of this name, or "" if it can."""
    if _DEVICE.match(name):
        return "is a device's name on Windows"
    if _FORBIDDEN.search(name):
        return "holds a character that Windows does not allow"
    if name.endswith((".", " ")):
        return "ends in a dot or space, which Windows drops"
    return ""
