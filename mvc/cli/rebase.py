"""`mvc rebase`: parse, call `mvc.ops.rebase`, render."""

from __future__ import annotations

import click

from mvc.cli.command import json_flag, quiet_flag, verb
from mvc.cli.names import short_id
from mvc.cli.rebased_text import rebase_json, tell_rebase
from mvc.cli.revisions import followed
from mvc.cli.session import Session
from mvc.cli.text import printable
from mvc.errors import UsageError
from mvc.ops.rebase import abort, give_up, rebase, resume, skip
from mvc.ops.three_way import Favour


@verb
@click.argument("upstream", required=False)
@click.argument("branch", required=False)
@click.option("--onto", metavar="REV", help="Put the commits on REV, not on UPSTREAM.")
@click.option("--ours", "side", flag_value="ours", help="Of files in conflict keep the new base's, wholly.")
@click.option("--theirs", "side", flag_value="theirs", help="Of files in conflict take the moved commit's, wholly.")
@click.option("--continue", "action", flag_value="continue", help="All conflicts are resolved and staged: go on.")
@click.option("--skip", "action", flag_value="skip", help="Leave out the commit that stopped it, and go on.")
@click.option("--abort", "action", flag_value="abort", help="Give up: the branch is as it was before.")
@click.option("--quit", "action", flag_value="quit", help="Forget the rebase; HEAD and files stay.")
@json_flag
@quiet_flag
def command(
    session: Session,
    upstream: str | None,
    branch: str | None,
    onto: str | None,
    side: str | None,
    action: str | None,
    as_json: bool,
) -> int | None:
    """Put commits on top of another base.

    The commits that BRANCH (HEAD's) has and UPSTREAM has not are made anew on UPSTREAM. Each model is
    written once, at the end. Params and metrics stay with the old commits.
    """
    repo = session.repo()
    if action is not None and upstream is not None:
        raise UsageError(f"--{action} takes no revision")
    if action == "abort":
        head = abort(repo, caller=session.caller(commits=False))
        session.note(f"HEAD is at {short_id(session, head.id)} {printable(head.summary)}, as before the rebase")
        return None
    if action == "quit":
        give_up(repo)
        return None
    caller = session.caller()
    if action is not None:
        result = (resume if action == "continue" else skip)(repo, caller=caller)
    else:
        upstream = upstream or followed(session, "onto what?", "mvc rebase UPSTREAM")
        result = rebase(repo, upstream, onto=onto, branch=branch, favour=Favour(side or ""), caller=caller)
    if as_json:
        session.emit_json("rebase", rebase_json(result))
    else:
        tell_rebase(session, result)
    return 1 if result.stopped else None
