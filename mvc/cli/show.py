"""`mvc show`: parse, call `mvc.ops.show`, render."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from mvc.cli.annotation_text import annotation_json, annotation_lines, by, day
from mvc.cli.card_text import card_json, card_lines
from mvc.cli.changed_text import changed_lines
from mvc.cli.command import json_flag, verb
from mvc.cli.commit_text import commit_json, header_lines, message_lines, metadata_lines
from mvc.cli.dates import git_date, iso_date
from mvc.cli.files_text import file_json
from mvc.cli.model_text import model_json, model_lines
from mvc.cli.names import short_id
from mvc.cli.session import Session
from mvc.cli.sizes import human_bytes
from mvc.cli.text import printable, printable_path
from mvc.errors import UsageError
from mvc.lazy import load
from mvc.metadata.annotations import origins
from mvc.objects.model import is_tree
from mvc.ops.names import decorations
from mvc.ops.show import Shown, ShownBlob, ShownCommit, ShownModel, ShownTag, ShownTree, show

if TYPE_CHECKING:
    from mvc.cli.pretty import Pretty

_PRETTY = "mvc.cli.pretty:Pretty"
"""Loaded where a format is given."""


@verb
@click.argument("revisions", nargs=-1, metavar="[REVISION|REV:PATH]...")
@click.option("-s", "--no-patch", is_flag=True, help="Of a commit, leave out the files that it changed.")
@click.option("--stat", "how", flag_value="stat", help="With the files that it changed. (The default.)")
@click.option("--name-only", "how", flag_value="names", help="With the paths of those files.")
@click.option("--name-status", "how", flag_value="letters", help="With these, each with a letter: A D M R T.")
@click.option("-p", "--patch", "how", flag_value="patch", help="With what changed in them, as mvc diff tells it.")
@click.option(
    "--format",
    "--pretty",
    "form",
    metavar="FORMAT",
    help="A commit in words of one's own, with Git's placeholders: '%h %an %s'; or oneline, short, medium, reference.",
)
@json_flag
def command(
    session: Session, revisions: tuple[str, ...], no_patch: bool, how: str | None, form: str | None, as_json: bool
) -> None:
    """A commit, a model's tensors, or a file.

    Of a commit (HEAD, unless another is named): its header, params, metrics, datasets, environment
    and the files that it changed. Of a model, REV:PATH: its tensors, and what they take in the store.
    """
    pretty = load(_PRETTY)(form) if form not in (None, "medium") else None
    if pretty is not None and as_json:
        raise UsageError("--format and --json do not go together")
    found = [show(session.repo(), spec) for spec in revisions or ("HEAD",)]
    if as_json:
        session.emit_json("show", {"objects": [_json(session, one) for one in found]})
        return
    with session.pager():
        for index, one in enumerate(found):
            look = _Look("" if no_patch else how or "stat", pretty)
            _print(session, one, look, more=index > 0)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a commit is to look like: `files` as `changed_lines` has it, "" for none."""

    files: str
    pretty: Pretty | None


def _print(session: Session, shown: Shown, look: _Look, *, more: bool = False) -> None:
    if isinstance(shown, ShownBlob):
        _print_blob(session, shown)
        return
    if more and not (look.pretty and isinstance(shown, ShownCommit)):
        session.emit_text("")
    if isinstance(shown, ShownTag):
        lines = [session.paint(f"tag {printable_path(shown.tag.name)}", "yellow")]
        if shown.tag.tagger is not None:
            lines += [f"Tagger: {printable(str(shown.tag.tagger))}", f"Date:   {git_date(shown.tag.tagger)}"]
        lines += ["", printable(shown.tag.message.strip("\n"))]
        if shown.annotations:
            lines += ["", *annotation_lines(session, shown.annotations)]
        session.emit_text("\n".join(lines))
        _print(session, shown.target, look, more=True)
    elif isinstance(shown, ShownCommit):
        if lines := _commit_lines(session, shown, look):
            session.emit_text("\n".join(lines), end="\n" if look.pretty is None or look.pretty.ends else "")
    elif isinstance(shown, ShownTree):
        names = [printable_path(entry.name) + ("/" if is_tree(entry.mode) else "") for entry in shown.entries]
        session.emit_text("\n".join([session.paint(f"tree {printable(shown.spec)}", "yellow"), "", *names]))
    else:
        session.emit_text("\n".join(model_lines(session, shown.listing)))


def _commit_lines(session: Session, shown: ShownCommit, look: _Look) -> list[str]:
    commit = shown.commit
    changed = changed_lines(session, shown.files, look.files) if shown.files and look.files else []
    if look.pretty is not None:
        said = look.pretty(session, commit, decorations(session.repo()).get(commit.id, []))
        lines = [] if look.pretty.says_nothing else [said]
        return look.pretty.with_files(lines, changed) if changed else lines
    parents = {one: short_id(session, one) for one in commit.parents}
    names = decorations(session.repo()).get(commit.id, [])
    lines = [*header_lines(session, commit, names, parents), "", *message_lines(commit)]
    if metadata := metadata_lines(session, shown.metadata, origins(shown.annotations), shown.steps):
        lines += ["", *metadata]
    if notes := [one for one in shown.annotations if one.note]:
        lines += ["", *(f"{day(one)}  {by(one)}: {printable(one.note or '')}" for one in notes)]
    if shown.card is not None and (shown.card.card.front or shown.card.card.problems):
        lines += ["", *card_lines(session, shown.card)]
    if shown.problem:
        lines += ["", f"{session.paint('metadata cannot be read:', 'red')} {printable(shown.problem)}"]
    return [*lines, "", *changed] if changed else lines


def _print_blob(session: Session, shown: ShownBlob) -> None:
    """Text as it is; bytes that are none go to a file or pipe, but not to a terminal."""
    if session.terminal and b"\0" in shown.data[:8000]:
        session.note(f"{printable(shown.spec)}: {human_bytes(len(shown.data))} that are no text")
        session.note(f"mvc cat-file --content {printable(shown.spec)} -o FILE writes them")
    elif session.terminal:
        session.emit_text(printable(shown.data.decode("utf-8", "surrogateescape")), end="")
    else:
        session.emit_bytes(shown.data)


def _json(session: Session, shown: Shown) -> dict[str, Any]:
    if isinstance(shown, ShownCommit):
        names = decorations(session.repo()).get(shown.commit.id, [])
        files = [file_json(one) for one in shown.files]
        return {
            "kind": "commit",
            **commit_json(shown.commit, names, shown.metadata),
            "steps": shown.steps,
            "annotations": [annotation_json(one) for one in shown.annotations],
            "card": card_json(shown.card) if shown.card else None,
            "files": files,
        }
    if isinstance(shown, ShownTag):
        tag, tagger = shown.tag, shown.tag.tagger
        who = {"name": tagger.name, "email": tagger.email, "date": iso_date(tagger)} if tagger else None
        head = {"kind": "tag", "id": tag.id, "name": tag.name, "message": tag.message, "tagger": who}
        added = [annotation_json(one) for one in shown.annotations]
        return {**head, "annotations": added, "target": _json(session, shown.target)}
    if isinstance(shown, ShownTree):
        rows = [{"name": entry.name, "mode": f"{entry.mode:06o}", "id": entry.id} for entry in shown.entries]
        return {"kind": "tree", "id": shown.id, "entries": rows}
    if isinstance(shown, ShownModel):
        return {"kind": "model", **model_json(shown.listing)}
    text = shown.data.decode("utf-8", "replace") if b"\0" not in shown.data else None
    return {"kind": "blob", "id": shown.id, "size": len(shown.data), "text": text}
