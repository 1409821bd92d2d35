"""`mvc rm`: parse, call `mvc.ops.rm`, render."""

from __future__ import annotations

import click

from mvc.cli.command import dry_run_flag, json_flag, quiet_flag, verb
from mvc.cli.session import Session
from mvc.cli.text import printable_path
from mvc.ops.rm import RmOptions, rm


@verb
@click.argument("paths", nargs=-1)
@click.option("--cached", is_flag=True, help="From the stage alone: the files stay.")
@click.option("-r", "recursive", is_flag=True, help="Folders too, with all that is versioned in them.")
@click.option("-f", "--force", is_flag=True, help="Also what was changed or staged, and is nowhere else.")
@click.option("--ignore-unmatch", is_flag=True, help="A path that means no file is no error.")
@dry_run_flag
@quiet_flag
@json_flag
def command(
    session: Session,
    paths: tuple[str, ...],
    cached: bool,
    recursive: bool,
    force: bool,
    ignore_unmatch: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove files from the stage and the worktree.

    The commits that hold them keep them. A file whose content no commit has is refused without -f.
    """
    repo = session.repo()
    options = RmOptions(cached, recursive, force, dry_run, ignore_unmatch)
    prefix = repo.locate(session.cwd)
    removed = rm(repo, paths, options, prefix=prefix, wait=session.lock_wait, progress=session.progress)
    if as_json:
        session.emit_json("rm", {"removed": removed, "dry_run": dry_run})
    elif not session.quiet:
        session.emit_text("".join(f"rm '{printable_path(path)}'\n" for path in removed), end="")
