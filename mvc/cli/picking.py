"""What `cherry-pick` and `revert` have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mvc.cli.command import no_edit_flag
from mvc.cli.conflict_text import conflict_json, conflict_lines
from mvc.cli.names import short_id
from mvc.cli.session import Session
from mvc.cli.sizes import counted
from mvc.cli.text import printable
from mvc.errors import UsageError
from mvc.ops.pick import PickOptions, PickResult, abort, give_up, pick, resume, skip
from mvc.ops.sequence import Verb

F = TypeVar("F", bound=Callable[..., Any])


def pick_options(*, mainline: str, theirs: str) -> Callable[[F], F]:
    """The options that both verbs have, as `no_commit`, `mainline`, `side` and `action`."""
    options = (
        no_edit_flag,
        click.option("-n", "--no-commit", is_flag=True, help="Change stage and worktree alone."),
        click.option("-m", "--mainline", type=click.IntRange(min=1), metavar="N", help=mainline),
        click.option("--ours", "side", flag_value="ours", help="Of files in conflict keep ours, wholly."),
        click.option("--theirs", "side", flag_value="theirs", help=theirs),
        click.option(
            "--continue", "action", flag_value="continue", help="All conflicts are resolved and staged: go on."
        ),
        click.option("--skip", "action", flag_value="skip", help="Leave out the commit that stopped it, and go on."),
        click.option("--abort", "action", flag_value="abort", help="Give up: all is as it was before."),
        click.option("--quit", "action", flag_value="quit", help="Forget what is left to do; all else stays."),
    )

    def declare(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return declare


def run_pick(
    session: Session, verb: Verb, revisions: tuple[str, ...], options: PickOptions, action: str | None, as_json: bool
) -> int | None:
    """Begin, or with an action (continue, skip, abort, quit) go on with what stopped; the exit code."""
    repo = session.repo()
    if action is not None and revisions:
        raise UsageError(f"--{action} takes no revision")
    if action == "abort":
        head = abort(repo, verb, caller=session.caller(commits=False))
        session.note(f"HEAD is at {short_id(session, head.id)} {printable(head.summary)}")
        return None
    if action == "quit":
        give_up(repo)
        return None
    if action is None and not revisions:
        raise UsageError("which commit?", hint=f"mvc {verb.value} REVISION")
    caller = session.caller()
    if action == "continue":
        result = resume(repo, verb, caller=caller)
    elif action == "skip":
        result = skip(repo, verb, caller=caller)
    else:
        result = pick(repo, verb, revisions, options, caller=caller)
    if as_json:
        session.emit_json(verb.value, _document(result))
    else:
        _tell(session, result)
    return 1 if result.stopped or result.conflicts else None


def tell_metadata_left(session: Session, commits: tuple[str, ...]) -> None:
    """Params and metrics tell of one commit's model; say it where somebody may look for them."""
    if commits:
        session.note(f"params and metrics of {counted(len(commits), 'commit')} stay with the commits picked from")


def _tell(session: Session, result: PickResult) -> None:
    where = result.branch or "detached HEAD"
    made = [] if session.quiet else result.made
    lines = [f"[{where} {short_id(session, one.id)}] {printable(one.summary)}" for one in made]
    name = result.stopped.summary if result.stopped else result.verb.value
    lines += conflict_lines(session, result.conflicts, printable(name))
    if lines:
        session.emit_text("\n".join(lines))
    tell_metadata_left(session, result.metadata_left)
    if result.stopped is None:
        return
    verb = result.verb.value
    what = f"{short_id(session, result.stopped.commit)} {printable(result.stopped.summary)}"
    if result.conflicts:
        session.tell(f"could not {verb} {what}: resolve the conflicts, mvc add the files,")
        session.tell(f"then mvc {verb} --continue; or --skip it, or --abort")
    else:
        session.tell(f"{what} changes nothing here: mvc {verb} --skip, or mvc commit --allow-empty")


def _document(result: PickResult) -> dict[str, Any]:
    return {
        "made": [{"id": one.id, "summary": one.summary} for one in result.made],
        "stopped": result.stopped.commit if result.stopped else None,
        "conflicts": [conflict_json(one) for one in result.conflicts],
        "remaining": result.remaining,
        "staged": list(result.staged),
        "metadata_left": list(result.metadata_left),
    }
