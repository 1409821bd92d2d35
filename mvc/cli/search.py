"""`mvc search`: parse, call `mvc.catalogue.search`, render."""

from __future__ import annotations

import click

from mvc.catalogue.parser import UnknownField
from mvc.catalogue.search import SearchOptions, explained_field, known_fields, search, split_list
from mvc.cli.command import json_flag, verb
from mvc.cli.search_text import columns_of, row_json, table_lines
from mvc.cli.session import Session
from mvc.errors import UsageError
from mvc.lazy import load

_CSV = "mvc.cli.search_csv:csv_text"
_SCREEN = 50
"""So many commits are shown to a person who does not say how many."""


@verb
@click.argument("query", nargs=-1, metavar="[QUERY]...")
@click.option("--sort", "sorts", metavar="FIELD[:desc],...", multiple=True, help="In this order; missing values last.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=0), metavar="N", help=f"At most N commits; in a table {_SCREEN}."
)
@click.option("--all", "every", is_flag=True, help="All that are found, in a table too.")
@click.option("--branch", "branches", metavar="GLOB", multiple=True, help="Only commits that such a branch holds.")
@click.option(
    "--columns", metavar="FIELD,...", multiple=True, help="What to show of each: id,date,metrics.*,params.lr."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a header.")
@click.option("--ids", is_flag=True, help="Print the ids alone, a line each.")
@click.option("--fields", "list_fields", is_flag=True, help="List the names that commits have, and search nothing.")
@json_flag
def command(
    session: Session,
    query: tuple[str, ...],
    sorts: tuple[str, ...],
    limit: int | None,
    every: bool,
    branches: tuple[str, ...],
    columns: tuple[str, ...],
    as_csv: bool,
    ids: bool,
    list_fields: bool,
    as_json: bool,
) -> None:
    """Find commits by params, metrics, tags, words, over all branches, runs and remotes.

    \b
    mvc search "metrics.acc > 0.92 and params.lr < 1e-4 and tags.task = 'ner'"
    mvc search "name ~ 'bert*' or message ~ 'warmup'" --sort metrics.acc:desc
    mvc search 训练 "date >= 2026-01 and not branch = main" --columns id,metrics.*

    Fields: params.NAME, metrics.NAME, tags.NAME, environment.NAME, links.NAME; name, branch, tag, alias, run, id,
    author, date, subject, message, text, card, path, size, parents, dataset, base. --fields lists the names that there
    are.
    """
    if as_csv + ids + as_json > 1 or (every and limit is not None):
        raise UsageError("one of --json, --csv and --ids, and one of --all and --limit")
    if list_fields:
        names = [str(field) for field in known_fields(session.repo(), home=session.home, progress=session.progress)]
        if as_json:
            session.emit_json("search", {"fields": names})
        else:
            session.emit_text("\n".join(names), end="\n" if names else "")
        return
    text = " ".join(query)
    for_people = not (as_csv or ids or as_json)
    options = SearchOptions(
        sort=tuple(one for given in sorts for one in split_list(given)),
        limit=limit if limit is not None or every or not for_people else _SCREEN,
        branches=branches,
    )
    wanted = [one for given in columns for one in split_list(given)]
    try:
        shown = columns_of(wanted)
    except UnknownField as error:
        raise explained_field(session.repo(), error, home=session.home, progress=session.progress) from None
    found = search(session.repo(), text, options, home=session.home, progress=session.progress)
    session.settle()
    for note in found.notes:
        session.note(note)
    if ids:
        session.emit_text("\n".join(row.id for row in found.rows), end="\n" if found.rows else "")
    elif as_json:
        commits = [row_json(row, shown) for row in found.rows]
        session.emit_json("search", {"query": text, "commits": commits, "more": found.more})
    elif as_csv:
        session.emit_text(load(_CSV)(found, shown), end="")
    elif not found.rows and not found.more:
        session.note(f"nothing found among {found.total:,} commits" if found.total else "there are no commits yet")
    else:
        with session.pager():
            for line in table_lines(session, found, shown) if found.rows else ():
                session.emit_text(line)
        if found.more:
            these = f"these {len(found.rows)}" if found.rows else "none"
            session.note(f"there are more than {these}: --limit N, --all")
