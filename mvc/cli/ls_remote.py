"""`mvc ls-remote`: parse, call `mvc.ops.ls_remote`, render."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import click

from mvc.cli.command import complete, json_flag, quiet_flag, verb
from mvc.cli.outside import outside
from mvc.cli.session import Session
from mvc.cli.text import printable, printable_path
from mvc.errors import NotARepository
from mvc.ops.ls_remote import ls_remote, nowhere
from mvc.repo.repository import Repository

_NOTHING = 2


@verb
@click.argument("remote", required=False, shell_complete=complete("remotes"))
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option("--heads", is_flag=True, help="Branches alone.")
@click.option("-t", "--tags", is_flag=True, help="Tags alone.")
@click.option("--refs", "bare_refs", is_flag=True, help="Without HEAD, and without what tags stand for.")
@click.option("--symref", is_flag=True, help="Tell which branch HEAD is on.")
@click.option("--exit-code", is_flag=True, help="Exit with 2 if there is no such ref.")
@json_flag
@quiet_flag
def command(
    session: Session,
    remote: str | None,
    patterns: tuple[str, ...],
    heads: bool,
    tags: bool,
    bare_refs: bool,
    symref: bool,
    exit_code: bool,
    as_json: bool,
) -> int | None:
    """The refs of a remote, as they are now.

    REMOTE is a name or a URL. Nothing is stored, and no history comes.
    """
    with _repo(session, remote) as repo:
        beyond = outside(session)
        found = ls_remote(repo, remote, patterns, heads=heads, tags=tags, bare_refs=bare_refs, outside=beyond)
    if as_json:
        refs = [{"name": name, "id": target} for name, target in found.refs]
        session.emit_json("ls-remote", {"url": found.url, "head": found.head, "refs": refs})
    else:
        if remote is None:
            session.note(f"From {printable(found.url)}")
        rows = [f"{target}\t{printable_path(name)}\n" for name, target in found.refs]
        if symref and found.head and found.refs and found.refs[0][0] == "HEAD":
            rows.insert(0, f"ref: {printable_path(found.head)}\tHEAD\n")
        session.emit_text("".join(rows), end="")
    return _NOTHING if exit_code and not found.refs else None


def _repo(session: Session, remote: str | None) -> AbstractContextManager[Repository]:
    """The repository; outside of any a URL can be asked, too."""
    try:
        return nullcontext(session.repo())
    except NotARepository:
        if remote is None:
            raise
        return nowhere(session.global_configs)
