"""`mvc tag`: parse, call `mvc.ops.tag`, render."""

from __future__ import annotations

from pathlib import Path

import click

from mvc.cli.command import Attached, complete, json_flag, verb
from mvc.cli.names import short_id
from mvc.cli.ref_options import ref_filters
from mvc.cli.session import Session
from mvc.cli.text import printable, printable_path
from mvc.errors import UsageError
from mvc.metadata.arguments import collect_metrics, collect_params, collect_tags
from mvc.ops.annotate import Said, annotate_object
from mvc.ops.tag import Tag, TagFilter, create_tag, delete_tags, list_tags


@verb
@click.argument("names", nargs=-1, metavar="[NAME [REV]]", shell_complete=complete("tags"))
@click.option("-l", "--list", "listing", is_flag=True, help="List tags that match the patterns NAME.")
@click.option(
    "-n",
    "lines",
    cls=Attached,
    is_flag=False,
    flag_value=1,
    type=int,
    metavar="[LINES]",
    help="With the message's first LINES.",
)
@ref_filters("tags")
@click.option("-a", "--annotate", is_flag=True, help="Make an annotated tag: with author, date, message.")
@click.option("-m", "--message", multiple=True, help="Its message (more than once: a paragraph each); implies -a.")
@click.option("-F", "--file", type=click.Path(path_type=Path), help="Its message is in a file; implies -a.")
@click.option("-f", "--force", is_flag=True, help="Move a tag that is there.")
@click.option(
    "--metric",
    "metrics",
    metavar="NAME=NUMBER",
    multiple=True,
    help="A figure of it, as a note of the tag; implies -a.",
)
@click.option("--param", "params", metavar="NAME=VALUE", multiple=True, help="A parameter of it; implies -a.")
@click.option("--tag", "words", metavar="NAME=WORD", multiple=True, help="A word to find it by; implies -a.")
@click.option("-d", "--delete", is_flag=True, help="Delete tags.")
@json_flag
def command(
    session: Session,
    names: tuple[str, ...],
    listing: bool,
    lines: int | None,
    contains: str | None,
    points_at: str | None,
    sort: str,
    annotate: bool,
    message: tuple[str, ...],
    file: Path | None,
    force: bool,
    metrics: tuple[str, ...],
    params: tuple[str, ...],
    words: tuple[str, ...],
    delete: bool,
    as_json: bool,
) -> None:
    """List, make or delete tags.

    Without NAME: lists them. With NAME: tags REV (HEAD, unless given); -a, -m or -F make an
    annotated tag, and anything else a light one.
    """
    repo = session.repo()
    if delete:
        gone = delete_tags(repo, names, session.caller(commits=False))
        if as_json:
            session.emit_json("tags", {"deleted": [{"name": name, "id": target} for name, target in gone]})
            return
        for name, target in gone:
            session.note(f"Deleted tag '{printable_path(name)}' (was {short_id(session, target)}).")
    elif not names or listing or contains or points_at or lines is not None:
        wanted = TagFilter(names, contains, points_at, sort)  # type: ignore[arg-type]  # click has checked it
        _show(session, list_tags(repo, wanted), lines or 0, as_json)
    else:
        if len(names) > 2:
            raise UsageError("too many names", hint="mvc tag NAME [REV]")
        target = names[1] if len(names) == 2 else "HEAD"
        said = Said(collect_params(params, ()), collect_metrics(metrics, ()), collect_tags(words))
        text = _message(session, names[0], message, file, annotate or bool(said))
        caller = session.caller(commits=text is not None)
        made = create_tag(repo, names[0], target, caller, message=text, force=force)
        if said:
            annotate_object(repo, made, said, caller=caller)
        if as_json:
            _show(session, list_tags(repo, TagFilter((names[0],))), 0, as_json)


def _message(session: Session, name: str, paragraphs: tuple[str, ...], file: Path | None, annotate: bool) -> str | None:
    """The message of an annotated tag, or None for a light one."""
    if paragraphs:
        return "\n\n".join(paragraphs)
    if file is not None:
        return (session.cwd / file).read_text(encoding="utf-8", errors="surrogateescape")
    if not annotate:
        return None
    text = session.edit(
        f"\n# Write a message for the tag {name}.\n# Lines that begin with '#' are left out.\n", name="TAG_EDITMSG"
    )
    if not text.strip():
        raise UsageError("no message, no tag")
    return text


def _show(session: Session, tags: tuple[Tag, ...], lines: int, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "name": tag.name,
                "id": tag.id,
                "target": tag.target,
                "kind": tag.kind,
                "annotated": tag.annotation is not None,
                "time": tag.time,
                "summary": tag.summary,
                "message": tag.annotation.message if tag.annotation else None,
            }
            for tag in tags
        ]
        session.emit_json("tags", {"tags": rows})
    else:
        session.emit_text("".join(_text(tag, lines) for tag in tags), end="")


def _text(tag: Tag, lines: int) -> str:
    name = printable_path(tag.name)
    if not lines:
        return name + "\n"
    body = tag.annotation.message.strip("\n").split("\n")[:lines] if tag.annotation else [tag.summary]
    first = f"{name:<15} {printable(body[0])}\n"
    return first + "".join(f"    {printable(line)}\n" for line in body[1:])
