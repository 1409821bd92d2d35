"""`mvc reflog`: parse, call `mvc.ops.reflog`, render."""

from __future__ import annotations

import time

import click

from mvc.cli.command import Count, complete, dry_run_flag, json_flag, noun
from mvc.cli.names import decorated, short_id
from mvc.cli.session import Session
from mvc.cli.sizes import counted
from mvc.cli.text import printable, printable_path
from mvc.errors import UsageError
from mvc.objects.dates import parse_date
from mvc.ops.names import decorations
from mvc.ops.reflog import Expiry, default_before, expire_reflogs, show_reflog


@noun(default="show")
def command(session: Session) -> None:
    """Where branches have been: how to find a commit that nothing names any more.

    HEAD@{2} is where HEAD was two moves ago; every verb takes such a name.
    """


@command.verb
@click.argument("ref", default="HEAD", shell_complete=complete("branches"))
@click.option("-n", "--max-count", cls=Count, type=int, metavar="N", help="At most N moves; -5 is -n 5.")
@json_flag
def show(session: Session, ref: str, max_count: int | None, as_json: bool) -> None:
    """The moves of REF, the newest first."""
    lines = show_reflog(session.repo(), ref, max_count=max_count)
    if as_json:
        rows = [
            {
                "selector": line.selector,
                "old": line.entry.old,
                "new": line.entry.new,
                "name": line.entry.who.name,
                "email": line.entry.who.email,
                "time": line.entry.who.time,
                "message": line.entry.message,
            }
            for line in lines
        ]
        session.emit_json("reflog", {"ref": ref, "entries": rows})
        return
    names = decorations(session.repo())
    with session.pager():
        for line in lines:
            new = line.entry.new
            shown = session.paint(short_id(session, new) if new else "0000000", "yellow")
            labels = decorated(session, names.get(new or "", ()))
            session.emit_text(f"{shown}{labels} {printable_path(line.selector)}: {printable(line.entry.message)}")


@command.verb
@click.argument("refs", nargs=-1, shell_complete=complete("branches"))
@click.option("--all", "every", is_flag=True, help="The logs of all refs.")
@click.option("--expire", metavar="DATE", help="Forget what is older: a date, or 'now'. [gc.reflogExpire: 90 days]")
@click.option("--expire-unreachable", metavar="DATE", help="Forget what is older and what the ref no longer has.")
@dry_run_flag
@json_flag
def expire(
    session: Session,
    refs: tuple[str, ...],
    every: bool,
    expire: str | None,
    expire_unreachable: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Forget old moves, so that `mvc gc` may take what only they still reach."""
    if not refs and not every:
        raise UsageError("of which ref?", hint="mvc reflog expire --all")
    now = int(time.time())
    before = default_before(session.repo(), now) if expire is None else _moment(expire, now)
    expiry = Expiry(before, None if expire_unreachable is None else _moment(expire_unreachable, now))
    caller = session.caller(commits=False)
    done = expire_reflogs(session.repo(), refs, expiry, caller, every=every, dry_run=dry_run)
    if as_json:
        session.emit_json("reflog-expire", {"refs": {one.ref: one.entries for one in done}, "dry_run": dry_run})
        return
    for one in done:
        if one.entries:
            what = "would forget" if dry_run else "forgot"
            session.note(f"{printable_path(one.ref)}: {what} {counted(one.entries, 'move')}")


def _moment(text: str, now: int) -> int:
    """A date; "now" and "all" mean everything up to this second, "never" nothing."""
    return now + 1 if text in ("now", "all") else parse_date(text, now)
