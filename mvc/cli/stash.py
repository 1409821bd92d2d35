"""`mvc stash`: parse, call `mvc.ops.stash`, render."""

from __future__ import annotations

import click

from mvc.cli.command import json_flag, noun, quiet_flag, yes_flag
from mvc.cli.conflict_text import conflict_json, conflict_lines
from mvc.cli.diff_text import diff_document, diff_lines
from mvc.cli.files_text import file_json, file_lines
from mvc.cli.session import Session
from mvc.cli.sizes import counted
from mvc.cli.text import printable, printable_path
from mvc.lazy import load
from mvc.ops import stash
from mvc.ops.diff import Diff
from mvc.ops.file_diff import diff_trees

_TEXTS = "mvc.ops.text_diff:text_diffs"
"""Loaded where lines are shown."""


@noun(default="push")
def command(session: Session) -> None:
    """Put changes aside, and take them back.

    `mvc stash` alone is `mvc stash push`.
    """


@command.verb
@click.argument("paths", nargs=-1)
@click.option("-m", "--message", metavar="TEXT", help="What it is.")
@click.option("-u", "--include-untracked", "untracked", is_flag=True, help="Files that are not versioned, too.")
@click.option("-k", "--keep-index", "keep_stage", is_flag=True, help="What is staged stays in the worktree, too.")
@quiet_flag
def push(session: Session, paths: tuple[str, ...], message: str | None, untracked: bool, keep_stage: bool) -> None:
    """Put changes (of PATHS, or all) aside: stage and worktree are HEAD's again."""
    repo = session.repo()
    options = stash.PushOptions(message, untracked, keep_stage)
    done = stash.push(repo, options, paths, prefix=repo.locate(session.cwd), caller=session.caller())
    if done.commit is None:
        session.note("No local changes to save")
    else:
        session.note(f"Saved {counted(len(done.paths), 'file')} as {printable(done.message)}")


@command.verb
@click.argument("stash_name", required=False, metavar="[STASH]")
@click.option("--index", "with_stage", is_flag=True, help="Stage again what was staged.")
@json_flag
@quiet_flag
def pop(session: Session, stash_name: str | None, with_stage: bool, as_json: bool) -> int | None:
    """Bring a stash back, and forget it unless there are conflicts."""
    return _apply(session, stash_name, with_stage, drop_after=True, as_json=as_json)


@command.verb
@click.argument("stash_name", required=False, metavar="[STASH]")
@click.option("--index", "with_stage", is_flag=True, help="Stage again what was staged.")
@json_flag
@quiet_flag
def apply(session: Session, stash_name: str | None, with_stage: bool, as_json: bool) -> int | None:
    """Bring a stash back, and keep it."""
    return _apply(session, stash_name, with_stage, drop_after=False, as_json=as_json)


@command.verb
@json_flag
def list_(session: Session, as_json: bool) -> None:
    """All stashes, the newest first."""
    every = stash.entries(session.repo())
    if as_json:
        rows = [{"name": e.name, "commit": e.commit, "message": e.message, "time": e.time} for e in every]
        session.emit_json("stash", {"stashes": rows})
    else:
        session.emit_text("".join(f"{entry.name}: {printable(entry.message)}\n" for entry in every), end="")


@command.verb
@click.argument("stash_name", required=False, metavar="[STASH]")
@click.option(
    "-p", "--patch", is_flag=True, help="What changed in them, as mvc diff tells: tensors, and lines of texts."
)
@json_flag
def show(session: Session, stash_name: str | None, patch: bool, as_json: bool) -> None:
    """The files that a stash holds."""
    repo = session.repo()
    shown = stash.show(repo, stash_name)
    files = [*diff_trees(repo, shown.before, shown.after)]
    if shown.untracked is not None:
        files += diff_trees(repo, None, shown.untracked)
    if patch:
        found = Diff(f"{shown.entry.name}^", shown.entry.name, tuple(files))
        texts: dict[str, tuple[str, ...]] = load(_TEXTS)(repo, files)
        document, lines = diff_document(found, {}, texts)["files"], diff_lines(session, found, {}, texts)
    else:
        document, lines = [file_json(one) for one in files], file_lines(session, files)
    if as_json:
        session.emit_json("stash", {"name": shown.entry.name, "files": document})
    else:
        with session.pager():
            session.emit_text("\n".join(lines))


@command.verb
@click.argument("stash_name", required=False, metavar="[STASH]")
@quiet_flag
def drop(session: Session, stash_name: str | None) -> None:
    """Forget a stash."""
    entry = stash.drop(session.repo(), stash_name, caller=session.caller(commits=False))
    session.note(f"Dropped {entry.name} ({entry.commit})")


@command.verb
@yes_flag
def clear(session: Session, yes: bool) -> None:
    """Forget all stashes."""
    every = stash.entries(session.repo())
    if every:
        session.confirm(f"Forget {counted(len(every), 'stash', 'stashes')}?", yes=yes)
        stash.clear(session.repo(), caller=session.caller(commits=False))


def _apply(session: Session, name: str | None, with_stage: bool, *, drop_after: bool, as_json: bool) -> int | None:
    caller = session.caller(commits=False)
    done = stash.apply(session.repo(), name, with_stage=with_stage, drop_after=drop_after, caller=caller)
    if as_json:
        conflicts = [conflict_json(one) for one in done.conflicts]
        document = {"restored": list(done.restored), "conflicts": conflicts, "dropped": done.dropped}
        session.emit_json("stash", {"name": done.entry.name, **document})
    else:
        lines = [] if session.quiet else [f"M\t{printable_path(path)}" for path in done.restored]
        lines += conflict_lines(session, done.conflicts, "the stash")
        session.emit_text("".join(line + "\n" for line in lines), end="")
    if done.dropped:
        session.note(f"Dropped {done.entry.name} ({done.entry.commit})")
    elif done.conflicts:
        session.tell("The stash is kept, in case you need it again.")
    return 1 if done.conflicts else None
