"""A remote, as text (Git's) and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mvc.cli.tables import text_width
from mvc.cli.text import printable, printable_path
from mvc.ops.remote_show import RemoteInfo

_STATES = {
    "tracked": "tracked",
    "new": "new (next fetch will store in remotes/{})",
    "stale": "stale (use 'mvc remote prune' to remove)",
    "": "",
}


def remote_lines(info: RemoteInfo) -> Iterator[str]:
    """`remote show`."""
    yield f"* remote {printable_path(info.urls.name)}"
    yield f"  Fetch URL: {printable(info.urls.fetch)}"
    yield f"  Push  URL: {printable(info.urls.push)}"
    head = "(not queried)" if not info.asked else printable_path(info.head) if info.head else "(unknown)"
    yield f"  HEAD branch: {head}"
    rows = [[printable_path(one.name), _STATES[one.state].format(info.urls.name)] for one in info.branches]
    yield from _section("Remote branch", "es", ":" if info.asked else ": (status not queried)", rows)
    here = [printable_path(name) for name, _, _ in info.pulls]
    ways = [
        f"{'rebases onto' if rebases else 'merges with'} remote {printable_path(there)}"
        for _, there, rebases in info.pulls
    ]
    yield from _section("Local branch", "es", " configured for 'mvc pull':", list(zip(here, ways, strict=True)))
    pushes = [
        (printable_path(one.name), f"pushes to {printable_path(one.target)}", f"({one.state})") for one in info.pushes
    ]
    if info.asked:
        yield from _section("Local ref", "s", " configured for 'mvc push':", pushes)
    else:
        rows = [["(matching)", "pushes to (matching)"]]
        yield from _section("Local ref", "s", " configured for 'mvc push' (status not queried):", rows)


def _section(title: str, plural: str, tail: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield f"  {title}{plural if len(rows) > 1 else ''}{tail}"
    widths = [max(text_width(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell + " " * (width - text_width(cell)) for cell, width in zip(row, widths, strict=False)]
        yield f"    {' '.join([*cells, row[-1]])}".rstrip()


def remote_json(info: RemoteInfo) -> dict[str, Any]:
    """For `--json`."""
    return {
        "name": info.urls.name,
        "fetch": info.urls.fetch,
        "push": info.urls.push,
        "asked": info.asked,
        "head": info.head,
        "branches": [{"name": one.name, "state": one.state or None} for one in info.branches],
        "pulls": [{"branch": name, "merge": there, "rebase": rebases} for name, there, rebases in info.pulls],
        "pushes": [{"branch": one.name, "target": one.target, "state": one.state or None} for one in info.pushes],
    }
