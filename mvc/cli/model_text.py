"""A model's tensors as text and as JSON."""

from __future__ import annotations

from typing import Any

from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes, human_count, percent
from mvc.cli.tables import table, text_width
from mvc.cli.text import one_line, printable_path
from mvc.ops.show_model import ModelListing, SegmentRow

_HEADER = ("tensor", "dtype", "shape", "parameters", "size", "stored", "", "codec")
_MOST_OPAQUE = 20
_SHORTEST_NAME = 16


def model_lines(session: Session, listing: ModelListing) -> list[str]:
    """A line on the file, then a row a tensor."""
    lines = [_title(session, listing), ""]
    headers = [row for row in listing.rows if row.tensor is None and row.kind != "opaque"]
    rows = [*_headers(headers), *(_row(row) for row in listing.rows if row.tensor is not None)]
    opaque = [_row(row) for row in listing.rows if row.tensor is None and row.kind == "opaque"]
    made = _fitted([*rows, *opaque[:_MOST_OPAQUE]], session.width if session.terminal else None)
    lines += [session.paint(made[0], "dim"), *made[1:]]
    if len(opaque) > _MOST_OPAQUE:
        lines.append(f"and {len(opaque) - _MOST_OPAQUE:,} more runs of bytes that are no tensors")
    if nonfinite := [row for row in listing.tensors if row.nan or row.inf]:
        lines += ["", *(_nonfinite(session, row) for row in nonfinite)]
    if listing.missing:
        lines += ["", session.paint(f"{counted(listing.missing, 'chunk')} not in this repository", "red")]
    return lines


def model_json(listing: ModelListing) -> dict[str, Any]:
    """Sizes in bytes; `stored` is null for a plain blob."""
    return {
        "id": listing.id,
        "path": listing.path,
        "format": listing.format,
        "size": listing.size,
        "blake3": listing.blake3,
        "parameters": listing.parameters,
        "stored": listing.stored,
        "missing_chunks": listing.missing,
        "segments": [_segment_json(row) for row in listing.rows],
    }


def _title(session: Session, listing: ModelListing) -> str:
    parts = [human_bytes(listing.size)]
    if listing.tensors:
        parts = [listing.format, *parts, counted(len(listing.tensors), "tensor")]
        parts.append(f"{human_count(listing.parameters)} parameters")
    if listing.stored is not None:
        parts.append(f"stored in {human_bytes(listing.stored)} ({percent(listing.stored, listing.size)})")
    name = session.paint(printable_path(listing.path) if listing.path else listing.id, "yellow")
    return f"{name}  {', '.join(parts)}"


def _fitted(rows: list[list[str]], width: int | None) -> list[str]:
    """The table, at most `width` columns wide: names are shortened in the middle, if need be."""
    made = table(rows, align="<<<>>>>", header=_HEADER)
    too_wide = max(map(text_width, made)) - width if width is not None else 0
    if too_wide > 0:
        room = max(max(len(name) for name, *_ in rows) - too_wide, _SHORTEST_NAME)
        made = table([[_shortened(name, room), *rest] for name, *rest in rows], align="<<<>>>>", header=_HEADER)
    return made


def _shortened(name: str, room: int) -> str:
    if len(name) <= room:
        return name
    tail = (room - 1) * 2 // 3  # what tells tensors apart is mostly at the end
    return f"{name[: room - 1 - tail]}…{name[-tail:]}"


def _headers(rows: list[SegmentRow]) -> list[list[str]]:
    """One row for all of them: a .npz or .pt has one before each tensor."""
    if len(rows) < 2:
        return [_row(row) for row in rows]
    size, parts = sum(row.size for row in rows), [row.stored for row in rows]
    known = [part for part in parts if part is not None]
    stored = [human_bytes(sum(known)), percent(sum(known), size)] if len(known) == len(parts) else ["", ""]
    codecs = dict.fromkeys(codec for row in rows for codec in row.codecs)
    return [[f"({len(rows):,} headers)", "", "", "", human_bytes(size), *stored, "+".join(codecs)]]


def _row(row: SegmentRow) -> list[str]:
    stored = ["", ""] if row.stored is None else [human_bytes(row.stored), percent(row.stored, row.size)]
    size = human_bytes(row.size)
    codecs = "+".join(row.codecs)
    if row.tensor is None:
        return [f"({row.kind})", "", "", "", size, *stored, codecs]
    shape = "×".join(map(str, row.tensor.shape)) or "scalar"
    name, dtype = one_line(row.tensor.name), one_line(row.tensor.dtype)
    return [name, dtype, shape, f"{row.parameters:,}", size, *stored, codecs]


def _nonfinite(session: Session, row: SegmentRow) -> str:
    name = one_line(row.tensor.name) if row.tensor else ""
    found = [f"{count:,} {what}" for count, what in ((row.nan, "NaN"), (row.inf, "infinite")) if count]
    return f"{session.paint('warning:', 'yellow bold')} {name} holds {' and '.join(found)}"


def _segment_json(row: SegmentRow) -> dict[str, Any]:
    tensor = row.tensor
    return {
        "kind": row.kind,
        "name": tensor.name if tensor else None,
        "dtype": tensor.dtype if tensor else None,
        "shape": list(tensor.shape) if tensor else None,
        "parameters": row.parameters if tensor else None,
        "size": row.size,
        "stored": row.stored,
        "codecs": list(row.codecs),
        "chunks": row.chunks,
        "missing_chunks": row.missing,
        "nan": row.nan,
        "inf": row.inf,
    }
