"""`mvc whereis`: parse, call `mvc.ops.whereis`, render."""

from __future__ import annotations

import click

from mvc.cli.command import json_flag, quiet_flag, verb
from mvc.cli.outside import outside
from mvc.cli.revisions import split_versions
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.text import one_line, printable, printable_path
from mvc.ops.whereis import Whereabouts, WhereisResult, whereis
from mvc.repo.pathspec import Pathspec


@verb
@click.argument("arguments", nargs=-1, metavar="[REV|REV:PATH|PATH]...")
@click.option("--cached", is_flag=True, help="Ask nobody; tell what was last seen of the remotes.")
@json_flag
@quiet_flag
def command(session: Session, arguments: tuple[str, ...], cached: bool, as_json: bool) -> int | None:
    """Where the bytes of a version are: here, and at which remotes.

    Without an argument, those of HEAD. A place that holds a part of a file is shown with how many of its chunks it has.
    Exits with 1 if a chunk is in none of them.
    """
    revisions, paths = split_versions(session, arguments)
    found = whereis(
        session.repo(),
        revisions or (() if paths else ("HEAD",)),
        Pathspec.exact(paths) if paths else None,
        ask=not cached,
        outside=outside(session),
        progress=session.progress,
    )
    for error in found.silent:
        session.warn(f"told as last seen: {one_line(error.message)}")
    if as_json:
        session.emit_json("whereis", _document(found))
    else:
        wide = max((len(printable_path(file.path)) for file in found.files), default=0)
        for file in found.files:
            session.emit_text(f"{printable_path(file.path):<{wide}}  {human_bytes(file.size):>8}  {_places(file)}")
    return 1 if any(file.nowhere for file in found.files) else None


def _places(file: Whereabouts) -> str:
    shown = [
        printable(place) if count == file.chunks else f"{printable(place)} ({count:,} of {file.chunks:,})"
        for place, count in file.places.items()
        if count
    ]
    if file.nowhere:
        shown.append(f"{counted(file.nowhere, 'chunk')} nowhere")
    return ", ".join(shown)


def _document(found: WhereisResult) -> dict[str, object]:
    return {
        "places": list(found.places),
        "files": [
            {
                "path": file.path,
                "size": file.size,
                "chunks": file.chunks,
                "places": dict(file.places),
                "nowhere": file.nowhere,
            }
            for file in found.files
        ],
    }
