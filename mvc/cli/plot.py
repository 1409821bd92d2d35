"""`mvc plot`: parse, call `mvc.ops.plot`, draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mvc.charts.model import Chart
from mvc.cli.command import json_flag, verb
from mvc.cli.output import write_text
from mvc.cli.session import Session
from mvc.cli.text import one_line
from mvc.errors import Unsupported, UsageError
from mvc.lazy import load
from mvc.ops.commits_named import Asking
from mvc.ops.plot import PlotOptions, plot

DRAWN = {
    "terminal": "mvc.charts.terminal:terminal_text",
    "svg": "mvc.charts.vega:svg",
    "html": "mvc.charts.interactive:chart_page",
}
"""Loaded for the one picture that is asked for."""

_HEIGHT = 20


@verb
@click.argument("metrics", nargs=-1, required=True, metavar="METRIC...")
@click.option("--of", "sources", metavar="REV|A..B|RUN|QUERY", multiple=True, help="Whose figures; several are lines.")
@click.option(
    "--by", metavar="step|commit|time|PARAM", default="auto", help="What stands below: else steps, where there are any."
)
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=200, show_default=True, help="Of commits, the newest."
)
@click.option("--smooth", type=float, default=0.0, metavar="WEIGHT", help="A moving average, as TensorBoard's.")
@click.option("--log-x", is_flag=True, help="x in powers of ten.")
@click.option("--log-y", is_flag=True, help="y in powers of ten.")
@click.option("--together", is_flag=True, help="All metrics in one picture.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file .svg or .html instead.")
@click.option("--dark", is_flag=True, help="An .svg for a dark page.")
@click.option("--title", default=None, help="The picture's title.")
@json_flag
def command(
    session: Session,
    metrics: tuple[str, ...],
    sources: tuple[str, ...],
    output: Path | None,
    dark: bool,
    title: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Draw metrics over training steps or commits.

    In the terminal; with -o as .svg, or as an .html page that zooms, tells what each dot is, and needs nothing but
    itself. METRIC may be a glob. A run is named as in refs/runs/RUN.
    """
    kind = _kind(output)
    asking = Asking(session.home, options["limit"], session.progress)
    charts = plot(session.repo(), PlotOptions(metrics, sources or ("HEAD",), asking=asking, **options))
    if title is not None:
        charts = tuple(chart._replace(title=title) for chart in charts[:1]) + charts[1:]
    if as_json:
        session.emit_json("plot", {"charts": [_document(chart) for chart in charts]})
    elif kind == "terminal":
        draw = load(DRAWN[kind])
        for chart in map(_safe, charts):
            session.emit_text(draw(chart, width=session.width, height=_HEIGHT, colour=session.paint.on), end="")
            if chart.x == "order" and len(chart.names) > 1:
                session.emit_text(f"{chart.x_title} 0 is {chart.names[0]}, {len(chart.names) - 1} is {chart.names[-1]}")
    else:
        write_text(session, output, _picture(kind, charts, dark))


def _kind(output: Path | None) -> str:
    suffix = output.suffix.lower() if output is not None else ""
    if output is not None and suffix not in (".svg", ".html", ".htm"):
        raise UsageError(f"'{output}' is neither .svg nor .html", hint="mvc plot METRIC -o picture.svg")
    return {"": "terminal", ".svg": "svg"}.get(suffix, "html")


def _picture(kind: str, charts: Sequence[Chart], dark: bool) -> str:
    if kind == "svg" and len(charts) > 1:
        raise UsageError(f"an .svg holds one picture, and these are {len(charts)}", hint="--together, or -o FILE.html")
    try:
        draw = load(DRAWN[kind])
    except ModuleNotFoundError as error:
        raise Unsupported(f"a picture needs the package {error.name}", hint="pip install 'mvc-models[plot]'") from None
    text: str
    if kind == "svg":
        text = draw(charts[0], theme="dark" if dark else "light")
    else:
        text = draw(", ".join(chart.title for chart in charts), charts)
    return text


def _safe(chart: Chart) -> Chart:
    """Nobody's metric may move the cursor."""
    lines = tuple(line._replace(name=one_line(line.name)) for line in chart.lines)
    return chart._replace(title=one_line(chart.title), lines=lines)


def _document(chart: Chart) -> dict[str, Any]:
    return {
        "title": chart.title,
        "x": chart.x_title,
        "names": list(chart.names),
        "lines": [
            {"name": line.name, "points": [{"x": dot.x, "y": dot.y, "of": dot.label} for dot in line.dots]}
            for line in chart.lines
        ],
    }
