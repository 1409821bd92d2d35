"""A chart in a terminal, by the package uniplot: Braille dots, axes, a legend."""

from __future__ import annotations

import math

import numpy as np
from uniplot import plot_to_string

from mvc.charts.model import Chart, Line
from mvc.charts.thin import thinned

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red", "white")
_AXIS = 12
"""Columns beside the plot: its frame, and the labels of y."""
_FRAME = 5
"""Lines around it: title, frame, the labels of x, the legend."""


def terminal_text(chart: Chart, *, width: int, height: int, colour: bool) -> str:
    """The picture as lines of text of at most some `width` columns and `height` lines."""
    lines = [thinned(line, 8 * width) for line in chart.lines]
    lines = [line for line in lines if any(y is not None for y in _ys(chart, line))]
    if not lines:
        return f"{chart.title}: no value that can be drawn\n"
    if len({dot.x for line in lines for dot in line.dots}) == 1:
        return _values(chart, lines)
    text: str = plot_to_string(
        xs=[_xs(chart, line) for line in lines],
        ys=[np.array([math.nan if y is None else y for y in _ys(chart, line)]) for line in lines],
        lines=chart.joined,
        width=max(width - _AXIS, 20),
        height=max(height - _FRAME, 5),
        title=chart.title,
        legend_labels=[line.name for line in lines] if len(lines) > 1 else None,
        color=[_COLOURS[at % len(_COLOURS)] for at in range(len(lines))] if colour else False,
        x_as_log=chart.log_x,
        y_as_log=chart.log_y,
        x_gridlines=[],
        y_gridlines=[],
        character_set="braille" if chart.joined else "block",
    )
    return "\n".join(line.rstrip() for line in text.rstrip("\n").split("\n")) + "\n"


def _values(chart: Chart, lines: list[Line]) -> str:
    """Where all stands at one place, no axis has an extent: the values themselves tell more than a picture."""
    x = lines[0].dots[0].x
    place = chart.names[int(x)] if chart.x == "order" else f"{x:g}" if chart.x == "number" else ""
    several = len(lines) > 1
    drawn = [(line.name, dot.y) for line in lines for dot in line.dots if dot.y is not None]
    rows = [f"{name} {y:.6g}" if several else f"{y:.6g}" for name, y in drawn]
    return f"{chart.title} at {chart.x_title} {place}".rstrip() + f": {', '.join(rows)}\n"


def _xs(chart: Chart, line: Line) -> np.ndarray:
    if chart.x == "time":
        return np.array([int(dot.x) for dot in line.dots], dtype="datetime64[s]")
    return np.array([math.nan if chart.log_x and dot.x <= 0 else dot.x for dot in line.dots], dtype=float)


def _ys(chart: Chart, line: Line) -> list[float | None]:
    return [None if dot.y is not None and chart.log_y and dot.y <= 0 else dot.y for dot in line.dots]
