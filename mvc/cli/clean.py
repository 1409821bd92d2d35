"""`mvc clean`: parse, call `mvc.ops.clean`, render."""

from __future__ import annotations

import click

from mvc.cli.command import dry_run_flag, json_flag, quiet_flag, verb, yes_flag
from mvc.cli.porcelain import relative
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.text import printable_path
from mvc.errors import UsageError
from mvc.ops.clean import CleanOptions, clean, find_garbage, names


@verb
@click.argument("paths", nargs=-1)
@click.option("-d", "folders", is_flag=True, help="Folders that are not versioned, too.")
@click.option("-x", "ignored", is_flag=True, help="Ignored files too.")
@click.option("-X", "only_ignored", is_flag=True, help="Ignored files alone.")
@click.option("-f", "--force", is_flag=True, help="Do not ask (as --yes).")
@dry_run_flag
@yes_flag
@quiet_flag
@json_flag
def command(
    session: Session,
    paths: tuple[str, ...],
    folders: bool,
    ignored: bool,
    only_ignored: bool,
    force: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove files that are not versioned from the worktree. They cannot be brought back.

    What an outer Git project tracks, and repositories inside, are left alone.
    """
    if ignored and only_ignored:
        raise UsageError("-x and -X exclude each other")
    repo = session.repo()
    prefix = repo.locate(session.cwd)
    garbage = find_garbage(repo, paths, CleanOptions(folders, ignored, only_ignored), prefix=prefix)
    count = len(garbage.files) + len(garbage.folders)
    if count and not dry_run:
        question = f"remove {counted(count, 'entry', 'entries')}, {human_bytes(garbage.size)}, for good?"
        session.confirm(question, yes=yes or force)
        garbage = clean(repo, garbage, wait=session.lock_wait, progress=session.progress)
    if as_json:
        lists = {"files": garbage.files, "folders": garbage.folders, "size": garbage.size}
        session.emit_json("clean", {**lists, "dry_run": dry_run})
    elif not session.quiet or dry_run:
        word = "Would remove" if dry_run else "Removing"
        lines = [f"{word} {printable_path(relative(name, prefix))}\n" for name in names(garbage)]
        session.emit_text("".join(lines), end="")
        if dry_run and count:
            session.note(f"{counted(count, 'entry', 'entries')}, {human_bytes(garbage.size)}")
