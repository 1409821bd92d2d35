"""`mvc revert`: parse, call `mvc.ops.pick`, render."""

from __future__ import annotations

import click

from mvc.cli.command import json_flag, quiet_flag, verb
from mvc.cli.picking import run_pick
from mvc.cli.session import Session
from mvc.ops.pick import PickOptions
from mvc.ops.sequence import Policy, Verb
from mvc.ops.three_way import Favour


@verb
@click.argument("revisions", nargs=-1)
@click.option("-n", "--no-commit", is_flag=True, help="Change stage and worktree alone.")
@click.option("-m", "--mainline", type=click.IntRange(min=1), metavar="N", help="Undo a merge against its parent N.")
@click.option("--ours", "side", flag_value="ours", help="Of files in conflict keep ours, wholly.")
@click.option("--theirs", "side", flag_value="theirs", help="Of files in conflict take what was before, wholly.")
@click.option("--continue", "action", flag_value="continue", help="All conflicts are resolved and staged: go on.")
@click.option("--skip", "action", flag_value="skip", help="Leave out the commit that stopped it, and go on.")
@click.option("--abort", "action", flag_value="abort", help="Give up: all is as it was before.")
@click.option("--quit", "action", flag_value="quit", help="Forget what is left to do; all else stays.")
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
