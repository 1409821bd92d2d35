"""What a merge came to, as text and JSON: shared by merge and pull."""

from __future__ import annotations

from typing import Any

from mvc.cli.conflict_text import conflict_json, conflict_lines
from mvc.cli.files_text import file_lines
from mvc.cli.names import short_id
from mvc.cli.session import Session
from mvc.cli.text import printable, printable_path
from mvc.ops.file_diff import diff_trees
from mvc.ops.merge import MergeResult, Outcome


def merge_lines(session: Session, result: MergeResult) -> list[str]:
    """For people, as Git words it."""
    if result.outcome is Outcome.UP_TO_DATE:
        return ["Already up to date."]
    lines = [f"Took {printable_path(one.path)} wholly from one side" for one in result.settled]
    if result.outcome is Outcome.CONFLICTS:
        lines += conflict_lines(session, result.conflicts, printable(result.name))
        return [*lines, "Automatic merge failed; resolve the conflicts, then: mvc merge --continue"]
    if result.outcome is Outcome.STAGED:
        return [*lines, "Automatic merge went well; stopped before committing as requested"]
    if result.outcome is Outcome.FAST_FORWARD:
        before = short_id(session, result.before) if result.before else "nothing"
        lines += [f"Updating {before}..{short_id(session, result.after or '')}", "Fast-forward"]
    else:
        lines.append("Merge made by path.")
    objects = session.repo().objects
    trees = [objects.commit(one).tree if one else None for one in (result.before, result.after)]
    return [*lines, *file_lines(session, diff_trees(session.repo(), trees[0], trees[1]))]


def merge_json(result: MergeResult) -> dict[str, Any]:
    """For `--json`."""
    return {
        "outcome": result.outcome.value,
        "before": result.before,
        "after": result.after,
        "conflicts": [conflict_json(one) for one in result.conflicts],
        "settled": [one.path for one in result.settled],
    }
