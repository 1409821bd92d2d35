"""The rich console, for the reports that want tables and bars."""

from __future__ import annotations

from typing import IO

from rich.console import Console


def make_console(stream: IO[str], *, colour: bool, width: int) -> Console:
    """A console on `stream`: no markup, no highlighting, as wide as the terminal."""
    return Console(
        file=stream,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        color_system="auto" if colour else None,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
    )
