"""What a spec names that may also be a file of the stage: `:PATH`, and in a conflict `:1:PATH` to `:3:PATH`."""

from __future__ import annotations

import re

from mvc.errors import NotFound
from mvc.objects.model import TreeItem
from mvc.objects.revparse import resolve
from mvc.repo.locking import read_stage
from mvc.repo.repository import Repository

_STAGED = re.compile(r":(?:([0-3]):)?([^/:].*)", re.DOTALL)
"""(":/TEXT" is a commit whose message has the text.)"""


def object_named(repo: Repository, spec: str) -> str:
    """The id of the object that a revision, `REV:PATH` or a file of the stage names. Raises NotFound, AmbiguousName."""
    staged = staged_file(repo, spec)
    return staged[1].id if staged is not None else resolve(repo.objects, repo.refs, spec)


def staged_file(repo: Repository, spec: str) -> tuple[str, TreeItem] | None:
    """(path, item) of a file of the stage; None if `spec` is none of its forms. Raises NotFound.

    In a conflict 1 is the common ancestor's, 2 ours, 3 theirs, as in Git.
    """
    found = _STAGED.fullmatch(spec)
    if found is None:
        return None
    number, path = int(found[1] or 0), found[2]
    stage = read_stage(repo)
    sides = stage.conflicts().get(path, {})
    entry = sides.get(number) if number else stage.get(path)
    if entry is not None:
        return path, TreeItem(entry.mode, entry.id)
    if sides:
        there = ", ".join(f":{side}:{path}" for side in sides)
        raise NotFound(f"'{path}' is in conflict: there is no '{spec}'", hint=f"there are {there}")
    raise NotFound(f"there is no '{path}' in the stage", hint="mvc ls-files")
