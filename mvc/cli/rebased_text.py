"""How far a rebase came, as text and JSON: shared by rebase and pull."""

from __future__ import annotations

from typing import Any

from mvc.cli.conflict_text import conflict_json, conflict_lines
from mvc.cli.names import short_id
from mvc.cli.picking import tell_metadata_left
from mvc.cli.session import Session
from mvc.cli.text import printable
from mvc.ops.rebase import RebaseResult


def tell_rebase(session: Session, result: RebaseResult) -> None:
    """For people, as Git words it."""
    name = printable((result.branch or "HEAD").removeprefix("refs/heads/"))
    for step in result.dropped:
        session.note(f"dropping {short_id(session, step.commit)} {printable(step.summary)}: it is there already")
    tell_metadata_left(session, result.metadata_left)
    if result.stopped is not None:
        lines = conflict_lines(session, result.conflicts, printable(result.stopped.summary))
        session.emit_text("\n".join(lines))
        what = f"{short_id(session, result.stopped.commit)} {printable(result.stopped.summary)}"
        session.tell(f"could not apply {what} ({result.done + 1} of {result.total})")
        session.tell("resolve the conflicts, mvc add the files, then mvc rebase --continue; or --skip, or --abort")
    elif not result.moved:
        session.note(f"Current branch {name} is up to date.")
    else:
        session.note(f"Successfully rebased and updated {name}.")


def rebase_json(result: RebaseResult) -> dict[str, Any]:
    """For `--json`."""
    return {
        "branch": result.branch,
        "onto": result.onto,
        "head": result.head,
        "moved": result.moved,
        "made": [{"id": one.id, "summary": one.summary} for one in result.made],
        "dropped": [step.commit for step in result.dropped],
        "stopped": result.stopped.commit if result.stopped else None,
        "conflicts": [conflict_json(one) for one in result.conflicts],
        "done": result.done,
        "total": result.total,
    }
