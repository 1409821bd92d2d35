"""`mvc branch`: parse, call `mvc.ops.branch`, render."""

from __future__ import annotations

import click

from mvc.cli.command import complete, json_flag, quiet_flag, verb
from mvc.cli.names import short_id
from mvc.cli.ref_options import ref_filters
from mvc.cli.session import Session
from mvc.cli.tables import text_width
from mvc.cli.text import printable, printable_path
from mvc.cli.tracking_text import followed_line, tracking_brief, tracking_json
from mvc.errors import UsageError
from mvc.ops.branch import (
    Branch,
    BranchFilter,
    create_branch,
    current_branch,
    delete_branches,
    list_branches,
    rename_branch,
)
from mvc.ops.tracking import Followed, Tracking, set_upstream
from mvc.ops.tracking import unset_upstream as forget_upstream


@verb
@click.argument("names", nargs=-1, metavar="[NAME [START]]", shell_complete=complete("branches"))
@click.option("-l", "--list", "listing", is_flag=True, help="List branches that match the patterns NAME.")
@click.option("-a", "--all", "every", is_flag=True, help="Remote-tracking branches too.")
@click.option("-r", "--remotes", "remote", is_flag=True, help="Remote-tracking branches alone.")
@click.option("-v", "--verbose", count=True, help="The commit of each, ahead and behind; -vv: its upstream, too.")
@click.option("--show-current", is_flag=True, help="The name of the present branch.")
@ref_filters("branches")
@click.option("--merged", metavar="REV", is_flag=False, flag_value="HEAD", help="Only branches that REV has. [HEAD]")
@click.option(
    "--no-merged", metavar="REV", is_flag=False, flag_value="HEAD", help="Only branches that REV lacks. [HEAD]"
)
@click.option("-d", "--delete", is_flag=True, help="Delete branches that are merged.")
@click.option("-D", "delete_anyway", is_flag=True, help="Delete branches, merged or not.")
@click.option("-m", "--move", is_flag=True, help="Rename [OLD] NEW, with the reflog.")
@click.option("-M", "move_anyway", is_flag=True, help="The same, over a branch of that name.")
@click.option("-f", "--force", is_flag=True, help="Move a branch that is there to START.")
@click.option("-t/ ", "--track/--no-track", default=None, help="The new branch follows START, or does not.")
@click.option(
    "-u",
    "--set-upstream-to",
    "upstream",
    metavar="UPSTREAM",
    shell_complete=complete("revisions"),
    help="The branch (NAME, else the present one) follows UPSTREAM.",
)
@click.option("--unset-upstream", is_flag=True, help="It follows none any more.")
@json_flag
@quiet_flag
def command(
    session: Session,
    names: tuple[str, ...],
    listing: bool,
    every: bool,
    remote: bool,
    verbose: int,
    show_current: bool,
    contains: str | None,
    merged: str | None,
    no_merged: str | None,
    points_at: str | None,
    sort: str,
    delete: bool,
    delete_anyway: bool,
    move: bool,
    move_anyway: bool,
    force: bool,
    track: bool | None,
    upstream: str | None,
    unset_upstream: bool,
    as_json: bool,
) -> None:
    """List, make, rename or delete branches.

    Without NAME: lists them. With NAME: makes that branch at START (HEAD, unless given) and stays
    where it is; `mvc switch -c NAME` also goes there.
    """
    if show_current:
        _present(session, as_json)
    elif delete or delete_anyway:
        _delete(session, names, delete_anyway or force, remote, as_json)
    elif move or move_anyway:
        _rename(session, names, move_anyway or force, as_json)
    elif upstream is not None or unset_upstream:
        _follow(session, names, upstream, as_json)
    elif not names or listing or contains or merged or no_merged or points_at:
        wanted = BranchFilter(
            patterns=names,
            local=not remote or every,
            remote=remote or every,
            contains=contains,
            merged=merged,
            no_merged=no_merged,
            points_at=points_at,
            sort=sort,  # type: ignore[arg-type]  # click has checked it
            tracking=verbose > 0 or as_json,
        )
        _show(session, list_branches(session.repo(), wanted), verbose, as_json, local=wanted.local)
    else:
        if len(names) > 2:
            raise UsageError("too many names", hint="mvc branch NAME [START]")
        start = names[1] if len(names) == 2 else "HEAD"
        caller = session.caller(commits=False)
        made = create_branch(session.repo(), names[0], start, caller, force=force, track=track)
        _tell_done(session, names[0], made, as_json)


