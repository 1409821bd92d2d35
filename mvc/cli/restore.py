"""`mvc restore`: parse, call `mvc.ops.restore`, render."""

from __future__ import annotations

import click

from mvc.cli.command import json_flag, quiet_flag, verb
from mvc.cli.session import Session
from mvc.errors import UsageError
from mvc.ops.restore import RestoreOptions, Side, restore


@verb
@click.argument("paths", nargs=-1, required=True)
@click.option("-s", "--source", metavar="REV", help="Take the files from this revision.")
@click.option("-S", "--staged", is_flag=True, help="Restore the stage (from HEAD, unless --source).")
@click.option("-W", "--worktree", is_flag=True, help="Restore the worktree: the default without --staged.")
@click.option("--overlay", is_flag=True, help="Keep tracked files that the source does not have.")
@click.option("--ours", "side", flag_value="ours", help="Of files in conflict, our version.")
@click.option("--theirs", "side", flag_value="theirs", help="Of files in conflict, their version.")
@json_flag
@quiet_flag
def command(
    session: Session,
    paths: tuple[str, ...],
    source: str | None,
    staged: bool,
    worktree: bool,
    overlay: bool,
    side: str | None,
    as_json: bool,
) -> None:
    """Bring files back from the stage or a revision.

    What stands at PATHS is given up. With --staged alone files are unstaged, and keep their content.
    """
    if side and (source or staged):
        raise UsageError("--ours and --theirs are taken from the stage into the worktree")
    options = RestoreOptions(
        source=source,
        staged=staged,
        worktree=worktree or not staged,
        overlay=overlay,
        side=Side[side.upper()] if side else None,
    )
    repo = session.repo()
    done = restore(repo, paths, options, prefix=repo.locate(session.cwd), caller=session.caller(commits=False))
    if as_json:
        session.emit_json("restore", {"restored": list(done.restored), "removed": list(done.removed)})
