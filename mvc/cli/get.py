"""`mvc get`: parse, call `mvc.ops.get`, render."""

from __future__ import annotations

import click

from mvc.cli.command import complete, json_flag, quiet_flag, verb
from mvc.cli.outside import outside, transfer_flags
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.text import printable, printable_path
from mvc.errors import UsageError
from mvc.ops.address import parse_address
from mvc.ops.get import GetOptions, Got, get
from mvc.ops.view import open_view

_SHOWN = {"written": "+", "linked": "=", "removed": "-"}


@verb
@click.argument("address", metavar="URL@REV[:PATH]", shell_complete=complete("files"))
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    shell_complete=complete("files"),
    help="The folder that is to hold the version.",
)
@click.option("--atomic", is_flag=True, help="Prepare it beside, then turn DIR, a link, to it in one step.")
@click.option(
    "--keep", metavar="N", type=click.IntRange(min=0), help="With --atomic: so many older versions stay there. [1]"
)
@click.option("--include", metavar="PATHSPEC", multiple=True, help="These files alone. May be repeated.")
@click.option("--exclude", metavar="PATHSPEC", multiple=True, help="All files but these. May be repeated.")
@click.option("-f", "--force", is_flag=True, help="Replace files in the way that did not come by mvc get.")
@click.option("--verify", is_flag=True, help="Read again what stands; else a file whose stat did not change is right.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything changed.")
@transfer_flags
@json_flag
@quiet_flag
def command(
    session: Session,
    address: str,
    output: str,
    atomic: bool,
    keep: int | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    force: bool,
    verify: bool,
    exit_code: bool,
    as_json: bool,
) -> int | None:
    """Bring one version of a model into a folder: no clone, no store.

    URL is a remote, or a repository on this disk; REV a branch, a tag, an id, also main~2 (default: HEAD). With :PATH
    a file or folder of it alone. Repeated, it rewrites what differs and goes on where it was cut.
    """
    if keep is not None and not atomic:
        raise UsageError("--keep goes with --atomic")
    wanted = parse_address(address, session.cwd)
    options = GetOptions(
        atomic=atomic,
        keep=1 if keep is None else keep,
        include=include,
        exclude=exclude,
        jobs=session.jobs,
        force=force,
        verify=verify,
        wait=session.lock_wait,
    )
    place = session.cwd / output
    configs = session.global_configs
    beyond = outside(session)
    with open_view(wanted.url, beyond, session.home, global_configs=configs, progress=session.progress) as view:
        done = get(view, wanted, place, options, progress=session.progress)
    if as_json:
        session.emit_json("get", {**_document(done), "path": str(place)})
    else:
        _tell(session, done)
    return 1 if exit_code and done.changed else None


def _document(done: Got) -> dict[str, object]:
    return {
        "url": done.url,
        "commit": done.commit,
        "folder": str(done.folder),
        "changed": done.changed,
        "files": [{"path": one.path, "size": one.size, "status": one.status} for one in done.files],
        "bytes_moved": done.moved,
        "bytes_reused": done.reused,
        "bytes_of_model": done.size,
    }


def _tell(session: Session, done: Got) -> None:
    for one in done.files:
        if one.status in _SHOWN:
            session.note(f" {_SHOWN[one.status]} {printable_path(one.path)}  {human_bytes(one.size)}")
    what = f"{counted(sum(one.status != 'removed' for one in done.files), 'file')}, {human_bytes(done.size)}"
    state = "now" if done.changed else "already"
    session.note(
        f"{printable_path(str(done.folder))} is {state} at {done.commit[:12]} of {printable(done.url)}: {what}"
    )
    if done.changed:
        reused = f", {human_bytes(done.reused)} taken from files here" if done.reused else ""
        session.note(f"moved {human_bytes(done.moved)}{reused}")
