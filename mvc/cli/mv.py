"""`mvc mv`: parse, call `mvc.ops.mv`, render."""

from __future__ import annotations

import click

from mvc.cli.command import dry_run_flag, json_flag, verb
from mvc.cli.session import Session
from mvc.cli.text import printable_path
from mvc.ops.mv import MvOptions, mv


@verb
@click.argument("sources", nargs=-1, required=True)
@click.argument("destination")
@click.option("-f", "--force", is_flag=True, help="Overwrite a file at the destination.")
@click.option("-k", "skip_errors", is_flag=True, help="Leave out what cannot be moved.")
@click.option("-v", "--verbose", is_flag=True, help="Name what is moved.")
@dry_run_flag
@json_flag
def command(
    session: Session,
    sources: tuple[str, ...],
    destination: str,
    force: bool,
    skip_errors: bool,
    verbose: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Move or rename a file or folder, in the worktree and the stage.

    Several SOURCES go into DESTINATION, a folder. Nothing is stored anew: a version names content, not paths.
    """
    repo = session.repo()
    options = MvOptions(force, skip_errors, dry_run)
    moves = mv(repo, sources, destination, options, prefix=repo.locate(session.cwd), wait=session.lock_wait)
    if as_json:
        session.emit_json("mv", {"moves": [{"old": move.old, "new": move.new} for move in moves], "dry_run": dry_run})
    elif dry_run or verbose or session.verbose:
        lines = [f"Renaming {printable_path(move.old)} to {printable_path(move.new)}\n" for move in moves]
        session.emit_text("".join(lines), end="")
