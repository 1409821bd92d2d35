"""A chart as a page of HTML that carries its own script (Vega-Embed): hover, zoom, choose; light and dark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache

import vl_convert

from mvc.charts.model import Chart
from mvc.charts.page import page
from mvc.charts.vega import VERSION, configuration, specification

_STYLE = """
.chart { width: 100%; margin: 0 0 24px; }
.vega-embed summary { opacity: .6 !important; }
#vg-tooltip-element { font: 12px system-ui, sans-serif; }
"""
_SCRIPT = """
const charts = JSON.parse(document.getElementById("charts").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
function draw() {
  const theme = dark.matches ? "dark" : "light";
  charts.specifications.forEach((given, at) => {
    const made = Object.assign({}, given, {width: "container", height: 380});
    // Expressions are interpreted, not compiled, as the page forbids the making of code.
    vegaEmbed("#chart" + at, made, {config: charts.themes[theme], renderer: "svg", ast: true,
      tooltip: {theme: theme}, actions: {export: true, source: false, compiled: false, editor: false}});
  });
}
dark.addEventListener("change", draw);
draw();
"""


def chart_page(title: str, charts: Sequence[Chart]) -> str:
    """The whole document, charts one below the other. About 0.9 MB, nearly all of it Vega."""
    shown = [chart._replace(title="") for chart in charts] if len(charts) == 1 else charts
    data = {
        "specifications": [specification(chart, interactive=True) for chart in shown],
        "themes": {"light": configuration("light"), "dark": configuration("dark")},
    }
    # In a script element nothing may look like its end.
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    places = "\n".join(f'<div class="chart" id="chart{at}"></div>' for at in range(len(charts)))
    body = (
        f'{places}\n<script type="application/json" id="charts">{text}</script>\n'
        f"<script>{_bundle()}</script>\n<script>{_SCRIPT}</script>"
    )
    return page(
        title, body, style=_STYLE, footer="wheel and drag move the axes; a click into the legend leaves one line"
    )


@cache
def _bundle() -> str:
    made: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VERSION)
    return made.replace("</script", "<\\/script")
