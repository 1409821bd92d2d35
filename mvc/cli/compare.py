"""`mvc compare`: parse, call `mvc.ops.compare`, render."""

from __future__ import annotations

from pathlib import Path

import click

from mvc.cli.command import json_flag, verb
from mvc.cli.compare_text import document, markdown_lines, table_lines
from mvc.cli.output import write_text
from mvc.cli.session import Session
from mvc.lazy import load
from mvc.metadata.project import NAME, ProjectFile, read_project
from mvc.ops.commits_named import Asking
from mvc.ops.compare import chosen, compare_commits, directions

_PAGE = "mvc.cli.compare_page:comparison_page"
"""Loaded for --html."""


@verb
@click.argument("revisions", nargs=-1, metavar="REV|A..B|QUERY...")
@click.option("--md", "form", flag_value="md", help="A Markdown table, as for a pull request.")
@click.option("--html", "form", flag_value="html", help="A page of HTML that needs nothing but itself.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
@click.option("-d", "--differing", is_flag=True, help="Only what differs.")
@click.option("--only", metavar="GLOB", multiple=True, help="Only these names, as in 'eval.*'.")
@click.option("--better", metavar="GLOB=min|max", multiple=True, help="Which way a metric is better.")
@click.option("--environment", is_flag=True, help="Compare packages and machines, too.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Of a query's commits.")
@json_flag
def command(
    session: Session,
    revisions: tuple[str, ...],
    form: str | None,
    output: Path | None,
    differing: bool,
    only: tuple[str, ...],
    better: tuple[str, ...],
    environment: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Params and metrics of several commits side by side.

    The first is what the others are held against: metrics show by how many percent they moved, the best is bold and
    starred, and ≠ marks what differs. A query ('metrics.acc > 0.9') stands for the commits that it finds, A..B for
    those of a range, a run for its last checkpoint. Without any, HEAD is held against its parent.
    """
    repo = session.repo()
    project = read_project(repo.worktree / NAME) if repo.worktree else ProjectFile()
    found = compare_commits(
        repo,
        revisions or ("HEAD~1", "HEAD"),
        better=directions(project, better),
        environment=environment,
        asking=Asking(session.home, limit, session.progress),
    )
    found = chosen(found, only=only, differing=differing)
    if as_json:
        session.emit_json("compare", document(found))
        return
    if form == "html":
        text: str = load(_PAGE)(found)
    else:
        text = "\n".join(markdown_lines(found) if form == "md" else table_lines(session, found)) + "\n"
    write_text(session, output, text)
