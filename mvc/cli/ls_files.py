"""`mvc ls-files`: parse, call `mvc.ops.ls_files`, render."""

from __future__ import annotations

from typing import Any

import click

from mvc.cli.command import json_flag, verb
from mvc.cli.porcelain import relative
from mvc.cli.session import Session
from mvc.cli.text import printable_path
from mvc.ops.ls_files import ListedFile, Selection, ls_files


@verb
@click.argument("paths", nargs=-1)
@click.option("-c", "--cached", is_flag=True, help="Staged files (without other options, these).")
@click.option("-m", "--modified", is_flag=True, help="Staged files that changed since, or are gone.")
@click.option("-d", "--deleted", is_flag=True, help="Staged files that are gone.")
@click.option("-o", "--others", is_flag=True, help="Files that are not staged, without ignored ones.")
@click.option("-i", "--ignored", is_flag=True, help="With -o: only ignored ones.")
@click.option("--exclude-standard", is_flag=True, expose_value=False, help="By .mvcignore. (The default.)")
@click.option("-u", "--unmerged", is_flag=True, help="The versions of files in conflict.")
@click.option("-s", "--stage", "details", is_flag=True, help="With mode, object and number of the version.")
@click.option("-l", "--long", "sizes", is_flag=True, help="With the size in bytes.")
@click.option("-z", "zero", is_flag=True, help="Paths raw, each ended by NUL.")
@click.option("--full-name", is_flag=True, help="Paths from the top of the worktree.")
@click.option("--error-unmatch", is_flag=True, help="A path that means no file is an error.")
@json_flag
def command(
    session: Session,
    paths: tuple[str, ...],
    cached: bool,
    modified: bool,
    deleted: bool,
    others: bool,
    ignored: bool,
    unmerged: bool,
    details: bool,
    sizes: bool,
    zero: bool,
    full_name: bool,
    error_unmatch: bool,
    as_json: bool,
) -> None:
    """List the files of the stage, or of the worktree that are not in it."""
    repo = session.repo()
    prefix = repo.locate(session.cwd)
    selection = Selection(cached, modified, deleted, others or ignored, ignored, unmerged, error_unmatch)
    found = ls_files(repo, paths, selection, prefix=prefix, progress=session.progress)
    if as_json:
        session.emit_json("ls-files", {"files": [_json(file) for file in found]})
        return
    lines: list[str] = []
    for file in found:
        path = file.path if full_name else relative(file.path, prefix)
        columns = _columns(file, details or unmerged, sizes)
        lines.append(f"{columns}{path}\0" if zero else f"{columns}{printable_path(path)}\n")
    session.emit_text("".join(lines), end="")


def _columns(file: ListedFile, details: bool, sizes: bool) -> str:
    entry = file.entry
    if entry is None:
        return ""
    shown = f"{entry.mode:06o} {entry.id} {entry.conflict}\t" if details else ""
    return shown + (f"{entry.size:>13}\t" if sizes else "")


def _json(file: ListedFile) -> dict[str, Any]:
    entry = file.entry
    if entry is None:
        return {"path": file.path}
    blake3 = entry.blake3.hex() if entry.blake3 else None
    whole = {"path": file.path, "mode": f"{entry.mode:06o}", "object": entry.id, "version": entry.conflict}
    return {**whole, "size": entry.size, "blake3": blake3}
