"""`mvc drop`: parse, call `mvc.ops.drop`, render."""

from __future__ import annotations

import click

from mvc.cli.command import dry_run_flag, json_flag, quiet_flag, verb, yes_flag
from mvc.cli.outside import outside, transfer_flags
from mvc.cli.revisions import split_versions
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.text import one_line, printable_path
from mvc.errors import Refused
from mvc.ops.drop import DropOptions, DroppedFile, DropResult, drop
from mvc.repo.pathspec import Pathspec


@verb
@click.argument("arguments", nargs=-1, required=True, metavar="REV|REV:PATH|PATH...")
@click.option(
    "--verify", is_flag=True, help="Read every byte at the remote first, and not only ask whether it is there."
)
@transfer_flags
@dry_run_flag
@yes_flag
@quiet_flag
@json_flag
def command(
    session: Session, arguments: tuple[str, ...], verify: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Free the bytes of versions that a remote holds; they come back when they are needed.

    The remotes are asked now. What none of them holds is refused, with the list, and nothing is freed. Files of the
    worktree are not touched.
    """
    revisions, paths = split_versions(session, arguments)
    pathspec = Pathspec.exact(paths) if paths else None

    def run(*, only_look: bool) -> DropResult:
        options = DropOptions(only_look, verify)
        repo, caller = session.repo(), session.caller(commits=False)
        done = drop(repo, revisions, pathspec, options, outside=outside(session), caller=caller)
        for error in done.silent:
            session.warn(f"not asked: {one_line(error.message)}")
        if done.refused:
            raise _refusal(session, done)
        return done

    if not dry_run and not yes:
        planned = run(only_look=True)
        if planned.chunks:
            _list(session, planned)
            session.confirm(f"Free {human_bytes(planned.freed)} here?", yes=False)
    done = run(only_look=dry_run)
    if as_json:
        session.emit_json("drop", _document(done, dry_run))
        return
    if dry_run or (yes and session.verbose):
        _list(session, done)
    session.note(_summary(done, dry_run))


def _list(session: Session, done: DropResult) -> None:
    for line in map(_line, done.files):
        session.emit_text(line)


def _line(file: DroppedFile) -> str:
    return f"{human_bytes(file.stored):>9}  of  {human_bytes(file.size)}  {printable_path(file.path)}"


def _refusal(session: Session, done: DropResult) -> Refused:
    for file in done.refused:
        session.note(_line(file))
    chunks = sum(file.chunks for file in done.refused)
    return Refused(
        f"no remote was seen to hold {counted(chunks, 'chunk')} of these", hint="mvc push, or mvc fetch first"
    )


def _summary(done: DropResult, dry_run: bool) -> str:
    text = f"{'would free' if dry_run else 'freed'} {human_bytes(done.freed)}: {counted(done.chunks, 'chunk')}"
    if done.in_use:
        text += f"; {human_bytes(done.in_use)} stay, as what is checked out needs them"
    if done.as_bases:
        text += f"; {human_bytes(done.as_bases)} stay, as other chunks rest on them"
    return text


def _document(done: DropResult, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "files": [
            {"path": file.path, "size": file.size, "chunks": file.chunks, "stored": file.stored} for file in done.files
        ],
        "chunks": done.chunks,
        "freed": done.freed,
        "kept_in_use": done.in_use,
        "kept_as_bases": done.as_bases,
    }
