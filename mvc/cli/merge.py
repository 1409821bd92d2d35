"""`mvc merge`: parse, call `mvc.ops.merge`, render."""

from __future__ import annotations

import click

from mvc.cli.command import json_flag, no_edit_flag, quiet_flag, verb
from mvc.cli.commit_message import compose
from mvc.cli.merged_text import merge_json, merge_lines
from mvc.cli.names import short_id
from mvc.cli.revisions import followed
from mvc.cli.session import Session
from mvc.cli.text import printable
from mvc.errors import UsageError
from mvc.ops.commit import CommitOptions, commit
from mvc.ops.merge import FastForward, MergeOptions, abort, give_up, merge, require_merging
from mvc.ops.messages import joined
from mvc.ops.three_way import Favour


@verb
@click.argument("revisions", nargs=-1, metavar="[REVISION]")
@click.option("-m", "--message", "messages", metavar="TEXT", multiple=True, help="The message of the merge commit.")
@click.option("--ours", "side", flag_value="ours", help="Of files in conflict take ours, wholly.")
@click.option("--theirs", "side", flag_value="theirs", help="Of files in conflict take theirs, wholly.")
@click.option("-X", "strategy", type=click.Choice(["ours", "theirs"]), help="The same, as Git spells it.")
@click.option("--ff", "forward", flag_value="ff", help="Only move the branch where that will do. (The default.)")
@click.option("--no-ff", "forward", flag_value="no-ff", help="Make a merge commit in any case.")
@click.option("--ff-only", "forward", flag_value="ff-only", help="Refuse anything but moving the branch.")
@click.option("--no-commit", is_flag=True, help="Stage the merge, and let me commit it.")
@click.option("--squash", is_flag=True, help="Stage what the other branch changed; the histories stay apart.")
@click.option("--allow-unrelated-histories", "unrelated", is_flag=True, help="There need be no commit in common.")
@click.option("-e", "--edit", is_flag=True, help="With --continue: edit the message.")
@no_edit_flag
@click.option("--continue", "go_on", is_flag=True, help="All conflicts are resolved and staged: commit.")
@click.option("--abort", "stop", is_flag=True, help="Give the merge up: all is as it was before.")
@click.option("--quit", "quit_", is_flag=True, help="Forget the merge; stage and files stay as they are.")
@json_flag
@quiet_flag
def command(
    session: Session,
    revisions: tuple[str, ...],
    messages: tuple[str, ...],
    side: str | None,
    strategy: str | None,
    forward: str | None,
    no_commit: bool,
    squash: bool,
    unrelated: bool,
    edit: bool,
    go_on: bool,
    stop: bool,
    quit_: bool,
    as_json: bool,
) -> int | None:
    """Join another branch into this one.

    A file that one side alone changed is taken from that side. One that both changed is in conflict:
    the worktree keeps ours, the stage all versions. Take a side with `mvc checkout --ours PATH` or
    `--theirs PATH`, `mvc add` it, then `mvc merge --continue`.
    """
    repo = session.repo()
    if go_on or stop or quit_:
        _finish(session, go_on, stop, edit)
        return None
    if len(revisions) > 1:
        raise UsageError("one branch at a time", hint=f"mvc merge {printable(revisions[0])}")
    name = revisions[0] if revisions else followed(session, "merge what?", "mvc merge BRANCH")
    options = MergeOptions(
        message=joined(messages) if messages else None,
        fast_forward=FastForward(forward or "ff"),
        favour=Favour(side or strategy or ""),
        no_commit=no_commit,
        squash=squash,
        unrelated=unrelated,
    )
    result = merge(repo, name, options, caller=session.caller())
    if as_json:
        session.emit_json("merge", merge_json(result))
    elif not session.quiet or result.conflicts:  # what stopped it is asked for
        session.emit_text("\n".join(merge_lines(session, result)))
    return 1 if result.conflicts else None


def _finish(session: Session, go_on: bool, stop: bool, edit: bool) -> None:
    repo = session.repo()
    if go_on:
        require_merging(repo)
        text = compose(session, CommitOptions(), None) if edit else None
        made = commit(repo, text, caller=session.caller())
        session.note(f"[{made.branch or 'detached HEAD'} {short_id(session, made.id)}] {printable(made.summary)}")
    elif stop:
        head = abort(repo, caller=session.caller(commits=False))
        session.note(f"HEAD is at {short_id(session, head.id)} {printable(head.summary)}, as before the merge")
    else:
        give_up(repo)
