"""Lineage as a tree for people, as JSON, and as a graph for Graphviz."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from mvc.cli.commit_text import dataset_text
from mvc.cli.names import decorated, short_id
from mvc.cli.session import Session
from mvc.cli.text import one_line
from mvc.ops.lineage import Node

_DATASETS = 6
"""Lines of datasets a version; the card of a model that was trained on a corpus of corpora names dozens."""
_HOW = {"tensors": "seen in the tensors", "named": "named", "card": "by the model card"}


def lineage_lines(session: Session, nodes: Sequence[Node], *, dataset: str | None = None) -> list[str]:
    """A line a version; below it its datasets, its code, and what it was made from (or what from it)."""
    if dataset is None:
        return [line for node in nodes for line in _lines(session, node, "", "")]
    lines = [f"{session.paint('dataset', 'cyan')} {one_line(dataset)}"]
    for index, node in enumerate(nodes):
        last = index == len(nodes) - 1
        lines += _lines(session, node, "└── " if last else "├── ", "    " if last else "│   ")
    return lines


def _lines(session: Session, node: Node, first: str, rest: str) -> Iterator[str]:
    yield first + _title(session, node)
    details = [] if node.again else _details(session, node)
    for index, detail in enumerate(details):
        last = index == len(details) - 1 and not node.nodes and not node.cut
        yield f"{rest}{'└── ' if last else '├── '}{detail}"
    for index, one in enumerate(node.nodes):
        last = index == len(node.nodes) - 1
        yield from _lines(session, one, rest + ("└── " if last else "├── "), rest + ("    " if last else "│   "))
    if node.cut:
        yield f"{rest}└── {session.paint('...', 'cyan')} more: --depth"


def _title(session: Session, node: Node) -> str:
    if node.location is not None:
        at = f"@{node.commit[:12]}" if node.commit else ""
        words = [session.paint(one_line(node.location) + at, "green")]
    elif node.missing:
        words = [session.paint((node.commit or "")[:12], "yellow"), "a commit that is not here"]
    else:
        assert node.commit is not None
        names = decorated(session, node.names)
        words = [session.paint(short_id(session, node.commit), "yellow") + names, one_line(node.summary)]
    if node.path:
        words.append(session.paint(one_line(node.path), "cyan"))
    if node.how:
        words.append(f"({_HOW[node.how]})")
    if node.again:
        words.append("(see above)")
    return " ".join(words)


def _details(session: Session, node: Node) -> list[str]:
    found = []
    shown = node.datasets if len(node.datasets) <= _DATASETS else node.datasets[: _DATASETS - 1]
    for one in shown:
        found.append(f"{session.paint('data', 'cyan')} {one_line(one.name)}  {one_line(dataset_text(one))}")
    if len(shown) < len(node.datasets):
        found.append(f"{session.paint('data', 'cyan')} and {len(node.datasets) - len(shown)} more (--json tells all)")
    code = dict(node.code)
    if "commit" in code:
        words = [str(code["commit"])[:12], *(["with changes"] if code.get("dirty") else [])]
        words += [str(code["remote"])] if "remote" in code else []
        found.append(f"{session.paint('code', 'cyan')} {one_line(' '.join(words))}")
    return found


def lineage_json(nodes: Sequence[Node], *, down: bool, dataset: str | None) -> dict[str, Any]:
    """The tree. What hangs on a node is `made_from`, or with `down` `made_into`."""
    trees = [_document(node, "made_into" if down else "made_from") for node in nodes]
    return {"down": down, "dataset": dataset, "nodes": trees}


def _document(node: Node, below: str) -> dict[str, Any]:
    return {
        "commit": node.commit,
        "location": node.location,
        "path": node.path,
        "summary": node.summary,
        "date": datetime.fromtimestamp(node.time, UTC).isoformat() if node.time else None,
        "refs": [{"kind": one.kind, "name": one.name} for one in node.names],
        "how": node.how or None,
        "datasets": [one._asdict() for one in node.datasets],
        "code": dict(node.code),
        "again": node.again,
        "cut": node.cut,
        "missing": node.missing,
        below: [_document(one, below) for one in node.nodes],
    }


def lineage_dot(nodes: Sequence[Node], *, down: bool, dataset: str | None) -> list[str]:
    """A digraph; arrows lead from what was there first to what was made from it."""
    lines = ["digraph lineage {", "    rankdir=LR;", '    node [shape=box, fontname="sans-serif"];']
    boxes: dict[str, str] = {}
    arrows: dict[str, None] = {}
    for node in nodes:
        _draw(node, boxes, arrows, down=down)
        if dataset is not None:
            boxes[f"data {dataset}"] = _box(f"data {dataset}", dataset, "shape=cylinder")
            arrows[f"    {_quoted(f'data {dataset}')} -> {_quoted(_name(node))};"] = None
    return [*lines, *boxes.values(), *arrows, "}"]


def _draw(node: Node, boxes: dict[str, str], arrows: dict[str, None], *, down: bool) -> None:
    name = _name(node)
    if node.location is not None:
        boxes[name] = _box(name, node.location, "style=rounded")
    else:
        label = "\n".join([(node.commit or "")[:7], *([node.summary] if node.summary else []), *([node.path or ""])])
        boxes.setdefault(name, _box(name, label.rstrip("\n"), "style=dashed" if node.missing else ""))
    for one in node.datasets:
        data = f"data {one.digest or one.location}"
        boxes[data] = _box(data, f"{one.name}\n{one.location}", "shape=cylinder")
        arrows[f"    {_quoted(data)} -> {_quoted(name)};"] = None
    for one_below in node.nodes:
        _draw(one_below, boxes, arrows, down=down)
        ends = (name, _name(one_below)) if down else (_name(one_below), name)
        style = "" if one_below.how == "tensors" else " [style=dashed]"
        arrows[f"    {_quoted(ends[0])} -> {_quoted(ends[1])}{style};"] = None


def _name(node: Node) -> str:
    return f"{node.location or ''} {node.commit or ''} {node.path or ''}".strip()


def _box(name: str, label: str, style: str) -> str:
    return f"    {_quoted(name)} [label={_quoted(label)}{', ' + style if style else ''}];"


def _quoted(text: str) -> str:
    clean = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    escaped = clean.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
