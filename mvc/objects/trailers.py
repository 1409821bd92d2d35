"""The last paragraph of a message that mvc writes for itself: lines `Key: value`, as Git's trailers, in one order.

Real git shows them: `git log --format='%(trailers:key=Target)' refs/aliases/production`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mvc.errors import ParseError

_LONGEST = 200_000
"""Letters of a message: a longer one is refused, as it is read each time a name is looked up."""


def compose(subject: str, body: str, fields: Mapping[str, str]) -> str:
    """The message. What is not printable in `subject` and the values becomes a blank; `body` may be empty."""
    lines = [f"{key}: {_line(value)}" for key, value in fields.items()]
    text = "\n".join(line.rstrip() for line in body.replace("\0", "").strip().split("\n"))
    return "\n\n".join(part for part in (_line(subject), text, "\n".join(lines)) if part) + "\n"


def split(message: str, keys: Sequence[str], *, optional: Sequence[str] = ()) -> tuple[str, str, dict[str, str]]:
    """(subject, body, fields) of a message whose last paragraph has just `keys`, in their order, then `optional` ones.

    Raises ParseError for any other.
    """
    if len(message) > _LONGEST:
        raise ParseError("its message is too long")
    head, _, last = message.rstrip("\n").rpartition("\n\n")
    lines = last.split("\n")
    fields = dict(_pair(line) for line in lines)
    wanted = [*keys, *(key for key in optional if key in fields)]
    if list(fields) != wanted or len(lines) != len(wanted):
        raise ParseError(f"its message does not end in the lines {', '.join(keys)}")
    subject, _, body = head.partition("\n\n")
    return subject, body.strip("\n"), fields


def _pair(line: str) -> tuple[str, str]:
    key, colon, value = line.partition(": ")
    if not colon or not value:
        raise ParseError("its message does not end in lines of the form 'Key: value'")
    return key, value


def _line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
