"""`mvc gc`: parse, call `mvc.ops.gc` or `mvc.ops.repack`, render."""

from __future__ import annotations

from contextlib import ExitStack

import click

from mvc.cli.command import dry_run_flag, json_flag, quiet_flag, verb, yes_flag
from mvc.cli.outside import outside
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.text import printable_path
from mvc.errors import UsageError
from mvc.lazy import load
from mvc.ops.gc import GcResult, gc
from mvc.ops.repack import repack

ASKING = "mvc.ops.proving:asking"
"""Loaded where there is a shared store: then remotes are asked what they hold."""


@verb
@click.option("--prune", metavar="AGE", help="Take what is older than AGE: 'now', or days such as '3d'. Default: 14d.")
@click.option("--repack", "again", is_flag=True, help="Also encode chunks anew where that makes them smaller.")
@dry_run_flag
@yes_flag
@quiet_flag
@json_flag
def command(session: Session, prune: str | None, again: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Free what nothing needs any more.

    Kept is whatever a ref, reflog, stage, stash, worktree or unfinished operation needs, and what
    is younger than two weeks. --dry-run lists the versions of files that would go, with their bytes.
    """
    repo = session.repo()
    days = _days(prune)
    if days == 0 and not dry_run:
        session.confirm("What nothing needs is removed for good, however young. Go on?", yes=yes)
    saved = repack(repo, wait=session.lock_wait, progress=session.progress) if again and not dry_run else 0
    caller = session.caller(commits=False)
    with ExitStack() as stack:
        shared = bool(repo.settings.shared.path)
        held = stack.enter_context(load(ASKING)(repo, outside(session), session.progress)) if shared else None
        result = gc(repo, prune_after_days=days, dry_run=dry_run, held=held, caller=caller)
    if as_json:
        session.emit_json("gc", _document(result, dry_run, saved))
        return
    for file in result.files if dry_run or session.verbose else ():
        name = printable_path(file.path) if file.path else "(a file without a name)"
        session.emit_text(f"{human_bytes(file.stored):>9}  of {human_bytes(file.raw):>8}  {name}")
    if result.other_chunk_bytes and (dry_run or session.verbose):
        session.emit_text(f"{human_bytes(result.other_chunk_bytes):>9}  left by an add that was not finished")
    session.note(_summary(result, dry_run, saved))


def _days(age: str | None) -> float | None:
    if age is None:
        return None
    if age == "now":
        return 0.0
    try:
        return max(0.0, float(age.removesuffix("d")))
    except ValueError:
        raise UsageError(f"'{age}' is no age", hint="mvc gc --prune=now, or --prune=3d") from None


def _summary(result: GcResult, dry_run: bool, saved: int) -> str:
    verb_ = "would free" if dry_run else "freed"
    text = f"{verb_} {human_bytes(result.freed + result.object_bytes + saved)}: "
    text += f"{counted(result.chunks, 'chunk')}, {counted(result.objects, 'object')}"
    if saved:
        text += f"; encoding anew saved {human_bytes(saved)}"
    if result.moved:
        moves = "would move" if dry_run else "moved"
        text += f"; {moves} {counted(result.moved, 'chunk')} ({human_bytes(result.moved_bytes)}) to the shared store"
    if result.kept:
        text += f"; {counted(result.kept, 'chunk')} that no remote holds came home from the shared store"
    if result.kept_young:
        text += f"; {counted(result.kept_young, 'unneeded chunk')} kept as too young (--prune=now takes them)"
    return text


def _document(result: GcResult, dry_run: bool, saved: int) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "files": [{"path": file.path, "raw": file.raw, "stored": file.stored} for file in result.files],
        "chunks": result.chunks,
        "chunk_bytes": result.chunk_bytes,
        "other_chunk_bytes": result.other_chunk_bytes,
        "objects": result.objects,
        "object_bytes": result.object_bytes,
        "freed": result.freed,
        "saved_by_repack": saved,
        "kept_young": result.kept_young,
        "moved": result.moved,
        "moved_bytes": result.moved_bytes,
        "kept": result.kept,
        "reflog_entries": result.reflog_entries,
    }
