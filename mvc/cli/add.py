"""`mvc add`: parse, call `mvc.ops.add`, render."""

from __future__ import annotations

import click

from mvc.cli.command import dry_run_flag, json_flag, verb
from mvc.cli.session import Session
from mvc.cli.sizes import stored_line
from mvc.cli.text import printable_path
from mvc.ops.add import AddResult, add


@verb
@click.argument("paths", nargs=-1)
@click.option("-u", "--update", is_flag=True, help="Only files that are staged already.")
@click.option("-A", "--all", "everything", is_flag=True, help="The whole worktree.")
@click.option("-f", "--force", is_flag=True, help="Ignored files too.")
@dry_run_flag
@json_flag
def command(
    session: Session,
    paths: tuple[str, ...],
    update: bool,
    everything: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Stage files for the next commit.

    PATHS are files, folders or globs. Weights are cut at their tensors, deduplicated and coded
    against what is stored; files that are gone are taken out of the stage.
    """
    repo = session.repo()
    result = add(
        repo,
        paths,
        prefix=repo.locate(session.cwd),
        update=update,
        everything=everything,
        force=force,
        dry_run=dry_run,
        wait=session.lock_wait,
        progress=session.progress,
    )
    if as_json:
        lists = {"added": result.added, "modified": result.modified, "removed": result.removed}
        session.emit_json("add", {**lists, "raw": result.raw, "fresh": result.fresh, "stored": result.stored})
    elif dry_run or session.verbose:
        session.emit_text(_listed(result), end="")
    elif result.stored:
        session.note(stored_line(result.stored, result.raw))


def _listed(result: AddResult) -> str:
    lines = [f"add '{printable_path(path)}'\n" for path in sorted({*result.added, *result.modified})]
    return "".join(lines + [f"remove '{printable_path(path)}'\n" for path in result.removed])
