"""Long lines made short without losing what an eye would see: peaks, dips, gaps and both ends."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from mvc.charts.model import Dot, Line


def thinned(line: Line, most: int) -> Line:
    """A line of at most some `most` dots: of each run of neighbours the first, lowest, highest and last.

    (Min-max decimation with both ends of each bucket: Jugel et al., "M4: A Visualization-Oriented Time Series Data
    Aggregation", VLDB 2014.) A gap stays one.
    """
    if len(line.dots) <= most:
        return line
    buckets = max(most // 4, 1)
    ordered = enumerate(line.dots)
    count = len(line.dots)
    kept: list[Dot] = []
    for _, members in groupby(ordered, key=lambda pair: pair[0] * buckets // count):
        kept += _of_bucket([dot for _, dot in members])
    return Line(line.name, tuple(kept))


def smoothed(line: Line, weight: float) -> Line:
    """The exponential moving average, without the pull to zero at its start, as TensorBoard draws it.

    `weight` of what was before lies in [0, 1).
    """
    average = total = 0.0
    dots: list[Dot] = []
    for dot in line.dots:
        if dot.y is None:
            dots.append(dot)
            continue
        average = average * weight + (1 - weight) * dot.y
        total = total * weight + (1 - weight)
        dots.append(dot._replace(y=average / total))
    return Line(line.name, tuple(dots))


def _of_bucket(dots: list[Dot]) -> Iterator[Dot]:
    drawn = [(dot.y, at) for at, dot in enumerate(dots) if dot.y is not None]
    kept = {0, len(dots) - 1}
    if drawn:
        kept |= {min(drawn)[1], max(drawn)[1]}
    gap = next((at for at, dot in enumerate(dots) if dot.y is None), None)
    if gap is not None:
        kept.add(gap)
    return (dots[at] for at in sorted(kept))
