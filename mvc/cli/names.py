"""Ids and names as commands show them."""

from __future__ import annotations

from collections.abc import Sequence

from mvc.cli.session import Session
from mvc.cli.text import printable_path
from mvc.objects.revparse import abbreviate
from mvc.ops.names import Decoration

_STYLES = {
    "head": "cyan bold",
    "branch": "green bold",
    "remote": "red bold",
    "tag": "yellow bold",
    "alias": "magenta bold",
    "ref": "magenta bold",
    "grafted": "blue bold",
}


def short_id(session: Session, object_id: str) -> str:
    """The shortest prefix of an id, of seven digits or more, that names this object alone."""
    return abbreviate(session.repo().objects, object_id)


def plain_names(names: Sequence[Decoration]) -> str:
    """ "HEAD -> main, tag: v1": without brackets and colours."""
    parts = []
    for one in names:
        name = printable_path(one.name)
        shown = f"{one.kind}: {name}" if one.kind in ("tag", "alias") else name
        parts.append(f"HEAD -> {shown}" if one.is_head else shown)
    return ", ".join(parts)


def decorated(session: Session, names: Sequence[Decoration]) -> str:
    """ " (HEAD -> main, tag: v1)", in Git's form and colours; empty for no names."""
    if not names:
        return ""
    paint = session.paint
    parts = []
    for one in names:
        name = printable_path(one.name)
        text = f"{one.kind}: {name}" if one.kind in ("tag", "alias") else name
        shown = paint(text, _STYLES[one.kind])
        parts.append(f"{paint('HEAD -> ', 'cyan bold')}{shown}" if one.is_head else shown)
    return f" {paint('(', 'yellow')}{paint(', ', 'yellow').join(parts)}{paint(')', 'yellow')}"
