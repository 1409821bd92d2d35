"""`mvc reject`: parse, call `mvc.ops.review`, render."""

from __future__ import annotations

import click

from mvc.cli.command import complete, json_flag, quiet_flag, verb
from mvc.cli.review_text import record
from mvc.cli.session import Session


@verb
@click.argument("revision", default="HEAD")
@click.option(
    "--for", "alias", metavar="NAME", shell_complete=complete("aliases"), help="The alias it is rejected for."
)
@click.option("-m", "--message", "why", metavar="WHY", default="", help="Why.")
@json_flag
@quiet_flag
def command(session: Session, revision: str, alias: str | None, why: str, as_json: bool) -> None:
    """Say that a version must not be promoted.

    REVISION (HEAD, unless given) is a revision or an alias. A rejection counts until the same person approves. Without
    --for the only protected alias is meant, else production.
    """
    record(session, revision, "reject", alias, why, as_json)
