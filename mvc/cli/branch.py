"""`mvc branch`: parse, call `mvc.ops.branch`, render."""

from __future__ import annotations

import click

from mvc.cli.command import complete, json_flag, verb
from mvc.cli.names import short_id
from mvc.cli.session import Session
from mvc.cli.tables import text_width
from mvc.cli.text import printable, printable_path
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


@verb
@click.argument("names", nargs=-1, metavar="[NAME [START]]", shell_complete=complete("branches"))
@click.option("-l", "--list", "listing", is_flag=True, help="List branches that match the patterns NAME.")
@click.option("-a", "--all", "every", is_flag=True, help="Remote-tracking branches too.")
@click.option("-r", "--remotes", "remote", is_flag=True, help="Remote-tracking branches alone.")
@click.option("-v", "--verbose", count=True, help="The commit of each, too.")
@click.option("--show-current", is_flag=True, help="The name of the present branch.")
@click.option("--contains", metavar="REV", help="Only branches that have REV.")
@click.option("--merged", metavar="REV", is_flag=False, flag_value="HEAD", help="Only branches that REV has. [HEAD]")
@click.option(
    "--no-merged", metavar="REV", is_flag=False, flag_value="HEAD", help="Only branches that REV lacks. [HEAD]"
)
@click.option("--points-at", metavar="REV", help="Only branches at REV.")
@click.option(
    "--sort",
    type=click.Choice(["name", "-name", "date", "-date"]),
    default="name",
    help="By name, or by date of the commit; - turns it round.",
)
@click.option("-d", "--delete", is_flag=True, help="Delete branches that are merged.")
@click.option("-D", "delete_anyway", is_flag=True, help="Delete branches, merged or not.")
@click.option("-m", "--move", is_flag=True, help="Rename [OLD] NEW, with the reflog.")
@click.option("-M", "move_anyway", is_flag=True, help="The same, over a branch of that name.")
@click.option("-f", "--force", is_flag=True, help="Move a branch that is there to START.")
@json_flag
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
    as_json: bool,
) -> None:
    """List, make, rename or delete branches.

    Without NAME: lists them. With NAME: makes that branch at START (HEAD, unless given) and stays
    where it is; `mvc switch -c NAME` also goes there.
    """
    if show_current:
        session.emit_text(current_branch(session.repo()) or "", end="\n" if current_branch(session.repo()) else "")
    elif delete or delete_anyway:
        _delete(session, names, delete_anyway or force, remote)
    elif move or move_anyway:
        _rename(session, names, move_anyway or force)
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
        )
        _show(session, list_branches(session.repo(), wanted), verbose, as_json)
    else:
        if len(names) > 2:
            raise UsageError("too many names", hint="mvc branch NAME [START]")
        start = names[1] if len(names) == 2 else "HEAD"
        create_branch(session.repo(), names[0], start, session.caller(commits=False), force=force)


def _delete(session: Session, names: tuple[str, ...], force: bool, remote: bool) -> None:
    if not names:
        raise UsageError("which branch?", hint="mvc branch -d NAME")
    for one in delete_branches(session.repo(), names, session.caller(commits=False), force=force, remote=remote):
        session.note(f"Deleted branch {printable_path(one.name)} (was {short_id(session, one.id)}).")


def _rename(session: Session, names: tuple[str, ...], force: bool) -> None:
    if not 1 <= len(names) <= 2:
        raise UsageError("to rename takes one name or two", hint="mvc branch -m [OLD] NEW")
    old = names[0] if len(names) == 2 else None
    rename_branch(session.repo(), old, names[-1], session.caller(commits=False), force=force)


def _show(session: Session, branches: tuple[Branch, ...], verbose: int, as_json: bool) -> None:
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
            }
            for one in branches
        ]
        session.emit_json("branches", {"branches": rows, "head": head.short, "detached": head.branch is None})
        return
    width = max((text_width(printable_path(one.name)) for one in branches), default=0)
    lines = [_line(session, one, width if verbose else 0) for one in branches]
    if head.branch is None and head.id is not None:
        at = session.paint(f"(HEAD detached at {short_id(session, head.id)})", "green")
        lines.insert(0, f"* {at}")
    session.emit_text("".join(line + "\n" for line in lines), end="")


def _line(session: Session, one: Branch, width: int) -> str:
    mark, style = ("*", "green") if one.is_head else ("+", "cyan") if one.worktree else (" ", "")
    if not style and one.ref.startswith("refs/remotes/"):
        style = "red"
    name = printable_path(one.name)
    line = f"{mark} {session.paint(name, style) if style else name}"
    if width:
        line += (
            " " * (width - text_width(name)) + f" {short_id(session, one.commit.id)} {printable(one.commit.summary)}"
        )
    return line
