"""`mvc log`: parse, call `mvc.ops.log`, render."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from mvc.cli.command import Count, json_flag, verb
from mvc.cli.commit_text import commit_json, header_lines, later_lines, message_lines, value_lines
from mvc.cli.names import decorated, short_id
from mvc.cli.revisions import split_arguments
from mvc.cli.session import Session
from mvc.cli.text import printable
from mvc.errors import UsageError
from mvc.lazy import load
from mvc.ops.log import MOST_AT_ONCE, LogEntry, LogOptions, batches, log
from mvc.ops.names import Decoration, decorations

if TYPE_CHECKING:
    from mvc.cli.graph import Graph
    from mvc.cli.pretty import Pretty
    from mvc.ops.file_versions import FileDiff

    _Files = Callable[[LogEntry], Sequence[FileDiff]]

LATER = {
    "graph": "mvc.cli.graph:Graph",
    "date": "mvc.objects.dates:parse_date",
    "pathspec": "mvc.repo.pathspec:Pathspec",
    "diff": "mvc.ops.file_diff:diff_trees",
    "files": "mvc.cli.changed_text:changed_lines",
    "pretty": "mvc.cli.pretty:Pretty",
    "files_json": "mvc.cli.files_text:file_json",
}
"""Loaded when asked for: the first screen of a log must not wait."""


@verb
@click.argument("arguments", nargs=-1, metavar="[REVISION|A..B]... [--] [PATH]...")
@click.option(
    "-n", "--max-count", cls=Count, type=click.IntRange(min=0), metavar="N", help="At most N commits; -5 is -n 5."
)
@click.option("--skip", type=click.IntRange(min=0), default=0, metavar="N", help="Leave out the first N.")
@click.option("--oneline", is_flag=True, help="A line a commit.")
@click.option(
    "--format",
    "--pretty",
    "form",
    metavar="FORMAT",
    help="In words of one's own, with Git's placeholders: '%h %an %s'; or oneline, short, medium, reference.",
)
@click.option("--decorate/--no-decorate", default=True, help="With names of branches and tags, or without.")
@click.option("--stat", "how", flag_value="stat", help="With the files that each changed, and sizes.")
@click.option("--name-only", "how", flag_value="names", help="With the paths of those files.")
@click.option("--name-status", "how", flag_value="letters", help="With these, each with a letter: A D M R T.")
@click.option("-p", "--patch", "how", flag_value="patch", help="With what changed in them, as mvc diff tells it.")
@click.option("--graph", is_flag=True, help="Draw the branches beside it.")
@click.option("--all", "every", is_flag=True, help="From all branches and tags, not HEAD alone.")
@click.option("--since", "--after", metavar="DATE", help='Commits from then on: 2026-01-31, yesterday, "2 weeks ago".')
@click.option("--until", "--before", metavar="DATE", help="Commits up to then.")
@click.option("--author", metavar="REGEX", help="Commits whose author's name or address fits.")
@click.option("--grep", metavar="REGEX", help="Commits whose message fits.")
@click.option("--tensor", "tensors", metavar="GLOB", multiple=True, help="Commits that change such a tensor.")
@click.option("--merges/--no-merges", default=None, help="Merges alone, or none of them.")
@click.option("--first-parent", is_flag=True, help="Follow the first parent of merges alone.")
@click.option("--reverse", is_flag=True, help="The oldest first.")
@json_flag
def command(
    session: Session,
    arguments: tuple[str, ...],
    max_count: int | None,
    skip: int,
    oneline: bool,
    form: str | None,
    decorate: bool,
    how: str | None,
    graph: bool,
    every: bool,
    since: str | None,
    until: str | None,
    author: str | None,
    grep: str | None,
    tensors: tuple[str, ...],
    merges: bool | None,
    first_parent: bool,
    reverse: bool,
    as_json: bool,
) -> None:
    """The history, with params and metrics.

    \b
    mvc log --oneline --graph --all
    mvc log v1..main -- adapters/
    mvc log --tensor 'encoder.layer.3.*' --since "2 weeks ago"
    """
    if graph and reverse:
        raise UsageError("--graph and --reverse do not go together")
    pretty = load(LATER["pretty"])(form) if form not in (None, "medium") else None
    if pretty is not None and as_json:
        raise UsageError("--format and --json do not go together")
    revisions, paths = split_arguments(session, arguments)
    options = LogOptions(
        revisions=revisions,
        paths=paths,
        prefix=session.repo().locate(session.cwd) if paths else "",
        tensors=tensors,
        since=_date(since),
        until=_date(until),
        author=author,
        grep=grep,
        max_count=max_count,
        skip=skip,
        every_ref=every,
        first_parent=first_parent,
        merges=merges,
        graph=graph,
        reverse=reverse,
        metadata=as_json or not (oneline or pretty),
        all_metadata=as_json,
    )
    entries = log(session.repo(), options)
    names = decorations(session.repo()) if decorate and (pretty is None or pretty.decorates) else {}
    files = _changed_files(session, options) if how else None
    if as_json:
        session.emit_json("log", {"commits": [_document(one, names, files) for one in entries]})
        return
    drawing = load(LATER["graph"])() if graph else None
    with session.pager():
        look = _Look(oneline, pretty, files, how or "stat", drawing)
        for text in _text(session, entries, names, look):
            session.emit_text(text, end="\n" if pretty is None or pretty.ends else "")


def _changed_files(session: Session, options: LogOptions) -> _Files:
    """What tells the files in which a commit differs from its parent; of a merge, as with Git, only where the first
    parents are followed."""
    repo = session.repo()
    pathspec = load(LATER["pathspec"]).parse(options.paths, options.prefix, repo.locate)

    def files(entry: LogEntry) -> Sequence[FileDiff]:
        parents = entry.commit.parents
        if len(parents) > 1 and not options.first_parent:
            return ()
        before = repo.objects.commit(parents[0]).tree if parents else None
        found: Sequence[FileDiff] = load(LATER["diff"])(repo, before, entry.commit.tree, pathspec)
        return found

    return files


def _document(entry: LogEntry, names: dict[str, list[Decoration]], files: _Files | None) -> dict[str, Any]:
    document = commit_json(entry.commit, names.get(entry.commit.id, ()), entry.metadata)
    if files is not None:
        document["files"] = [load(LATER["files_json"])(one) for one in files(entry)]
    return document


def _date(text: str | None) -> int | None:
    return None if text is None else int(load(LATER["date"])(text))


@dataclass(frozen=True, slots=True)
class _Look:
    """What a commit is to look like."""

    oneline: bool
    pretty: Pretty | None
    files: _Files | None
    how: str
    """The files that it changed: "stat", "names", "letters", "patch"."""
    graph: Graph | None

    def lines(self, session: Session, entry: LogEntry, names: list[Decoration]) -> list[str]:
        if self.pretty is not None:
            return [] if self.pretty.says_nothing else self.pretty(session, entry.commit, names).split("\n")
        return [_oneline(session, entry, names)] if self.oneline else _medium(session, entry, names)

    def between(self, rest: str) -> str | None:
        """What stands between this commit and the next."""
        if self.pretty is not None:
            return None if self.pretty.ends else "\n"
        return None if self.oneline else rest


def _text(
    session: Session,
    entries: Iterator[LogEntry],
    names: dict[str, list[Decoration]],
    look: _Look,
) -> Iterator[str]:
    between: str | None = None  # what stands between this commit and the one before
    alone = look.files is None and look.graph is None and look.pretty is None
    # The files of a commit may take a while to find.
    for batch in batches(entries, most=MOST_AT_ONCE if look.files is None else 1):
        # One after another, and not each as it is written out: the processor keeps at hand what it just did.
        every = [look.lines(session, entry, names.get(entry.commit.id, [])) for entry in batch]
        if alone:
            if between is not None:
                yield between
            yield ("\n" if look.oneline else "\n\n").join(["\n".join(lines) for lines in every])
            between = look.between("")
            continue
        for entry, lines in zip(batch, every, strict=True):
            whole, rest = _whole(session, entry, lines, look)
            if not whole and look.graph is None:
                continue  # an empty format: the files alone
            if between is not None:
                yield between
            between = look.between(rest)
            yield "\n".join(whole)


def _whole(session: Session, entry: LogEntry, lines: list[str], look: _Look) -> tuple[list[str], str]:
    """A commit's lines with its files, beside the graph; and the graph alone as it goes on below."""
    if look.files is not None and (changed := look.files(entry)):
        told = load(LATER["files"])(session, changed, look.how)
        lines = look.pretty.with_files(lines, told) if look.pretty else [*lines, *([] if look.oneline else [""]), *told]
    return (lines, "") if look.graph is None else _beside(look.graph, entry, lines)


