"""`mvc switch`: parse, call `mvc.ops.switch`, render."""

from __future__ import annotations

import click

from mvc.cli.command import quiet_flag, verb
from mvc.cli.completions import complete_branches
from mvc.cli.session import Session
from mvc.cli.switched_text import tell_switch
from mvc.errors import UsageError
from mvc.ops.switch import Destination, find_destination, new_branch, new_orphan, new_tracking_branch, switch


@verb
@click.argument("branch", required=False, shell_complete=complete_branches)
@click.argument("extra", nargs=-1, metavar="")
@click.option("-c", "--create", metavar="NAME", help="Make the branch NAME at BRANCH (HEAD), and go there.")
@click.option("-C", "--force-create", metavar="NAME", help="The same; if there is one, it is moved.")
@click.option("--orphan", metavar="NAME", help="Begin the branch NAME anew, without any commit or file.")
@click.option("-d", "--detach", is_flag=True, help="Go to any revision; HEAD is on no branch then.")
@click.option("-f", "--force", "--discard-changes", is_flag=True, help="Give up changes to tracked files.")
@click.option("--guess/--no-guess", default=True, help="Make the branch that just one remote has.  [default: guess]")
@click.option("-t/ ", "--track/--no-track", default=None, help="A branch that is made follows where it starts, or not.")
@quiet_flag
def command(
    session: Session,
    branch: str | None,
    extra: tuple[str, ...],
    create: str | None,
    force_create: str | None,
    orphan: str | None,
    detach: bool,
    force: bool,
    guess: bool,
    track: bool | None,
) -> None:
    """Go to another branch.

    Uncommitted changes come along, unless the other branch has that file otherwise: then nothing is
    done, and it is said what stands in the way. `-` is the branch before.
    """
    if extra or (create and force_create):
        raise UsageError("one branch at a time", hint="mvc switch BRANCH")
    if orphan is not None:
        if branch or create or force_create or detach or track is not None:
            raise UsageError("--orphan takes the new branch's name alone", hint="mvc switch --orphan NAME")
        destination = new_orphan(session.repo(), orphan)
    else:
        destination = _destination(session, branch, create, force_create, detach, guess, track)
    tell_switch(session, switch(session.repo(), destination, force=force, caller=session.caller(commits=False)))


def _destination(
    session: Session,
    branch: str | None,
    create: str | None,
    force_create: str | None,
    detach: bool,
    guess: bool,
    track: bool | None,
) -> Destination:
    repo = session.repo()
    if (name := create or force_create) is not None:
        if detach:
            raise UsageError("--detach and --create do not go together")
        return new_branch(repo, name, branch, reset=force_create is not None, track=track)
    if track and branch is not None:
        return new_tracking_branch(repo, branch)
    if branch is None and not detach:
        raise UsageError("which branch?", hint="mvc switch BRANCH, or: mvc switch -c NEW")
    return find_destination(repo, branch or "HEAD", detach=detach, guess=guess)
