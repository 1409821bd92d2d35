"""The tables of push and fetch: a line a ref, as Git prints them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mvc.cli.names import short_id
from mvc.cli.session import Session
from mvc.cli.tables import text_width
from mvc.cli.text import printable_path
from mvc.objects.refnames import short

_SHORTENED = ("refs/heads/", "refs/tags/", "refs/remotes/", "refs/aliases/")
_KINDS = {"refs/heads/": "branch", "refs/tags/": "tag", "refs/aliases/": "alias", "refs/reviews/": "review"}
_SUMMARY = 17
"""Columns of the summary: two short ids and three dots."""


class Row(NamedTuple):
    """A line. `flag`: " " forward, "+" forced, "*" new, "-" deleted, "!" rejected, "=" up to date, "t" a tag moved."""

    flag: str
    summary: str
    source: str
    target: str
    reason: str = ""


def moved(session: Session, old: str, new: str, *, forced: bool) -> str:
    """From where to where."""
    return f"{known_id(session, old)}{'...' if forced else '..'}{known_id(session, new)}"


def known_id(session: Session, object_id: str) -> str:
    """A short id; of an object that is not here, its first digits."""
    return short_id(session, object_id) if session.repo().objects.contains(object_id) else object_id[:7]


def kind_of(ref: str) -> str:
    """What a ref is called: "branch", "tag", "alias", "review", "reference"."""
    return next((kind for prefix, kind in _KINDS.items() if ref.startswith(prefix)), "reference")


def lines(session: Session, rows: Sequence[Row], *, aligned: bool) -> list[str]:
    """The lines; `aligned`: the targets stand below each other, as in a fetch."""
    summary = max([_SUMMARY, *(text_width(row.summary) for row in rows)])
    width = max([10, *(text_width(_shown(row.source)) for row in rows)]) if aligned else 0
    found = []
    for row in rows:
        source, target = _shown(row.source), _shown(row.target)
        if row.source and row.target:
            names = f"{source}{' ' * (width - text_width(source))} -> {target}"
        else:
            names = source or target
        flag = row.flag
        if flag == "!":
            flag = session.paint_err(flag, "red")
        tail = f"  ({row.reason})" if row.reason and aligned else f" ({row.reason})" if row.reason else ""
        found.append(f" {flag} {row.summary}{' ' * (summary - text_width(row.summary))} {names}{tail}")
    return found


def _shown(ref: str) -> str:
    if ref.startswith("refs/reviews/"):
        return printable_path(ref[:-28] if len(ref) > 53 else ref)  # of its id 12 digits
    return printable_path(short(ref) if ref.startswith(_SHORTENED) else ref)
