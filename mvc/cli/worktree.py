"""`mvc worktree`: parse, call `mvc.ops.worktree`, render."""

from __future__ import annotations

from pathlib import Path

import click

from mvc.cli.command import dry_run_flag, json_flag, noun, quiet_flag
from mvc.cli.names import short_id
from mvc.cli.session import Session
from mvc.cli.tables import table
from mvc.cli.text import printable, printable_path
from mvc.ops import worktree
from mvc.ops.worktree import WorktreeInfo


@noun()
def command(session: Session) -> None:
    """Several worktrees on one repository.

    Each has its own branch, stage and files; commits and chunks are shared.
    """


@command.verb
@click.argument("path")
@click.argument("revision", required=False)
@click.option("-b", "new_branch", metavar="NAME", help="Make the branch NAME at REVISION (HEAD), for it.")
@click.option("-d", "--detach", is_flag=True, help="On no branch.")
@quiet_flag
def add(session: Session, path: str, revision: str | None, new_branch: str | None, detach: bool) -> None:
    """Make a worktree in PATH, on the branch REVISION.

    Without REVISION its branch has the name of the folder, and is made if there is none.
    """
    target = Path(session.cwd / path)
    made = worktree.add(
        session.repo(), target, revision, new_branch=new_branch, detach=detach, caller=session.caller(commits=False)
    )
    where = f"branch '{made.branch.removeprefix('refs/heads/')}'" if made.branch else "no branch"
    new = "new " if made.created else ""
    session.note(f"Prepared {printable_path(str(made.path))} ({new}{printable_path(where)})")
    session.note(f"HEAD is now at {short_id(session, made.commit)} {printable(made.summary)}")


@command.verb
@json_flag
def list_(session: Session, as_json: bool) -> None:
    """All worktrees, the main one first."""
    every = worktree.worktrees(session.repo())
    if as_json:
        session.emit_json("worktrees", {"worktrees": [_document(one) for one in every]})
    else:
        session.emit_text("\n".join(table([_row(session, one) for one in every])))


@command.verb
@click.argument("worktree_name", metavar="WORKTREE")
@click.option("-f", "--force", is_flag=True, help="Also with uncommitted work in it, or locked.")
@quiet_flag
def remove(session: Session, worktree_name: str, force: bool) -> None:
    """Remove a worktree, given by path or name: its folder, too."""
    name = _name(session, worktree_name)
    worktree.remove(session.repo(), name, force=force, caller=session.caller(commits=False))


@command.verb
@dry_run_flag
@click.option("-v", "--verbose", is_flag=True, expose_value=False, help="Say what is forgotten. (The default.)")
def prune(session: Session, dry_run: bool) -> None:
    """Forget worktrees whose folders are gone."""
    for one in worktree.prune(session.repo(), dry_run=dry_run):
        session.emit_text(f"{'would forget' if dry_run else 'forgot'} {printable_path(one.name)}: its folder is gone")


@command.verb
@click.argument("worktree_name", metavar="WORKTREE")
@click.option("--reason", metavar="TEXT", default="", help="Why.")
def lock(session: Session, worktree_name: str, reason: str) -> None:
    """Keep a worktree from being pruned or removed."""
    worktree.lock(session.repo(), _name(session, worktree_name), reason)


@command.verb
@click.argument("worktree_name", metavar="WORKTREE")
def unlock(session: Session, worktree_name: str) -> None:
    """End a lock."""
    worktree.unlock(session.repo(), _name(session, worktree_name))


def _name(session: Session, typed: str) -> str:
    """A name as it is; a path as seen from where the user is."""
    known = {one.name for one in worktree.worktrees(session.repo())}
    return typed if typed in known else str(session.cwd / typed)


def _row(session: Session, one: WorktreeInfo) -> list[str]:
    where = f"[{one.head.short}]" if one.head.short else "(detached HEAD)"
    state = "locked" if one.locked is not None else "prunable" if one.gone else ""
    commit = short_id(session, one.head.id) if one.head.id else "no commit"
    return [printable_path(str(one.path)), commit, printable_path(where), state]


def _document(one: WorktreeInfo) -> dict[str, object]:
    return {
        "path": str(one.path),
        "name": one.name,
        "branch": one.head.branch,
        "commit": one.head.id,
        "locked": one.locked,
        "gone": one.gone,
    }
