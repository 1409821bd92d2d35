"""What was said of a commit later, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from mvc.cli.commit_text import shown
from mvc.cli.session import Session
from mvc.cli.text import one_line, printable
from mvc.metadata.annotations import Annotation


def annotation_lines(session: Session, annotations: Sequence[Annotation]) -> list[str]:
    """Each annotation: when and by whom, then what it says."""
    lines = []
    for one in annotations:
        lines.append(session.paint(f"{day(one)}  {by(one)}", "yellow"))
        if one.note:
            lines += [f"    {printable(line)}" for line in one.note.split("\n")]
        for part in ("params", "metrics", "tags"):
            lines += [f"    {part}.{one_line(name)} = {shown(value)}" for name, value in getattr(one, part).items()]
        lines += [f"    {one_line(name)} removed" for name in one.removed]
    return lines


def later(annotation: Annotation) -> str:
    """How a value is marked that was added later: "added 2026-11-21 by Ann"."""
    return f"added {day(annotation)} by {by(annotation)}"


def by(annotation: Annotation) -> str:
    """Who, without the address."""
    return one_line(annotation.who.partition(" <")[0] or "somebody")


def day(annotation: Annotation) -> str:
    """When, in UTC, as an ISO date."""
    return _moment(annotation)[:10]


def annotation_json(annotation: Annotation) -> dict[str, Any]:
    """Its fields; `at` in ISO 8601."""
    return {
        "id": annotation.id,
        "at": _moment(annotation),
        "who": annotation.who,
        "params": dict(annotation.params),
        "metrics": dict(annotation.metrics),
        "tags": dict(annotation.tags),
        "removed": list(annotation.removed),
        "note": annotation.note,
    }


def _moment(annotation: Annotation) -> str:
    try:
        return datetime.fromtimestamp(annotation.at, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"
