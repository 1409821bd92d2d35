"""`mvc lineage`: parse, call `mvc.ops.lineage`, render."""

from __future__ import annotations

import click

from mvc.cli.command import complete, json_flag, verb
from mvc.cli.lineage_text import lineage_dot, lineage_json, lineage_lines
from mvc.cli.session import Session
from mvc.errors import UsageError
from mvc.ops.lineage import DEPTH, Node, lineage, made_from, made_with


@verb
@click.argument("revision", required=False, metavar="[REV|REV:PATH|URI]", shell_complete=complete("revisions"))
@click.option("--down", is_flag=True, help="What was made from it.")
@click.option("--dataset", metavar="NAME|DIGEST|PATH|URI", help="What was made from this dataset.")
@click.option("--depth", type=click.IntRange(min=1), default=DEPTH, metavar="N", help="At most N steps.")
@click.option("--dot", is_flag=True, help="Print a graph for Graphviz.")
@json_flag
def command(
    session: Session,
    revision: str | None,
    down: bool,
    dataset: str | None,
    depth: int,
    dot: bool,
    as_json: bool,
) -> None:
    """What a model was made from, and what was made from it.

    Of REV (HEAD, unless given): the model that it brought, with its base, that one's base, and so on, with
    datasets and the commit of the code. --down turns it round, also from a URI that models were made
    from.
    """
    if dot and as_json:
        raise UsageError("--dot and --json do not go together")
    repo = session.repo()
    if dataset is not None:
        if revision is not None:
            raise UsageError("--dataset stands for itself: no revision goes with it")
        found: tuple[Node, ...] = made_with(repo, dataset, depth=depth)
    else:
        found = ((made_from if down else lineage)(repo, revision or "HEAD", depth=depth),)
    turned = down or dataset is not None
    if as_json:
        session.emit_json("lineage", lineage_json(found, down=turned, dataset=dataset))
    elif dot:
        session.emit_text("\n".join(lineage_dot(found, down=turned, dataset=dataset)))
    else:
        with session.pager():
            session.emit_text("\n".join(lineage_lines(session, found, dataset=dataset)))
