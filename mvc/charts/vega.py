"""A chart as a Vega-Lite specification (https://vega.github.io/vega-lite/docs/), and as SVG by vl-convert."""

from __future__ import annotations

from typing import Any, Literal

import vl_convert

from mvc.charts.model import Chart, Line
from mvc.charts.thin import thinned

VERSION = "6.1"
"""Of Vega-Lite; the schema that the specification names and vl-convert is asked for."""

Theme = Literal["light", "dark"]
MOST = 2000
"""Dots a line in a picture: more than a screen has columns."""

_EDGE = 8
"""Pixels between the outermost dots and the frame, which would else cut them."""

_COLOURS: dict[Theme, list[str]] = {
    # Okabe and Ito's, told apart by the colour-blind, a shade darker on white; and lighter ones on black.
    "light": ["#0072b2", "#d55e00", "#009e73", "#b5487a", "#8a6d00", "#2a9fd6", "#5b5b5b", "#6f4fb0"],
    "dark": ["#56b4e9", "#ff9a3c", "#2fd6a3", "#f08cc0", "#f0e442", "#8ab4ff", "#c5c5c5", "#b79cf5"],
}
_INK: dict[Theme, tuple[str, str, str, str]] = {
    "light": ("#ffffff", "#1f2328", "#59636e", "#e4e8ec"),
    "dark": ("#0d1117", "#e6edf3", "#9198a1", "#272d35"),
}
_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', 'Noto Sans CJK SC', sans-serif"


def svg(chart: Chart, *, theme: Theme = "light", width: int = 720, height: int = 360) -> str:
    """The picture as SVG; `width` and `height` of the plot itself, in pixels."""
    made = {**specification(chart, interactive=False), "width": width, "height": height}
    # No address is ever asked for data: all of it stands in the specification.
    text: str = vl_convert.vegalite_to_svg(made, vl_version=VERSION, config=configuration(theme), allowed_base_urls=[])
    return text if text.endswith("\n") else text + "\n"


def specification(chart: Chart, *, interactive: bool) -> dict[str, Any]:
    """The chart without size and colours, which `configuration` gives. Interactive: dots tell what they are, a click
    into the legend leaves one line, wheel and drag move the axes."""
    lines = [thinned(line, MOST) for line in chart.lines]
    encoding: dict[str, Any] = {
        "x": _x_axis(chart),
        "y": {"field": "y", "type": "quantitative", "title": chart.y_title, "scale": _scale(chart.log_y, _ys(chart))},
        "color": {
            "field": "line",
            "type": "nominal",
            "title": None,
            "sort": [line.name for line in lines],
            "legend": {"orient": "bottom", "columns": 3, "labelLimit": 320} if len(lines) > 1 else None,
        },
    }
    if interactive:
        encoding["opacity"] = {"condition": {"param": "chosen", "value": 1}, "value": 0.12}
        encoding["tooltip"] = _tooltip(chart)
    few = max((len(line.dots) for line in lines), default=0) <= 60
    # Round ends let a dot without neighbours be seen, where there are too many to mark each.
    mark: dict[str, Any] = {"type": "line", "point": {"size": 36} if few else False, "strokeWidth": 2, "clip": True}
    mark |= {"strokeCap": "round", "strokeJoin": "round"}
    if not chart.joined:
        mark = {"type": "point", "filled": True, "size": 64, "clip": True}
    made: dict[str, Any] = {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{VERSION.split('.', maxsplit=1)[0]}.json",
        **({"title": chart.title} if chart.title else {}),
        "data": {"values": _rows(chart, lines)},
        "mark": mark,
        "encoding": encoding,
    }
    if interactive:
        made["params"] = [
            {"name": "chosen", "select": {"type": "point", "fields": ["line"]}, "bind": "legend"},
            {"name": "view", "select": "interval", "bind": "scales"},
        ]
    return made


def configuration(theme: Theme) -> dict[str, Any]:
    """Colours and type for one theme, as Vega-Lite's `config`."""
    back, text, soft, grid = _INK[theme]
    return {
        "background": back,
        "font": _FONT,
        "title": {"color": text, "fontSize": 15, "fontWeight": 600, "anchor": "start", "offset": 14},
        "axis": {
            "labelColor": soft,
            "titleColor": text,
            "titleFontWeight": 500,
            "gridColor": grid,
            "domainColor": soft,
            "tickColor": soft,
            "labelFontSize": 11,
            "titleFontSize": 12,
        },
        "legend": {"labelColor": text, "labelFontSize": 12, "symbolStrokeWidth": 3},
        "view": {"stroke": None},
        "range": {"category": _COLOURS[theme]},
        "padding": 16,
    }


def _x_axis(chart: Chart) -> dict[str, Any]:
    if chart.x == "time":
        moments = [dot.x for line in chart.lines for dot in line.dots]
        days = (max(moments) - min(moments)) / 86400 if moments else 0
        form = "%Y-%m-%d" if days > 300 else "%b %d" if days > 3 else "%b %d %H:%M"
        axis: dict[str, Any] = {"format": form, "labelOverlap": True}
        return {"field": "x", "type": "temporal", "title": chart.x_title, "axis": axis, "scale": {"padding": _EDGE}}
    if chart.x == "order":
        axis = {"labelAngle": -40 if len(chart.names) > 8 else 0, "labelOverlap": True, "grid": False}
        return {"field": "x", "type": "ordinal", "sort": None, "title": chart.x_title, "axis": axis}
    return {"field": "x", "type": "quantitative", "title": chart.x_title, "scale": _scale(chart.log_x, _xs(chart))}


def _xs(chart: Chart) -> set[float]:
    return {dot.x for line in chart.lines for dot in line.dots}


def _ys(chart: Chart) -> set[float]:
    return {dot.y for line in chart.lines for dot in line.dots if dot.y is not None}


def _scale(log: bool, values: set[float]) -> dict[str, Any]:
    """From the least to the largest value: what is rounded beyond them shows steps and times below zero."""
    if log:
        return {"type": "log", "padding": _EDGE, "nice": False}
    if len(values) == 1:
        # One value has no extent, and its axis no label that tells it.
        (value,) = values
        room = abs(value) / 10 or 1
        return {"zero": False, "domain": [value - room, value + room]}
    return {"zero": False, "padding": _EDGE, "nice": False}


def _tooltip(chart: Chart) -> list[dict[str, Any]]:
    x: dict[str, Any] = {"field": "x", "title": chart.x_title}
    x["type"] = {"time": "temporal", "order": "nominal", "number": "quantitative"}[chart.x]
    if chart.x == "time":
        x["format"] = "%Y-%m-%d %H:%M"
    return [
        {"field": "line", "type": "nominal", "title": " "},
        x,
        {"field": "y", "type": "quantitative", "title": chart.y_title or "value", "format": ".6~g"},
        {"field": "label", "type": "nominal", "title": "commit"},
    ]


def _rows(chart: Chart, lines: list[Line]) -> list[dict[str, Any]]:
    rows = []
    for line in lines:
        for dot in line.dots:
            x: Any = dot.x
            if chart.x == "order":
                x = chart.names[int(dot.x)]
            elif chart.x == "time":
                x = dot.x * 1000  # milliseconds
            y = None if dot.y is not None and chart.log_y and dot.y <= 0 else dot.y
            if not (chart.log_x and dot.x <= 0):
                rows.append({"x": x, "y": y, "line": line.name, "label": dot.label})
    return rows