def _oneline(session: Session, entry: LogEntry, names: list[Decoration]) -> str:
    shown = session.paint(short_id(session, entry.commit.id), "yellow")
    return f"{shown}{decorated(session, names)} {printable(entry.commit.summary)}"


def _medium(session: Session, entry: LogEntry, names: list[Decoration]) -> list[str]:
    commit = entry.commit
    parents = {one: short_id(session, one) for one in commit.parents} if len(commit.parents) > 1 else {}
    lines = [*header_lines(session, commit, names, parents), "", *message_lines(commit)]
    values = value_lines(session, entry.metadata)
    if entry.added:
        values += later_lines(session, entry.added)
    if entry.problem:
        values.append(f"    {session.paint('metadata cannot be read:', 'red')} {printable(entry.problem)}")
    return [*lines, "", *values] if values else lines


def _beside(graph: Graph, entry: LogEntry, lines: list[str]) -> tuple[list[str], str]:
    """The lines with the graph before them, and the graph alone as it goes on below."""
    rows = graph.add(entry.commit.id, entry.parents)
    width = max(map(len, (rows.node, *rows.moves[: len(lines) - 1], rows.rest)))
    drawn = []
    for index, line in enumerate(lines):
        before = rows.node if index == 0 else next(iter(rows.moves[index - 1 : index]), rows.rest)
        drawn.append(f"{before:<{width}} {line}".rstrip())
    return [*drawn, *rows.moves[len(lines) - 1 :]], rows.rest
