"""What a token may do where: a right, and a pattern of repositories' names.

A pattern is a repository's name in which `*` stands for any letters within a component and `**` for any at all:
`team/model`, `team/*`, `team/**`, `**`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from mvc.errors import UsageError
from mvc.hub.messages import Right

_PATTERN = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._*-]*(?:/[A-Za-z0-9*][A-Za-z0-9._*-]*)*")
_LONGEST = 200
_MOST_STARS = 6
"""A pattern is matched by a regular expression, whose time grows with their number."""


@dataclass(frozen=True, slots=True)
class Grant:
    """`right`, and all below it, in the repositories that `pattern` fits."""

    right: Right
    pattern: str

    def __post_init__(self) -> None:
        stars = len(re.findall(r"\*+", self.pattern))
        if len(self.pattern) > _LONGEST or stars > _MOST_STARS or not _PATTERN.fullmatch(self.pattern):
            raise UsageError(
                f"not a pattern of repositories: {self.pattern[:80]!r}",
                hint="names and * between slashes, as in team/model, team/* or **",
            )


def right_in(grants: Sequence[Grant], repository: str) -> Right:
    """The highest right that any of `grants` gives."""
    return max((g.right for g in grants if _compiled(g.pattern).fullmatch(repository)), default=Right.NONE)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*+)", pattern)
    return re.compile("".join(_wild(part) if part.startswith("*") else re.escape(part) for part in parts))


def _wild(stars: str) -> str:
    return "[^/]*" if len(stars) == 1 else ".*"