def _present(session: Session, as_json: bool) -> None:
    name = current_branch(session.repo())
    if as_json:
        _tell_done(session, name, None, as_json)
    else:
        session.emit_text(name or "", end="\n" if name else "")


def _follow(session: Session, names: tuple[str, ...], upstream: str | None, as_json: bool) -> None:
    if len(names) > 1:
        raise UsageError("one branch at a time", hint="mvc branch -u UPSTREAM [NAME]")
    name = names[0] if names else None
    if upstream is None:
        forget_upstream(session.repo(), name)
        followed = None
    else:
        followed = set_upstream(session.repo(), name, upstream)
    _tell_done(session, name or current_branch(session.repo()), followed, as_json)


def _tell_done(session: Session, name: str | None, followed: Followed | None, as_json: bool) -> None:
    """What a branch is after it was made or changed; for people only what it follows now."""
    if as_json:
        wanted = BranchFilter(patterns=(name,), tracking=True) if name is not None else None
        found = list_branches(session.repo(), wanted) if wanted is not None else ()
        _show(session, found, 0, as_json, local=True)
    elif followed is not None and not session.quiet:
        session.emit_text(followed_line(followed))


def _delete(session: Session, names: tuple[str, ...], force: bool, remote: bool, as_json: bool) -> None:
    if not names:
        raise UsageError("which branch?", hint="mvc branch -d NAME")
    gone = delete_branches(session.repo(), names, session.caller(commits=False), force=force, remote=remote)
    if as_json:
        session.emit_json("branches", {"deleted": [{"name": one.name, "commit": one.id} for one in gone]})
        return
    for one in gone:
        session.note(f"Deleted branch {printable_path(one.name)} (was {short_id(session, one.id)}).")


def _rename(session: Session, names: tuple[str, ...], force: bool, as_json: bool) -> None:
    if not 1 <= len(names) <= 2:
        raise UsageError("to rename takes one name or two", hint="mvc branch -m [OLD] NEW")
    old = names[0] if len(names) == 2 else None
    rename_branch(session.repo(), old, names[-1], session.caller(commits=False), force=force)
    _tell_done(session, names[-1], None, as_json)


def _show(session: Session, branches: tuple[Branch, ...], verbose: int, as_json: bool, *, local: bool) -> None:
    head = session.repo().refs.head()
    if as_json:
        rows = [
            {
                "name": one.name,
                "ref": one.ref,
                "commit": one.commit.id,
                "summary": one.commit.summary,
                "time": one.commit.committer.time,
                "head": one.is_head,
                "worktree": str(one.worktree) if one.worktree else None,
                "upstream": tracking_json(one.tracking),
            }
            for one in branches
        ]
        session.emit_json("branches", {"branches": rows, "head": head.short, "detached": head.branch is None})
        return
    width = max((text_width(printable_path(one.name)) for one in branches), default=0)
    lines = [_line(session, one, width, verbose) for one in branches]
    if local and head.branch is None and head.id is not None:
        at = session.paint(f"(HEAD detached at {short_id(session, head.id)})", "green")
        lines.insert(0, f"* {at}")
    session.emit_text("".join(line + "\n" for line in lines), end="")


def _line(session: Session, one: Branch, width: int, verbose: int) -> str:
    mark, style = ("*", "green") if one.is_head else ("+", "cyan") if one.worktree else (" ", "")
    if not style and one.ref.startswith("refs/remotes/"):
        style = "red"
    name = printable_path(one.name)
    line = f"{mark} {session.paint(name, style) if style else name}"
    if one.target is not None:
        return f"{line}{' ' * (width - text_width(name) if verbose else 0)} -> {printable_path(one.target)}"
    if not verbose:
        return line
    line += " " * (width - text_width(name)) + f" {short_id(session, one.commit.id)} "
    return line + _upstream(session, one.tracking, verbose) + printable(one.commit.summary)


def _upstream(session: Session, tracking: Tracking | None, verbose: int) -> str:
    if tracking is None:
        return ""
    brief = tracking_brief(tracking)
    if verbose == 1:
        return f"[{brief}] " if brief else ""
    name = session.paint(printable_path(tracking.name), "blue")
    return f"[{name}: {brief}] " if brief else f"[{name}] "
