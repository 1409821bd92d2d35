"""Charts: what they show, that they show it whole, and that no name in them does harm."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.charts.model import Chart, Dot, Line
from mvc.charts.terminal import terminal_text
from mvc.charts.thin import smoothed, thinned

DECAY = Line("loss", tuple(Dot(step, math.exp(-step / 100)) for step in range(300)))
HOSTILE = "</script><script>alert(1)</script><b>\u2028&'\"\x1b[2J"


class Elements(HTMLParser):
    """The names of elements, and of all their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes.update(name for name, _ in attrs)


def chart(*lines: Line, **more: object) -> Chart:
    return Chart("loss", "step", "loss", lines)._replace(**more)  # type: ignore[arg-type]


floats = st.one_of(st.none(), st.floats(-1e9, 1e9))


@given(st.lists(floats, max_size=400), st.integers(4, 50))
def test_thinning_keeps_the_ends_the_extremes_and_the_gaps(ys: list[float | None], most: int) -> None:
    line = Line("a", tuple(Dot(x, y) for x, y in enumerate(ys)))
    thin = thinned(line, most)
    assert set(thin.dots) <= set(line.dots) and [dot.x for dot in thin.dots] == sorted(dot.x for dot in thin.dots)
    assert len(thin.dots) <= max(most // 4, 1) * 5 or len(ys) <= most
    if ys:
        assert thin.dots[0] == line.dots[0] and thin.dots[-1] == line.dots[-1]
        drawn = [y for y in ys if y is not None]
        kept = [dot.y for dot in thin.dots if dot.y is not None]
        assert bool(drawn) == bool(kept)
        if drawn:
            assert (min(drawn), max(drawn)) == (min(kept), max(kept))
        assert (None in ys) == (None in [dot.y for dot in thin.dots])


def test_smoothing_begins_at_the_first_value_and_keeps_gaps() -> None:
    line = Line("a", (Dot(0, 4.0), Dot(1, None), Dot(2, 8.0)))
    assert smoothed(line, 0.0) == line
    first, gap, last = smoothed(line, 0.5).dots
    assert first.y == 4.0 and gap.y is None and last.y == pytest.approx((4 * 0.25 + 8 * 0.5) / 0.75)


@pytest.mark.parametrize(
    "made",
    [
        chart(DECAY),
        chart(DECAY, Line("other", (Dot(0, 0.5), Dot(100, None), Dot(200, 0.25)))),
        chart(DECAY, log_y=True),
        chart(Line("a", (Dot(0, -1.0), Dot(1, 1.0))), log_x=True, log_y=True),
        chart(Line("a", (Dot(0, 0.5),))),
        chart(Line("a", (Dot(0, None),))),
        chart(Line("a", (Dot(0, 0.5), Dot(1, 0.5))), x="order", names=("abc", "def")),
        chart(Line("a", (Dot(1_790_000_000, 0.5), Dot(1_790_086_400, 0.75))), x="time"),
        chart(Line("a", (Dot(1e-5, 0.5), Dot(1e-3, 0.75))), joined=False, log_x=True),
    ],
    ids=["one", "gap", "log", "not in a log", "single", "nothing", "order", "time", "dots"],
)
def test_every_chart_is_drawn_everywhere(made: Chart) -> None:
    text = terminal_text(made, width=72, height=18, colour=False)
    assert "loss" in text and "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 72
    pytest.importorskip("vl_convert")
    from mvc.charts.vega import svg

    for theme in ("light", "dark"):
        ElementTree.fromstring(svg(made, theme=theme))  # type: ignore[arg-type]


def test_one_value_is_read_as_what_it_is() -> None:
    """An axis without extent had one label, rounded to a whole number: 0.3 was read as 0."""
    single = chart(Line("a", (Dot(5, 0.3),)))
    assert terminal_text(single, width=72, height=18, colour=False) == "loss at step 5: 0.3\n"
    pytest.importorskip("vl_convert")
    from mvc.charts.vega import svg

    labels = re.findall(r">([\d.,−]+)</text>", svg(single))
    assert {"0.300", "5.00"} <= set(labels), labels
    steps = chart(Line("a", tuple(Dot(step, 1.0 + step) for step in range(0, 100_001, 1000))))
    assert "−" not in "".join(re.findall(r">([\d.,−]+)</text>", svg(steps)))


def test_colour_is_for_terminals_that_have_it() -> None:
    assert "\x1b[" in terminal_text(chart(DECAY), width=72, height=18, colour=True)


def test_a_page_needs_nothing_but_itself_and_runs_no_name() -> None:
    pytest.importorskip("vl_convert")
    from mvc.charts.interactive import chart_page

    line = Line(HOSTILE, (Dot(0, 1.0, HOSTILE), Dot(1, 2.0)))
    text = chart_page(HOSTILE, [chart(line, title=HOSTILE)])
    assert "alert(1)</script>" not in text and "<b>" not in text
    found = Elements()
    found.feed(text)
    assert not {"src", "href"} & found.attributes and found.names.count("script") == 3 and "b" not in found.names
    assert "default-src 'none'" in text
    data = re.search(r'<script type="application/json" id="charts">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert json.loads(data[1])["specifications"][0]["data"]["values"][0]["line"] == HOSTILE


def test_a_picture_holds_every_value_that_can_be_drawn() -> None:
    pytest.importorskip("vl_convert")
    from mvc.charts.vega import specification

    made = specification(
        chart(Line("a", (Dot(0, 0.5, "abc"), Dot(1, None))), x="order", names=("x", "y")), interactive=True
    )
    assert made["data"]["values"] == [
        {"x": "x", "y": 0.5, "line": "a", "label": "abc"},
        {"x": "y", "y": None, "line": "a", "label": ""},
    ]
    assert {param["name"] for param in made["params"]} == {"chosen", "view"}
