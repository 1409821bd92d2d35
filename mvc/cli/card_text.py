"""A model card as `show` shows it: what its front matter says, and what is wrong with it."""

from __future__ import annotations

from typing import Any

from mvc.cli.session import Session
from mvc.cli.text import one_line, printable_path
from mvc.ops.cards import FoundCard

_FIELDS = ("license", "language", "library_name", "pipeline_tag", "base_model", "datasets", "metrics", "tags")
_MOST = 200


def card_lines(session: Session, found: FoundCard) -> list[str]:
    """The fields that people look for, a line each; then the problems."""
    lines = [f"{session.paint('card', 'cyan')}  {printable_path(found.path)}"]
    rows = [(name, ", ".join(words)) for name in _FIELDS if (words := found.card.words(name))]
    width = max((len(name) for name, _ in rows), default=0)
    lines += [f"    {name:<{width}}  {one_line(text)[:_MOST]}" for name, text in rows]
    return lines + [session.paint(f"    {one_line(problem)}", "yellow") for problem in found.card.problems]


def card_json(found: FoundCard) -> dict[str, Any]:
    """Path, front matter by dotted names, and problems."""
    return {"path": found.path, "front": dict(found.card.front), "problems": list(found.card.problems)}
