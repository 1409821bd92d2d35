"""A chart as values: lines of points over a number, a moment, or commits in their order."""

from __future__ import annotations

from typing import Literal, NamedTuple

Scale = Literal["number", "time", "order"]
"""What x is: a number, seconds since 1970, or a place in a row that has names."""


class Dot(NamedTuple):
    """A point. `y` is None where there is no figure, or none that can be drawn (NaN, infinity): the line breaks."""

    x: float
    y: float | None
    label: str = ""
    """What it is, as people name it: a commit and its message."""


class Line(NamedTuple):
    """Dots in the order of x."""

    name: str
    dots: tuple[Dot, ...]


class Chart(NamedTuple):
    """All that a picture shows."""

    title: str
    x_title: str
    y_title: str
    lines: tuple[Line, ...]
    x: Scale = "number"
    names: tuple[str, ...] = ()
    """Where x is an order: the name at each place."""
    log_x: bool = False
    log_y: bool = False
    joined: bool = True
    """Whether dots are joined to lines; else they stand alone (a metric over a param)."""
