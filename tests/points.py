"""At which of many points a test lets something fail. MVC_TEST_EVERY=1 is all of them, 5 each fifth."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

EVERY = int(os.environ.get("MVC_TEST_EVERY", "0"))


def spread(total: int, which: int, every: int) -> range:
    """Each `every`-th of `total`, counted from 0. Tests that differ in `which` share all of them out among them."""
    every = EVERY or every
    return range(which % every, total, every)


def of_each_kind(steps: Sequence[tuple[str, str]], top: Path, every: int) -> list[int]:
    """Numbers, counted from 1, of steps (operation, path) below `top`: the first of each kind, and each `every`-th.

    Two are of one kind if their paths differ in digits, names of objects and names of temporary files alone.
    """
    every = EVERY or every
    seen: set[tuple[str, str]] = set()
    found = []
    for number, (operation, path) in enumerate(steps, 1):
        short = os.path.relpath(path, top) if os.path.isabs(path) else path
        kind = operation, re.sub(r"tmp[^/]*|[0-9a-f]{6,}|\d+", "#", short)
        if (kind not in seen and EVERY == 0) or number % every == 0:
            found.append(number)
        seen.add(kind)
    return found
