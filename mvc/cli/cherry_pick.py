"""`mvc cherry-pick`: parse, call `mvc.ops.pick`, render."""

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
@click.option("-x", "note_origin", is_flag=True, help="Say in the message where it was picked from.")
@click.option("--allow-empty", is_flag=True, help="Make commits that change nothing, too.")
@pick_options(mainline="Take a merge against its parent N.", theirs="Of files in conflict take the commit's, wholly.")
@json_flag
@quiet_flag
def command(
    session: Session,
    revisions: tuple[str, ...],
    note_origin: bool,
    no_commit: bool,
    mainline: int | None,
    allow_empty: bool,
    side: str | None,
    action: str | None,
    as_json: bool,
) -> int | None:
    """Apply what a commit changed.

    REVISIONS are commits, or ranges A..B (the oldest first). Author and message come along; params and
    metrics do not, as they tell of the other commit's model.
    """
    policy = Policy(Favour(side or ""), mainline, note_origin, keep_empty=allow_empty)
    return run_pick(session, Verb.CHERRY_PICK, revisions, PickOptions(policy, no_commit), action, as_json)
