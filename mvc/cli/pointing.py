"""Where in a query the mistake is: the query on a line, and marks below it."""

from __future__ import annotations

from mvc.cli.tables import text_width
from mvc.cli.text import one_line

_MARGIN = 10
_NARROWEST = 20


def pointed(query: str, at: int, length: int, width: int) -> tuple[str, str, str]:
    """The query as one line of at most `width` columns or so, the blanks below it, and the marks behind those."""
    room = max(width - _MARGIN, _NARROWEST)
    first = max(0, at - room // 2) if len(query) > room else 0
    before = one_line(query[first:at])
    wrong = one_line(query[at : min(at + length, first + room)])
    after = one_line(query[at + length : first + room])
    return before + wrong + after, " " * text_width(before), "^" * max(text_width(wrong), 1)
