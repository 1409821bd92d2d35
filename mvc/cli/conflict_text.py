"""Conflicts as text and as JSON: shared by merge, cherry-pick, revert, rebase and stash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mvc.cli.session import Session
from mvc.cli.text import printable_path
from mvc.objects.merge import Conflict


def conflict_lines(session: Session, conflicts: Sequence[Conflict], theirs: str) -> list[str]:
    """A line a conflict, as Git words them; `theirs` names the other side."""
    return [session.paint(f"CONFLICT ({one.kind}): ", "red") + _what(one, theirs) for one in conflicts]


def conflict_json(one: Conflict) -> dict[str, Any]:
    """The path, the kind, and the blobs of base, ours and theirs."""
    sides = {"base": one.base, "ours": one.ours, "theirs": one.theirs}
    return {"path": one.path, "kind": one.kind, **{name: item.id if item else None for name, item in sides.items()}}


def _what(one: Conflict, theirs: str) -> str:
    path = printable_path(one.path)
    if one.kind == "modify/delete":
        if one.ours is None:
            return f"{path} deleted in HEAD and modified in {theirs}. Version {theirs} of {path} left in tree."
        return f"{path} deleted in {theirs} and modified in HEAD. Version HEAD of {path} left in tree."
    if one.kind == "file/folder":
        return f"{path} is a file on one side and a folder on the other."
    return f"both sides changed {path}. Version HEAD of {path} left in tree."
