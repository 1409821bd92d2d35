"""`mvc runs`: parse, call `mvc.ops.runs`, render."""

from __future__ import annotations

import time

import click

from mvc.cli.command import json_flag, noun
from mvc.cli.dates import relative_date
from mvc.cli.session import Session
from mvc.cli.sizes import counted
from mvc.cli.tables import table
from mvc.cli.text import printable
from mvc.ops.runs import RunInfo, checkpoints_of, list_runs

_COLOURS = {"running": "green", "failed": "red", "killed": "red", "interrupted": "yellow"}
_MOST_METRICS = 4


@noun(default="list")
def command(session: Session) -> None:
    """Which trainings there are, how they stand, what they stored.

    `mvc runs` alone is `mvc runs list`. Training code makes runs with `mvc.start_run`.
    """


@command.verb
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@json_flag
def list_(session: Session, runs: tuple[str, ...], as_json: bool) -> None:
    """The runs, the newest first; those whose names fit a glob."""
    found = list_runs(session.repo(), runs)
    if as_json:
        session.emit_json("runs", {"runs": [_document(one) for one in found]})
        return
    now = int(time.time())
    rows = [_row(session, one, now) for one in found]
    if rows:
        lines = table(rows, align="<<>><<", header=("run", "status", "step", "stored", "updated", "metrics"))
        session.emit_text("\n".join([session.paint(lines[0], "dim"), *lines[1:]]))
    else:
        session.note("no training has made a run here (mvc.start_run, in Python)")


@command.verb
@click.argument("run")
@json_flag
def show(session: Session, run: str, as_json: bool) -> None:
    """A run: params, status, its checkpoints with their metrics."""
    info = list_runs(session.repo(), [run])[0]
    stored = checkpoints_of(session.repo(), info.name)
    if as_json:
        rows = [{"step": o.step, "commit": o.commit, "time": o.time, "metrics": dict(o.metrics)} for o in stored]
        session.emit_json("run", {**_document(info), "stored": rows})
        return
    session.emit_text("\n".join(_about(session, info)))
    if stored:
        now = int(time.time())
        cells = [(str(o.step), o.commit[:10], relative_date(o.time, now), _metrics(o.metrics)) for o in stored]
        lines = table(cells, align="><<<", header=("step", "commit", "stored", "metrics"))
        session.emit_text("\n" + "\n".join([session.paint(lines[0], "dim"), *lines[1:]]))


def _row(session: Session, one: RunInfo, now: int) -> tuple[str, ...]:
    updated = relative_date(int(one.updated), now) if one.updated else ""
    step = "" if one.step is None else str(one.step)
    return (one.name, one.status, step, str(len(one.checkpoints)), updated, _metrics(one.metadata.metrics))


def _about(session: Session, one: RunInfo) -> list[str]:
    said = one.metadata
    lines = [f"run {session.paint(one.name, 'bold')}"]
    status = session.paint(one.status, _COLOURS.get(one.status, "bold"))
    lines.append(f"status    {status}" + (f" ({printable(one.writer)})" if one.writer else ""))
    if one.note:
        lines.append(f"because   {printable(one.note)}")
    if one.step is not None:
        lines.append(f"step      {one.step}")
    if one.waiting:
        lines.append(f"waiting   {counted(one.waiting, 'checkpoint')} put aside, not stored yet")
    tags = {name: value for name, value in said.tags.items() if not name.startswith("run.")}
    links = {name: value for name, value in said.links.items() if name.endswith(".url")} or said.links
    for title, values in (("params", said.params), ("metrics", said.metrics), ("tags", tags), ("links", links)):
        for number, (name, value) in enumerate(values.items()):
            lines.append(f"{title if not number else '':<9} {printable(name)} = {printable(_shown(value))}")
    for dataset in said.datasets:
        lines.append(f"dataset   {printable(dataset.name)}: {printable(dataset.location)}")
    return lines


def _metrics(values: object) -> str:
    assert hasattr(values, "items")
    shown = [f"{printable(name)}={_shown(value)}" for name, value in values.items()]
    more = f" (+{len(shown) - _MOST_METRICS})" if len(shown) > _MOST_METRICS else ""
    return " ".join(shown[:_MOST_METRICS]) + more


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _document(one: RunInfo) -> dict[str, object]:
    said = one.metadata
    return {
        "name": one.name,
        "status": one.status,
        "started": one.started,
        "updated": one.updated,
        "step": one.step,
        "checkpoints": list(one.checkpoints),
        "waiting": one.waiting,
        "here": one.here,
        "writer": one.writer,
        "note": one.note,
        "params": dict(said.params),
        "metrics": dict(said.metrics),
        "tags": dict(said.tags),
        "links": dict(said.links),
    }
