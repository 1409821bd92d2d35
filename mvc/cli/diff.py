"""`mvc diff`: parse, call `mvc.ops.diff`, render."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from mvc.cli.changed_text import changed_lines
from mvc.cli.command import json_flag, verb
from mvc.cli.diff_text import diff_document, diff_lines, diff_markdown
from mvc.cli.files_text import file_lines
from mvc.cli.revisions import split_arguments
from mvc.cli.session import Session
from mvc.lazy import load
from mvc.ops.diff import Diff, DiffOptions, diff

_DELTAS = "mvc.ops.diff_tensors:file_deltas"
"""Loaded for --tensors alone, as it takes numpy."""
_TEXTS = "mvc.ops.text_diff:text_diffs"
"""Loaded where lines are shown."""


@verb
@click.argument("arguments", nargs=-1, metavar="[REVISION [REVISION]] [--] [PATH]...")
@click.option("--staged", "--cached", is_flag=True, help="What is staged, against HEAD (or REVISION).")
@click.option("--tensors", "values", is_flag=True, help="Read the changed tensors, and say how far they moved.")
@click.option("--stat", is_flag=True, help="A line a file, with sizes.")
@click.option("--name-only", is_flag=True, help="The paths alone.")
@click.option("--name-status", is_flag=True, help="The paths, each with a letter: A D M R T U.")
@click.option("--no-renames", is_flag=True, help="A file that was moved is one removed and one added.")
@click.option("--md", "markdown", is_flag=True, help="Print Markdown, for a pull request.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if something differs.")
@click.option("--quiet", is_flag=True, help="The same, and print nothing.")
@json_flag
def command(
    session: Session,
    arguments: tuple[str, ...],
    staged: bool,
    values: bool,
    stat: bool,
    name_only: bool,
    name_status: bool,
    no_renames: bool,
    markdown: bool,
    exit_code: bool,
    quiet: bool,
    as_json: bool,
) -> int | None:
    """What changed, tensor by tensor.

    Without REVISION: the worktree against the stage. `A..B` and `A B` compare two commits, and their
    params and metrics too; `A...B` what B did since it left A. Which tensors of a model differ is known
    without reading weights. Of small text files the lines are shown.
    """
    revisions, paths = split_arguments(session, arguments)
    names = name_only or name_status
    options = DiffOptions(revisions, staged, renames=not no_renames, tensors=not (names or quiet))
    prefix = session.repo().locate(session.cwd) if paths else ""
    found = diff(session.repo(), options, paths, prefix=prefix, progress=session.progress)
    if quiet:
        return 1 if found else None
    deltas: dict[str, Any] = {}
    if values and not names:
        read: Callable[..., dict[str, Any]] = load(_DELTAS)
        deltas = read(session.repo(), found.files, session.progress)
    texts: dict[str, tuple[str, ...]] = {} if names or stat else load(_TEXTS)(session.repo(), found.files)
    if as_json:
        session.emit_json("diff", diff_document(found, deltas, texts))
    elif found:
        with session.pager():
            session.emit_text("\n".join(_text(session, found, deltas, texts, stat, name_only, name_status, markdown)))
    return 1 if exit_code and found else None


def _text(
    session: Session,
    found: Diff,
    deltas: dict[str, Any],
    texts: dict[str, tuple[str, ...]],
    stat: bool,
    name_only: bool,
    name_status: bool,
    markdown: bool,
) -> list[str]:
    if name_only:
        return changed_lines(session, found.files, "names")
    if name_status:
        return changed_lines(session, found.files, "letters")
    if markdown:
        return diff_markdown(found, deltas, texts)
    if stat:
        return file_lines(session, found.files)
    return diff_lines(session, found, deltas, texts)
