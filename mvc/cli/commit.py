"""`mvc commit`: parse, call `mvc.ops.commit`, render."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from mvc.cli.command import json_flag, quiet_flag, verb
from mvc.cli.commit_message import compose
from mvc.cli.metadata_options import gather, metadata_options
from mvc.cli.names import short_id
from mvc.cli.session import Session
from mvc.cli.sizes import counted, stored_line
from mvc.cli.text import printable
from mvc.errors import UsageError
from mvc.objects.model import Signature
from mvc.ops.caller import Caller
from mvc.ops.commit import CommitOptions, CommitResult, commit
from mvc.ops.gather import Given
from mvc.ops.messages import joined

_AUTHOR = re.compile(r"\s*([^<>]+?)\s*<([^<>]*)>\s*")


@verb
@click.argument("paths", nargs=-1)
@click.option("-m", "--message", "messages", metavar="TEXT", multiple=True, help="The message; several are paragraphs.")
@click.option("-F", "--file", "message_file", metavar="FILE", help="The message from a file; - is stdin.")
@click.option("-a", "--all", "stage_all", is_flag=True, help="Stage what changed in tracked files first.")
@click.option("--amend", is_flag=True, help="Replace the last commit.")
@click.option("--no-edit", is_flag=True, help="Take the message that is there (of --amend, of a merge) as it is.")
@click.option("-e", "--edit", is_flag=True, help="Edit the message of -m or -F, too.")
@click.option("--allow-empty", is_flag=True, help="Commit though no file changed.")
@click.option("--allow-empty-message", is_flag=True, help="Commit without a message.")
@click.option("--author", metavar='"NAME <EMAIL>"', help="Somebody else made it.")
@metadata_options
@click.option("--check-card", is_flag=True, help="Refuse a model card (README.md) with something wrong in it.")
@json_flag
@quiet_flag
def command(
    session: Session,
    paths: tuple[str, ...],
    messages: tuple[str, ...],
    message_file: str | None,
    stage_all: bool,
    amend: bool,
    no_edit: bool,
    edit: bool,
    allow_empty: bool,
    allow_empty_message: bool,
    author: str | None,
    given: Given,
    check_card: bool,
    as_json: bool,
) -> None:
    """Record what is staged, with params and metrics.

    With PATHS: these files as they are in the worktree, and nothing else; what else is staged stays so.
    Params, metrics, datasets, tags and the environment belong to this commit alone; mvc.yaml may say
    where they are kept. An editor opens where no message is given. It ends with what the changed
    files took to store.
    """
    caller = session.caller()
    options = CommitOptions(
        author=_author(author, caller) if author else None,
        metadata=gather(session, given, amend=amend),
        stage_all=stage_all,
        only=paths,
        prefix=session.repo().locate(session.cwd) if paths else "",
        amend=amend,
        allow_empty=allow_empty,
        allow_empty_message=allow_empty_message,
        check_card=check_card,
    )
    if messages and message_file is not None:
        raise UsageError("-m and -F do not go together")
    text = joined(messages) if messages else _read(session, message_file) if message_file is not None else None
    if edit or (text is None and not no_edit):
        text = compose(session, options, text)
    result = commit(session.repo(), text, options, caller=caller)
    for problem in result.problems:
        session.warn(problem)
    if as_json:
        session.emit_json("commit", _document(result))
    elif not session.quiet:
        session.emit_text("\n".join(_lines(session, result, amend)))


def _lines(session: Session, result: CommitResult, amend: bool) -> list[str]:
    root = "" if result.parents or amend else " (root-commit)"
    lines = [f"[{result.branch or 'detached HEAD'}{root} {short_id(session, result.id)}] {printable(result.summary)}"]
    groups = ((result.added, "added"), (result.changed, "changed"), (result.removed, "removed"))
    parts = [f"{len(paths):,} {word}" for paths, word in groups if paths]
    if parts:
        total = len(result.added) + len(result.changed) + len(result.removed)
        lines.append(f" {counted(total, 'file')}: {', '.join(parts)}")
    if result.raw_bytes:  # else it is empty, or only takes files away
        lines.append(stored_line(result.stored_bytes, result.raw_bytes))
    return lines


def _document(result: CommitResult) -> dict[str, object]:
    return {
        "id": result.id,
        "branch": result.branch,
        "parents": list(result.parents),
        "summary": result.summary,
        "added": list(result.added),
        "changed": list(result.changed),
        "removed": list(result.removed),
        "raw_bytes": result.raw_bytes,
        "stored_bytes": result.stored_bytes,
        "problems": list(result.problems),
    }


def _author(text: str, caller: Caller) -> Signature:
    found = _AUTHOR.fullmatch(text)
    if found is None:
        raise UsageError(f"--author takes 'Name <email>', not '{text}'")
    return Signature(found[1], found[2], caller.who.time, caller.who.offset_minutes)


def _read(session: Session, name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    return Path(session.cwd / name).read_text(encoding="utf-8", errors="surrogateescape")
