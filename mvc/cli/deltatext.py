"""What training changed, for the terminal, Markdown and JSON: a tensor a row, a bar a layer."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mvc.cli.colours import Painter
from mvc.cli.tables import table
from mvc.cli.text import one_line
from mvc.ops.tensor_deltas import TensorDelta

_LAYER = re.compile(r"^(.*?(?:^|\.)\d+)(?=\.|$)")
_BLOCKS = " ▏▎▍▌▋▊▉█"
_BAR = 24
_COLUMNS = 50
"""What the columns behind the name take."""
_HEAD = ("tensor", "changed", "rel. norm", "max", "cosine", "NaN")


@dataclass(frozen=True, slots=True)
class LayerDelta:
    """A layer's tensors taken together: relative norm of the change as root mean square over elements."""

    name: str
    tensors: int
    relative_norm: float


def layers(deltas: Mapping[str, TensorDelta]) -> list[LayerDelta]:
    """Tensors by layer ("encoder.layer.3"), else by their first component, in the order they come."""
    groups: dict[str, list[TensorDelta]] = {}
    for delta in deltas.values():
        found = _LAYER.match(delta.name)
        groups.setdefault(found[1] if found else delta.name.split(".")[0], []).append(delta)
    return [LayerDelta(name, len(group), _together(group)) for name, group in groups.items()]


def delta_text(deltas: Mapping[str, TensorDelta], paint: Painter, width: int) -> list[str]:
    """Lines for a terminal: the table of tensors, then the bars of the layers."""
    rows = [_cells(delta) for delta in deltas.values()]
    if not rows:
        return []
    room = max(24, width - _COLUMNS)
    shown = [(_shortened(one_line(name), room), *rest) for name, *rest in rows]
    head, *lines = table(shown, align="<>>>>>", header=_HEAD)
    return [f"  {paint(head, 'dim')}", *(f"  {line}" for line in lines), "", *bar_lines(layers(deltas), paint, width)]


def bar_lines(groups: Sequence[LayerDelta], paint: Painter, width: int) -> list[str]:
    """A bar a layer, as long as its relative change, against the largest."""
    finite = [group.relative_norm for group in groups if math.isfinite(group.relative_norm)]
    largest = max(finite, default=0.0)
    column = min(max((len(group.name) for group in groups), default=0), max(16, width - _BAR - 16))
    lines = []
    for group in groups:
        share = 1.0 if not math.isfinite(group.relative_norm) else group.relative_norm / largest if largest else 0.0
        bar = paint(f"{_bar(share):<{_BAR}}", "cyan")
        lines.append(f"  {_shortened(one_line(group.name), column):<{column}} {bar} {_norm(group.relative_norm):>9}")
    return lines


def delta_markdown(deltas: Mapping[str, TensorDelta]) -> list[str]:
    """A Markdown table, a tensor a row."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|---|" + "---:|" * (len(_HEAD) - 1)]
    for delta in deltas.values():
        name, *rest = _cells(delta)
        lines.append("| `" + one_line(name).replace("|", "\\|").replace("`", "'") + "` | " + " | ".join(rest) + " |")
    return lines


def delta_document(delta: TensorDelta) -> dict[str, Any]:
    """The fields of `--json`."""
    return {
        "elements": delta.elements,
        "changed": delta.changed,
        "share": delta.share,
        "relative_norm": delta.relative_norm,
        "largest": delta.largest,
        "cosine": delta.cosine,
        "new_nan": delta.new_nan,
    }


def layer_documents(deltas: Mapping[str, TensorDelta]) -> list[dict[str, Any]]:
    """The bars, for `--json`."""
    return [{"name": one.name, "tensors": one.tensors, "relative_norm": one.relative_norm} for one in layers(deltas)]


def _together(group: Sequence[TensorDelta]) -> float:
    norms = [(delta.relative_norm, delta.elements) for delta in group if math.isfinite(delta.relative_norm)]
    total = sum(count for _, count in norms)
    if len(norms) < len(group) and not total:
        return math.inf
    return math.sqrt(sum(norm * norm * count for norm, count in norms) / total) if total else 0.0


def _cells(delta: TensorDelta) -> tuple[str, ...]:
    cosine = "-" if math.isnan(delta.cosine) else f"{delta.cosine:.6f}"
    nan = f"+{delta.new_nan}" if delta.new_nan else ""
    return (delta.name, _share(delta.share), _norm(delta.relative_norm), f"{delta.largest:.2e}", cosine, nan)


def _share(share: float) -> str:
    if 0 < share < 0.0005:
        return "<0.1 %"
    return f"{100 * share:.1f} %"


def _norm(norm: float) -> str:
    return "from zero" if math.isinf(norm) else f"{norm:.2e}"


def _shortened(name: str, room: int) -> str:
    """Long names lose their middle: their layer and what they end with tell them apart."""
    if len(name) <= room:
        return name
    layer = _LAYER.match(name)
    head = min(max((room - 1) // 3, layer.end() if layer else 0), 2 * room // 3)
    return f"{name[:head]}…{name[len(name) - (room - 1 - head) :]}"


def _bar(share: float) -> str:
    eighths = max(1, round(share * _BAR * 8)) if share > 0 else 0
    whole, part = divmod(eighths, 8)
    return "█" * whole + (_BLOCKS[part] if part else "")
