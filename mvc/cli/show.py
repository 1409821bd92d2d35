"""`mvc show`: parse, call `mvc.ops.show`, render."""

from __future__ import annotations

from typing import Any

import click

from mvc.cli.annotation_text import annotation_json, annotation_lines, by, day
from mvc.cli.card_text import card_json, card_lines
from mvc.cli.command import json_flag, verb
from mvc.cli.commit_text import commit_json, header_lines, message_lines, metadata_lines
from mvc.cli.dates import git_date, iso_date
from mvc.cli.files_text import file_json, file_lines
from mvc.cli.model_text import model_json, model_lines
from mvc.cli.names import short_id
from mvc.cli.session import Session
from mvc.cli.sizes import human_bytes
from mvc.cli.text import printable, printable_path
from mvc.metadata.annotations import origins
from mvc.objects.model import is_tree
from mvc.ops.names import decorations
from mvc.ops.show import Shown, ShownBlob, ShownCommit, ShownModel, ShownTag, ShownTree, show


@verb
@click.argument("revisions", nargs=-1, metavar="[REVISION|REV:PATH]...")
@click.option("-s", "--no-patch", is_flag=True, help="Of a commit, leave out the files that it changed.")
@click.option("--stat", is_flag=True, expose_value=False, help="With the files that it changed. (The default.)")
@json_flag
def command(session: Session, revisions: tuple[str, ...], no_patch: bool, as_json: bool) -> None:
    """A commit, a model's tensors, or a file.

    Of a commit (HEAD, unless another is named): its header, params, metrics, datasets, environment
    and the files that it changed. Of a model, REV:PATH: its tensors, and what they take in the store.
    """
    found = [show(session.repo(), spec) for spec in revisions or ("HEAD",)]
    if as_json:
        session.emit_json("show", {"objects": [_json(session, one) for one in found]})
        return
    with session.pager():
        for index, one in enumerate(found):
            _print(session, one, files=not no_patch, more=index > 0)


def _print(session: Session, shown: Shown, *, files: bool, more: bool = False) -> None:
    if isinstance(shown, ShownBlob):
        _print_blob(session, shown)
        return
    if more:
        session.emit_text("")
    if isinstance(shown, ShownTag):
        lines = [session.paint(f"tag {printable_path(shown.tag.name)}", "yellow")]
        if shown.tag.tagger is not None:
            lines += [f"Tagger: {printable(str(shown.tag.tagger))}", f"Date:   {git_date(shown.tag.tagger)}"]
        lines += ["", printable(shown.tag.message.strip("\n"))]
        if shown.annotations:
            lines += ["", *annotation_lines(session, shown.annotations)]
        session.emit_text("\n".join(lines))
        _print(session, shown.target, files=files, more=True)
    elif isinstance(shown, ShownCommit):
        session.emit_text("\n".join(_commit_lines(session, shown, files=files)))
    elif isinstance(shown, ShownTree):
        names = [printable_path(entry.name) + ("/" if is_tree(entry.mode) else "") for entry in shown.entries]
        session.emit_text("\n".join([session.paint(f"tree {printable(shown.spec)}", "yellow"), "", *names]))
    else:
        session.emit_text("\n".join(model_lines(session, shown.listing)))


def _commit_lines(session: Session, shown: ShownCommit, *, files: bool) -> list[str]:
    commit = shown.commit
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
    if shown.files and files:
        lines += ["", *file_lines(session, shown.files)]
    return lines


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
