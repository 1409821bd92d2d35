"""`mvc checkout`: parse, call `mvc.ops.switch` or `mvc.ops.restore`, render."""

from __future__ import annotations

import os

import click

from mvc.cli.command import quiet_flag, verb
from mvc.cli.session import Session
from mvc.cli.sizes import counted
from mvc.cli.switched_text import tell_switch
from mvc.cli.text import printable
from mvc.errors import NotFound, Refused, UsageError
from mvc.ops.restore import RestoreOptions, Side, restore
from mvc.ops.switch import Destination, find_destination, new_branch, new_tracking_branch, switch
from mvc.repo.locking import read_stage
from mvc.repo.pathspec import Pathspec


@verb
@click.argument("arguments", nargs=-1, metavar="[REVISION] [--] [PATH]...")
@click.option("-b", "create", metavar="NAME", help="Make the branch NAME at REVISION (HEAD), and go there.")
@click.option("-B", "force_create", metavar="NAME", help="The same; if there is one, it is moved.")
@click.option("-d", "--detach", is_flag=True, help="HEAD is on no branch, also where REVISION is one.")
@click.option("-f", "--force", is_flag=True, help="Give up changes to tracked files.")
@click.option("--ours", "side", flag_value="ours", help="Of files in conflict, our version.")
@click.option("--theirs", "side", flag_value="theirs", help="Of files in conflict, their version.")
@click.option("-t/ ", "--track/--no-track", default=None, help="A branch that is made follows where it starts, or not.")
@quiet_flag
def command(
    session: Session,
    arguments: tuple[str, ...],
    create: str | None,
    force_create: str | None,
    detach: bool,
    force: bool,
    side: str | None,
    track: bool | None,
) -> None:
    """Go to a branch or revision, or take files from it.

    Without PATH, stage and worktree become REVISION's; uncommitted work is never overwritten without
    --force. With PATH, those files alone are taken from REVISION (without one: from the stage), and
    what was there is given up.
    """
    revision, paths = _told_apart(session, arguments, branching=bool(create or force_create or detach))
    if paths or side:
        if create or force_create or detach:
            raise UsageError("files are taken without going anywhere: -b, -B and -d do not go with them")
        _restore(session, revision, paths, side)
        return
    destination = _destination(session, revision, create, force_create, detach, track)
    tell_switch(session, switch(session.repo(), destination, force=force, caller=session.caller(commits=False)))


def _restore(session: Session, revision: str | None, paths: tuple[str, ...], side: str | None) -> None:
    repo = session.repo()
    options = RestoreOptions(
        source=revision,
        staged=revision is not None,
        overlay=True,
        side=Side[side.upper()] if side else None,
    )
    prefix = repo.locate(session.cwd)
    done = restore(repo, paths, options, prefix=prefix, caller=session.caller(commits=False))
    session.note(f"Updated {counted(len(done.restored), 'path')} from {printable(revision or 'the stage')}")


def _destination(
    session: Session,
    revision: str | None,
    create: str | None,
    force_create: str | None,
    detach: bool,
    track: bool | None,
) -> Destination:
    repo = session.repo()
    if (name := create or force_create) is not None:
        return new_branch(repo, name, revision, reset=force_create is not None, track=track)
    if track and revision is not None:
        return new_tracking_branch(repo, revision)
    head = repo.refs.head()
    if revision is None or (revision == "HEAD" and head.id is not None):  # as with Git, on the branch that one is on
        return Destination(head.id, None if detach else head.branch)
    try:
        return find_destination(repo, revision, detach=detach)
    except Refused:
        # What `switch` asks --detach for, `checkout` does by itself.
        return find_destination(repo, revision, detach=True)


def _told_apart(session: Session, arguments: tuple[str, ...], *, branching: bool) -> tuple[str | None, tuple[str, ...]]:
    """(revision, paths). Without "--" the first argument is a revision if it can be one, else a path."""
    if session.behind_dashes is not None:
        count = len(arguments) - session.behind_dashes
        if count > 1:
            raise UsageError("one revision at most stands before --")
        return (arguments[0] if count else None), arguments[count:]
    if not arguments:
        return None, ()
    first, rest = arguments[0], arguments[1:]
    try:
        if not branching:
            find_destination(session.repo(), first, detach=True)
    except NotFound:
        if _is_guess(session, first):
            return first, rest
        if os.path.lexists(session.cwd / first) or _is_tracked(session, first):
            return None, arguments
        raise
    return first, rest


def _is_guess(session: Session, name: str) -> bool:
    try:
        return find_destination(session.repo(), name).create
    except (NotFound, Refused):
        return False


def _is_tracked(session: Session, spec: str) -> bool:
    """Whether the stage has something that the spec means: a file that was deleted can be named, too."""
    repo = session.repo()
    stage = read_stage(repo)
    pathspec = Pathspec.parse([spec], repo.locate(session.cwd), repo.locate)
    return not pathspec.unmatched([*stage.paths(), *stage.conflicts()])
