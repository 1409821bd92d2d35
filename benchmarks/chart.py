"""The README's chart: bytes and seconds of four tools, as an SVG that reads on light and dark pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.results import Figures, Results

TOOLS = ("mvc", "Xet", "DVC", "Git LFS")
PANEL, GAP, TOP, ROW, BAR, LABEL = 252, 34, 64, 30, 18, 58

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .note { font-size: 11.5px; fill: #59636e }
  .bar { fill: #b6bfc9 } .ours { fill: #0a7d5a } .first { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .note { fill: #9198a1 } .bar { fill: #4a525c } .ours { fill: #3fb68b }
  }"""


@dataclass(frozen=True, slots=True)
class Panel:
    """A group of bars: a title, what it measures, and a value a tool, with how to write it."""

    title: str
    note: str
    values: dict[str, float]
    write: Callable[[float], str]


def panels(results: Results) -> list[Panel]:
    """The three questions a reader has, as far as measured."""

    def values(case: str, value: Callable[[Figures], float]) -> dict[str, float]:
        return {tool: value(results.get(case, tool)) for tool in TOOLS if results.get(case, tool)}

    def megabytes(value: float) -> str:
        return f"{value / 1e6:.0f} MB"

    def seconds(value: float) -> str:
        return f"{value:.1f} s"

    series, large = "real/fine-tunes", "synthetic"
    any_raw = next((results.get(series, tool)["raw"] for tool in results.tools(series)), 0)
    any_large = next((results.get(large, tool)["raw"] for tool in results.tools(large)), 0)
    every = [
        Panel(
            "Stored",
            f"a real model and 3 fine-tunes, {any_raw / 1e6:.0f} MB",
            values(series, lambda figures: figures["stored"]),
            megabytes,
        ),
        Panel("Commit", f"a model of {any_large / 1e9:.1f} GB", values(large, lambda f: f["base"]["wall"]), seconds),
        Panel("Go back", "from its fine-tune to it", values(large, lambda f: f["to base"]["wall"]), seconds),
    ]
    return [panel for panel in every if panel.values]


def draw(shown: list[Panel]) -> str:
    """The SVG's text."""
    width = len(shown) * PANEL + (len(shown) - 1) * GAP
    height = TOP + len(TOOLS) * ROW + 6
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="Bytes stored and seconds taken by mvc, Xet, DVC and Git LFS">',
        f"<style>{STYLE}\n</style>",
    ]
    for number, panel in enumerate(shown):
        parts += _panel(panel, number * (PANEL + GAP))
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel, left: int) -> list[str]:
    parts = [
        f'<text class="title" x="{left}" y="18">{escape(panel.title)}</text>',
        f'<text class="note" x="{left}" y="36">{escape(panel.note)}</text>',
    ]
    longest = max(panel.values.values(), default=1) or 1
    room = PANEL - LABEL - 58
    for row, tool in enumerate(TOOLS):
        y = TOP + row * ROW
        ours = tool == "mvc"
        strong = ' class="first"' if ours else ""
        parts.append(f'<text x="{left}" y="{y + 13}"{strong}>{escape(tool)}</text>')
        if tool not in panel.values:
            parts.append(f'<text class="note" x="{left + LABEL}" y="{y + 13}">not measured</text>')
            continue
        value = panel.values[tool]
        long = max(2.0, room * value / longest)
        parts.append(
            f'<rect class="{"ours" if ours else "bar"}" x="{left + LABEL}" y="{y}" '
            f'width="{long:.1f}" height="{BAR}" rx="2"/>'
        )
        text = escape(panel.write(value))
        parts.append(f'<text x="{left + LABEL + long + 6:.1f}" y="{y + 13}"{strong}>{text}</text>')
    return parts


def write_chart(results: Results, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(draw(panels(results)), encoding="utf-8")
