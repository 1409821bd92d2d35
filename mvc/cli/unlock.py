"""`mvc unlock`: parse, call `mvc.ops.unlock`, render."""

from __future__ import annotations

import click

from mvc.cli.command import dry_run_flag, json_flag, verb, yes_flag
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_seconds
from mvc.cli.text import printable, printable_path
from mvc.errors import Locked
from mvc.ops.unlock import StandingLock, find_locks, unlock


@verb
@click.option("--force", is_flag=True, help="Break locks too whose holder may be alive (it asks first).")
@dry_run_flag
@yes_flag
@json_flag
def command(session: Session, force: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Break a lock that a dead process left.

    A lock whose process is known to be gone breaks by itself; this is for one that another machine
    left on a shared disk, or that real git left. Look first that no mvc is at work there.
    """
    locks = find_locks(session.repo())
    alive = [lock for lock in locks if not lock.stale]
    broken: tuple[StandingLock, ...] = ()
    if not dry_run:
        if alive and not force:
            raise Locked(
                f"{printable(alive[0].holder)} may still hold '{printable_path(alive[0].name)}'",
                hint="mvc unlock --force, if no mvc is at work there any more",
            )
        if alive:
            session.confirm(f"Break {counted(len(alive), 'lock')} whose holder may be alive?", yes=yes)
        broken = unlock(locks)
    if as_json:
        rows = [
            {
                "name": lock.name,
                "holder": lock.holder,
                "stale": lock.stale,
                "age_seconds": lock.age,
                "broken": lock in broken,
            }
            for lock in locks
        ]
        session.emit_json("unlock", {"locks": rows, "dry_run": dry_run})
        return
    for lock in locks if dry_run else broken:
        state = "its process is gone" if lock.stale else f"last seen {human_seconds(lock.age)} ago"
        what = "broke " if lock in broken else ""
        session.emit_text(f"{what}{printable_path(lock.name)}  {printable(lock.holder)}, {state}")
    if not locks:
        session.note("no lock stands")
