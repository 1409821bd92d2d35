"""`mvc remote`: parse, call `mvc.ops.remote` and `mvc.ops.remote_show`, render."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mvc.cli.command import complete, dry_run_flag, json_flag, noun, quiet_flag, yes_flag
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.text import printable, printable_path
from mvc.lazy import load
from mvc.ops import remote

if TYPE_CHECKING:
    from mvc.ops.hanging import Hanging
    from mvc.ops.remote_show import Pruned, RemoteInfo

LATE = {
    "outside": "mvc.cli.outside:outside",
    "fetch": "mvc.ops.fetch:fetch",
    "tell_fetch": "mvc.cli.fetched_text:tell_fetch",
    "show": "mvc.ops.remote_show:show",
    "prune": "mvc.ops.remote_show:prune",
    "hanging": "mvc.ops.hanging:hanging",
    "json": "mvc.cli.remote_text:remote_json",
    "lines": "mvc.cli.remote_text:remote_lines",
    "gc": "mvc.cli.remote_care:gc",
    "fsck": "mvc.cli.remote_care:fsck",
}
"""What asks a remote: the other verbs start faster without."""

_NAMED = 3

_NAME = click.argument("name", shell_complete=complete("remotes"))
_ANY = click.argument("name", required=False, shell_complete=complete("remotes"))


@noun(default="list")
def command(session: Session) -> None:
    """The repositories elsewhere that are pushed to and fetched from.

    `mvc remote` alone lists them, `mvc remote -v` with their URLs.
    """


@command.verb
@click.option("-v", "--verbose", is_flag=True, help="With their URLs.")
@json_flag
def list_(session: Session, verbose: bool, as_json: bool) -> None:
    """All remotes, by name."""
    every = remote.list_remotes(session.repo())
    if as_json:
        rows = [{"name": one.name, "fetch": one.fetch, "push": one.push} for one in every]
        session.emit_json("remotes", {"remotes": rows})
        return
    for one in every:
        name = printable_path(one.name)
        if verbose or session.verbose:
            session.emit_text(f"{name}\t{printable(one.fetch)} (fetch)")
            session.emit_text(f"{name}\t{printable(one.push)} (push)")
        else:
            session.emit_text(name)


@command.verb
@click.argument("name")
@click.argument("url")
@click.option("-f", "--fetch", "fetching", is_flag=True, help="Fetch from it at once.")
@click.option("-t", "--track", "branches", metavar="BRANCH", multiple=True, help="Fetch this branch alone.")
@quiet_flag
def add(session: Session, name: str, url: str, fetching: bool, branches: tuple[str, ...]) -> None:
    """Name a remote.

    URL is a folder, or a place in an object store; docs/remotes has a page for each.
    """
    remote.add_remote(session.repo(), name, url, branches=branches)
    if fetching:
        repo = session.reopened()
        caller = session.caller(commits=False)
        found = load(LATE["fetch"])(repo, name, outside=load(LATE["outside"])(session), caller=caller)
        load(LATE["tell_fetch"])(session, found)


@command.verb
@click.argument("old", shell_complete=complete("remotes"))
@click.argument("new")
@quiet_flag
def rename(session: Session, old: str, new: str) -> None:
    """Give a remote another name: its settings, and its branches here."""
    for spec in remote.rename_remote(session.repo(), old, new, session.caller(commits=False)):
        session.warn(f"Not updating non-default fetch refspec {spec}: change it by hand, if need be")


@command.verb
@_NAME
@quiet_flag
def remove(session: Session, name: str) -> None:
    """Forget a remote, and its branches here. There, nothing is deleted."""
    repo = session.repo()
    url = remote.get_urls(repo, name).fetch
    lost: Hanging | None = load(LATE["hanging"])(repo, name)
    remote.remove_remote(repo, name, session.caller(commits=False))
    if lost is not None:
        which = ", ".join(lost.names[:_NAMED]) + (
            f" and {len(lost.names) - _NAMED} more" if lost.names[_NAMED:] else ""
        )
        what = f"{counted(lost.chunks, 'chunk')} ({human_bytes(lost.size)}) of {which}"
        bring = f"mvc remote add {name} {url}, then mvc fetch -I '*' {name} {lost.names[0]}"
        session.warn(f"{what} are not here, and no other remote is known to hold them; to have them: {bring}")


command.add_command(remove, "rm")


@command.verb
@_NAME
@click.option("--push", "pushing", is_flag=True, help="The URL that is pushed to.")
def get_url(session: Session, name: str, pushing: bool) -> None:
    """The URL of a remote."""
    urls = remote.get_urls(session.repo(), name)
    session.emit_text(printable(urls.push if pushing else urls.fetch))


@command.verb
@_NAME
@click.argument("url")
@click.option("--push", "pushing", is_flag=True, help="Only for pushing; it is fetched from where it was.")
def set_url(session: Session, name: str, url: str, pushing: bool) -> None:
    """Change the URL of a remote."""
    remote.set_url(session.repo(), name, url, push=pushing)


@command.verb
@_NAME
@click.option("-n", "offline", is_flag=True, help="Ask nothing of the remote.")
@json_flag
def show(session: Session, name: str, offline: bool, as_json: bool) -> None:
    """A remote as it is now: its branches, and which of yours follow it."""
    beyond = load(LATE["outside"])(session)
    info: RemoteInfo = load(LATE["show"])(session.repo(), name, ask=not offline, outside=beyond)
    if as_json:
        session.emit_json("remote", load(LATE["json"])(info))
    else:
        session.emit_text("\n".join(load(LATE["lines"])(info)))


@command.verb
@_NAME
@dry_run_flag
@quiet_flag
def prune(session: Session, name: str, dry_run: bool) -> None:
    """Delete remote-tracking branches whose branch there is gone."""
    caller = session.caller(commits=False)
    beyond = load(LATE["outside"])(session)
    done: Pruned = load(LATE["prune"])(session.repo(), name, dry_run=dry_run, outside=beyond, caller=caller)
    if done.names and not session.quiet:
        session.emit_text(f"Pruning {printable_path(name)}\nURL: {printable(done.url)}")
        for one in done.names:
            session.emit_text(f" * [{'would prune' if dry_run else 'pruned'}] {printable_path(one)}")


@command.verb
@_ANY
@click.option(
    "--prune", metavar="DATE", help="Delete what was listed last before DATE: 'now', '3d', '2 weeks ago'. Default: 14d."
)
@dry_run_flag
@yes_flag
@quiet_flag
@json_flag
def gc(session: Session, name: str | None, prune: str | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Free what no branch or tag of a remote needs.

    Others may push and fetch meanwhile. Small packs are put together. What is listed no more is deleted two weeks
    later, by --prune=now at once. --dry-run lists the versions of files that would go, with their bytes.
    """
    load(LATE["gc"])(session, name, prune, dry_run, yes, as_json)


@command.verb
@_ANY
@click.option("--connectivity-only", is_flag=True, help="Do not read the chunks: only that all is there.")
@click.option("--repair", is_flag=True, help="Bring back what is here, and list what is sound anew.")
@click.option("--drop-refs", is_flag=True, help="With --repair: delete there the refs that cannot be made whole.")
@yes_flag
@json_flag
@quiet_flag
def fsck(
    session: Session,
    name: str | None,
    connectivity_only: bool,
    repair: bool,
    drop_refs: bool,
    yes: bool,
    as_json: bool,
) -> int | None:
    """Check every byte of a remote.

    Reads its log, packs, chunks and Git objects. What is wrong is named with the files and commits that it touches;
    the exit code is 6 then. Nothing there is changed without --repair.
    """
    code: int | None = load(LATE["fsck"])(session, name, connectivity_only, repair, drop_refs, yes, as_json)
    return code
