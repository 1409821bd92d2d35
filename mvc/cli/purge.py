"""`mvc purge`: parse, call `mvc.ops.purge`, render."""

from __future__ import annotations

import click

from mvc.cli.command import complete, dry_run_flag, json_flag, quiet_flag, verb, yes_flag
from mvc.cli.outside import outside
from mvc.cli.revisions import split_versions
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.text import printable, printable_path
from mvc.errors import UsageError
from mvc.ops.purge import Purged, purge
from mvc.ops.remote import list_remotes

_SHOWN = 20
_LEFT = 1


@verb
@click.argument("arguments", nargs=-1, metavar="PATH|REV:PATH|REV...")
@click.option(
    "-r",
    "--remote",
    "remotes",
    metavar="NAME",
    multiple=True,
    shell_complete=complete("remotes"),
    help="Of the remotes only this one.",
)
@click.option("--local", is_flag=True, help="No remote.")
@dry_run_flag
@yes_flag
@json_flag
@quiet_flag
def command(
    session: Session,
    arguments: tuple[str, ...],
    remotes: tuple[str, ...],
    local: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int | None:
    """Take files out of all history, here and in the remotes.

    PATH goes wherever it stands; of REV:PATH that content, under whatever name; of a commit all that it brought. All
    branches, tags, stashes and reflogs are written anew without, and the bytes that only those files had are deleted.
    """
    if not arguments:
        raise UsageError("what is to be purged?", hint="mvc purge PATH, or REV:PATH")
    if local and remotes:
        raise UsageError("--local and --remote exclude each other")
    revisions, paths = split_versions(session, arguments)
    chosen = () if local else remotes or tuple(one.name for one in list_remotes(session.repo()))
    caller, beyond = session.caller(commits=False), outside(session)

    def run(dry: bool) -> Purged:
        return purge(session.reopened(), paths, revisions, remotes=chosen, dry_run=dry, outside=beyond, caller=caller)

    if dry_run or not yes:
        told = run(True)
        if not as_json:
            _tell(session, told)
        if dry_run:
            if as_json:
                session.emit_json("purge", _document(told, True))
            return None
        where = f", here and in {', '.join(chosen)}" if chosen else ""
        session.confirm(f"This cannot be undone{where}. Go on?", yes=yes)
    done = run(False)
    if as_json:
        session.emit_json("purge", _document(done, False))
    else:
        if yes:
            _tell(session, done)
        _tell_done(session, done)
    return _LEFT if done.left or done.shared_left or any(one.left or one.waiting for one in done.remotes) else None


def _tell(session: Session, told: Purged) -> None:
    for file in told.files:
        size = f"{human_bytes(file.stored):>9}  of {human_bytes(file.raw):>8}"
        session.emit_text(f"{size}  {printable_path(file.path)}  ({file.id[:10]})")
    for kept in told.elsewhere:
        path, other = printable_path(kept.path), printable_path(kept.other)
        session.warn(
            f"the content of {path} ({kept.id[:10]}) stays, for {other} has it too: "
            "mvc purge REV:PATH takes it under whatever name"
        )
    for ref in told.refs:
        session.emit_text(f"{ref.old[:10]} -> {ref.new[:10] if ref.new else 'deleted   '}  {printable_path(ref.ref)}")
    for number, (old, new) in enumerate(told.commits):
        if number == _SHOWN and not session.verbose:
            session.emit_text(f"... and {counted(len(told.commits) - _SHOWN, 'commit')} more (--json lists all)")
            break
        session.emit_text(f"{old[:10]} -> {new[:10] if new else 'left out'}")


def _tell_done(session: Session, done: Purged) -> None:
    session.note(f"rewrote {counted(len(done.commits), 'commit')}; {human_bytes(done.freed)} went here")
    for one in done.remotes:
        session.note(f"{printable(one.name)}: {human_bytes(one.deleted)} deleted")
        for ref in one.refs:
            if ref.status == "rejected":
                session.warn(f"{printable(one.name)}: {printable_path(ref.target)} was not moved: {ref.reason}")
        if one.refused:
            session.warn(
                f"{printable(one.name)}: the old bytes are there still: {printable(one.refused)}; on its own machine: "
                "mvc remote gc FOLDER --prune=now"
            )
        elif one.left or one.waiting:
            session.warn(
                f"{printable(one.name)}: some of it stays while others push; later: "
                f"mvc remote gc {printable(one.name)} --prune=now"
            )
    if done.left:
        session.warn(f"{counted(done.left, 'chunk')} stay here while another process is at work; repeat it later")
    if done.shared_freed:
        session.note(f"shared store: {human_bytes(done.shared_freed)} deleted")
    if done.shared_left:
        session.warn(
            f"{counted(done.shared_left, 'chunk')} stay in the shared store, in packs with chunks that no remote is "
            "known to hold; once those are pushed, repeat it"
        )
    for path in done.kept_files:
        session.note(f"left in the worktree, not versioned: {printable_path(path)}")
    if done.others:
        session.warn(
            f"not purged: {', '.join(printable(one) for one in done.others)}; a fetch brings it back from there"
        )
    if done.git_project and done.commits:
        session.warn(
            "mvc.lock in older Git commits names mvc commits that are gone; .mvc/purge/commit-map has the new ones"
        )
    session.note("Whoever cloned has it still: they clone anew. A push of theirs brings it back.")


def _document(done: Purged, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "files": [{"path": f.path, "id": f.id, "raw": f.raw, "stored": f.stored} for f in done.files],
        "elsewhere": [{"path": one.path, "id": one.id, "other": one.other} for one in done.elsewhere],
        "commits": [{"old": old, "new": new} for old, new in done.commits],
        "refs": [{"ref": one.ref, "old": one.old, "new": one.new} for one in done.refs],
        "remotes": [
            {
                "name": one.name,
                "url": one.url,
                "refs": [{"ref": ref.target, "old": ref.old, "new": ref.new, "status": ref.status} for ref in one.refs],
                "deleted": one.deleted,
                "left": one.left,
                "waiting": one.waiting,
                "refused": one.refused or None,
            }
            for one in done.remotes
        ],
        "freed": done.freed,
        "left": done.left,
        "shared": {"freed": done.shared_freed, "left": done.shared_left},
        "kept_files": list(done.kept_files),
        "not_purged": list(done.others),
    }
