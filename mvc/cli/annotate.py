"""`mvc annotate`: parse, call `mvc.ops.annotate`, render."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from mvc.cli.annotation_text import annotation_json, annotation_lines
from mvc.cli.command import complete, json_flag, quiet_flag, verb
from mvc.cli.names import short_id
from mvc.cli.session import Session
from mvc.metadata.annotations import Annotation
from mvc.metadata.arguments import collect_metrics, collect_params, collect_tags
from mvc.objects.revparse import resolve
from mvc.ops.annotate import Said, annotate
from mvc.ops.known import Known


@verb
@click.argument("revision", default="HEAD", shell_complete=complete("revisions"))
@click.option("--metric", "metrics", metavar="NAME[@PATH]=NUMBER", multiple=True, help="A figure measured since.")
@click.option("--metrics", "metric_files", metavar="FILE", multiple=True, help="Figures from YAML, JSON or TOML.")
@click.option("--param", "params", metavar="NAME=VALUE", multiple=True, help="A parameter that was left out.")
@click.option("--tag", "tags", metavar="NAME=WORD", multiple=True, help="A word to find it by.")
@click.option("--remove", "removed", metavar="PART.NAME", multiple=True, help="metrics.acc holds no longer.")
@click.option("-m", "--message", "note", metavar="TEXT", help="A sentence for people.")
@json_flag
@quiet_flag
def command(
    session: Session,
    revision: str,
    metrics: tuple[str, ...],
    metric_files: tuple[str, ...],
    params: tuple[str, ...],
    tags: tuple[str, ...],
    removed: tuple[str, ...],
    note: str | None,
    as_json: bool,
) -> None:
    """Metrics that come later, without a new commit.

    Of REVISION (HEAD, unless given), a commit or an annotated tag: what is added stands in a Git note, and
    show, log, diff and search count it in. With nothing to add, what was added so far is listed.
    """
    said = Said(
        params=collect_params(params, ()),
        metrics=collect_metrics(metrics, [session.cwd / name for name in metric_files]),
        tags=collect_tags(tags),
        removed=removed,
        note=note,
    )
    repo = session.repo()
    if not said:
        _list(session, resolve(repo.objects, repo.refs, revision), as_json)
        return
    done = annotate(repo, revision, said, caller=session.caller())
    for problem in done.problems:
        session.warn(problem)
    if as_json:
        session.emit_json("annotate", _document(done.object_id, done.kind, [done.annotation]))
    else:
        for line in annotation_lines(session, [done.annotation]):
            session.note(line)
        session.note(f"annotated {done.kind} {short_id(session, done.object_id)}")


def _list(session: Session, object_id: str, as_json: bool) -> None:
    repo = session.repo()
    known = Known(repo)
    kind = repo.objects.kind(object_id)
    found = known.annotations(object_id) if kind == "commit" else known.notes.get(object_id, ())
    if as_json:
        session.emit_json("annotate", _document(object_id, kind, found))
    else:
        session.emit_text("\n".join(annotation_lines(session, found)), end="\n" if found else "")


def _document(object_id: str, kind: str, annotations: Sequence[Annotation]) -> dict[str, Any]:
    return {"object": object_id, "kind_of_object": kind, "annotations": [annotation_json(one) for one in annotations]}
