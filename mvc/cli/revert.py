"""`mvc revert`: parse, call `mvc.ops.pick`, render."""

from __future__ import annotations

import click

from mvc.cli.command import json_flag, quiet_flag, verb
from mvc.cli.picking import pick_options, run_pick
from mvc.cli.session import Session
from mvc.ops.pick import PickOptions
from mvc.ops.sequence import Policy, Verb
from mvc.ops.three_way import Favour


@verb
@click.argument("revisions", nargs=-1)
@pick_options(
    mainline="Undo a merge against its parent N.", theirs="Of files in conflict take what was before, wholly."
)
@json_flag
@quiet_flag
def command(
    session: Session,
    revisions: tuple[str, ...],
    no_commit: bool,
    mainline: int | None,
    side: str | None,
    action: str | None,
    as_json: bool,
) -> int | None:
    """Undo what a commit changed, by a new commit.

    REVISIONS are commits, or ranges A..B (the newest first). What came after them stays.
    """
    policy = Policy(Favour(side or ""), mainline)
    return run_pick(session, Verb.REVERT, revisions, PickOptions(policy, no_commit), action, as_json)
