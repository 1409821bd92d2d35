"""`mvc serve protect`: parse, call `mvc.hub.promotion`, render."""

from __future__ import annotations

from typing import Any

import click

from mvc.cli.command import json_flag, verb
from mvc.cli.session import Session
from mvc.cli.tables import table
from mvc.cli.text import printable, printable_path
from mvc.errors import NotFound, Refused, UsageError
from mvc.lazy import load

LATE = {
    "read": "mvc.hub.promotion:read_protections",
    "write": "mvc.hub.promotion:write_protections",
    "stands": "mvc.hub.promotion:stands",
    "shadow": "mvc.hub.promotion:shadow_of",
    "parse": "mvc.ops.protection:parse_protection",
    "document": "mvc.ops.protection:document",
    "storage": "mvc.hub.storage:repositories_in",
    "is_repository": "mvc.hub.routing:is_repository",
    "local": "mvc.backends.open:is_local",
}


@verb
@click.argument("place", metavar="FOLDER|URL")
@click.argument("repository")
@click.argument("name", required=False, metavar="[ALIAS]")
@click.option("--approvals", metavar="N", type=click.IntRange(0, 100), default=0, help="By so many other people.")
@click.option("--approver", "approvers", metavar="PATTERN", multiple=True, help="Whose tokens count; else all.")
@click.option("--gate", "gates", metavar="GATE", multiple=True, help="That the commit passes; the server runs it.")
@click.option("--checker", "checkers", metavar="PATTERN", multiple=True, help="Whose token recorded a passed gate.")
@click.option("--remove", is_flag=True, help="Let it move freely again.")
@json_flag
def protect(
    session: Session, place: str, repository: str, name: str | None, remove: bool, as_json: bool, **given: Any
) -> None:
    """What the aliases of REPOSITORY ask for before they move. Without ALIAS: lists it.

    A push that moves a protected alias is refused unless all of it holds. Servers over this place know at once.
    """
    backend = _backend(session, place, repository)
    try:
        known: dict[str, Any] = load(LATE["read"])(backend)
        if name is not None:
            if remove:
                if name not in known:
                    raise NotFound(f"the alias '{printable(name)}' is not protected")
                del known[name]
            else:
                fields = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
                if not any(fields.values()):
                    raise UsageError("what does it take?", hint="--approvals N, --gate GATE, --checker NAME")
                known[name] = load(LATE["parse"])(name, fields, "mvc serve protect")
                if (shadow := load(LATE["shadow"])(backend, name)) is not None:
                    raise Refused(f"'{printable(shadow)}' there goes before the alias", hint="delete it, or rename it")
            load(LATE["write"])(backend, known)
        documents = {alias: load(LATE["document"])(one) for alias, one in sorted(known.items())}
    finally:
        backend.close()
    if as_json:
        session.emit_json("protected", {"repository": repository, "aliases": documents})
    else:
        rows = [[printable_path(alias), printable(_text(fields))] for alias, fields in documents.items()]
        session.emit_text("".join(f"{line}\n" for line in table(rows)), end="")


def _backend(session: Session, place: str, repository: str) -> Any:
    if not repository or not load(LATE["is_repository"])(repository):
        raise UsageError(f"'{printable(repository)}' is no name of a repository", hint="as in team/model")
    if load(LATE["local"])(place) and "://" not in place:
        place = str(session.cwd / place)
    storage = load(LATE["storage"])(place, environment=session.environment, memory=session.home / "serve")
    backend = storage(repository).backend
    if not load(LATE["stands"])(backend):
        backend.close()
        raise NotFound(f"there is no repository '{printable(repository)}' here", hint="its first push makes it")
    return backend


def _text(fields: dict[str, Any]) -> str:
    parts = []
    if fields.get("approvals"):
        by = f" by {', '.join(fields['approvers'])}" if fields.get("approvers") else ""
        parts.append(f"approvals: {fields['approvals']}{by}")
    if fields.get("checkers"):
        parts.append(f"a gate passed, recorded by {' or '.join(fields['checkers'])}")
    return "; ".join([*parts, *fields.get("gates", [])])
