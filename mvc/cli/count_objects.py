"""`mvc count-objects`: parse, call `mvc.ops.count_objects`, render."""

from __future__ import annotations

from dataclasses import asdict

import click

from mvc.cli.command import json_flag, verb
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes, percent
from mvc.cli.tables import table
from mvc.ops.count_objects import Counted, count_objects


@verb
@click.option("-v", "--verbose", count=True, help="What the bytes were before: raw, after dedup, after codecs.")
@json_flag
def command(session: Session, verbose: int, as_json: bool) -> None:
    """How much is stored, and what was saved."""
    found = count_objects(session.repo(), savings=bool(verbose) or as_json)
    if as_json:
        session.emit_json("count-objects", {**asdict(found), "stored": found.stored, "coded": found.coded})
    elif verbose:
        session.emit_text("\n".join(_details(session, found)))
    else:
        objects = found.objects.loose + found.objects.packed
        text = f"{counted(objects, 'object')}, {counted(found.chunks.chunks, 'chunk')}, {human_bytes(found.stored)}"
        if found.received:
            text += f"; {human_bytes(found.received)} came and were not decoded yet"
        session.emit_text(text)


def _details(session: Session, found: Counted) -> list[str]:
    objects, chunks = found.objects, found.chunks
    lines = table(
        [
            ["loose objects", f"{objects.loose:,}", human_bytes(objects.loose_bytes), ""],
            ["packed objects", f"{objects.packed:,}", human_bytes(objects.pack_bytes), counted(objects.packs, "pack")],
            ["chunks", f"{chunks.chunks:,}", human_bytes(chunks.pack_bytes), counted(chunks.packs, "pack")],
            ["indexes", f"{chunks.idx_files:,}", human_bytes(chunks.idx_bytes), ""],
        ],
        align="<>><",
    )
    if found.received:
        lines.append(f"{human_bytes(found.received)} came from remotes and were not decoded yet")
    if found.savings is not None:
        raw = found.savings.raw
        steps = [
            (f"{counted(found.savings.files, 'version')} of files", raw),
            ("after dedup", found.savings.deduplicated),
            ("after codecs", found.coded),
            ("stored", found.stored),
        ]
        rows = [[label, human_bytes(size), percent(size, raw)] for label, size in steps]
        lines += ["", *table(rows, align="<>>")]
    if found.codecs:
        rows = [
            [
                one.codec,
                counted(one.chunks, "chunk"),
                human_bytes(one.raw),
                human_bytes(one.stored),
                percent(one.stored, one.raw),
            ]
            for one in found.codecs
        ]
        made = table(rows, align="<>>>>", header=["codec", "", "raw", "stored", ""])
        lines += ["", session.paint(made[0], "dim"), *made[1:]]
    deep = [f"{count:,} on {counted(depth, 'base')} in a row" for depth, count in found.depths if depth]
    if deep:
        lines += ["", f"deltas: {', '.join(deep)}"]
    return lines
