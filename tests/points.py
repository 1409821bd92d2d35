"""At which of many points a test lets something fail: at each of them.

MVC_TEST_EVERY=5 takes the first point of each kind, and each fifth, where that is to be quick.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

EVERY = int(os.environ.get("MVC_TEST_EVERY", "1"))


def spread(total: int, which: int) -> range:
    """Numbers below `total`. Where not all are taken, tests that differ in `which` share them out among them."""
    return range(which % EVERY, total, EVERY)


def of_each_kind(steps: Sequence[tuple[str, str]], top: Path) -> list[int]:
    """Numbers, counted from 1, of steps (operation, path) below `top`: all, or the first of each kind and some others.

    Two are of one kind if their paths differ in digits, names of objects and names of temporary files alone.
    """
    seen: set[tuple[str, str]] = set()
    found = []
    for number, (operation, path) in enumerate(steps, 1):
        short = os.path.relpath(path, top) if os.path.isabs(path) else path
        kind = operation, re.sub(r"tmp[^/]*|[0-9a-f]{6,}|\d+", "#", short)
        if kind not in seen or number % EVERY == 0:
            found.append(number)
        seen.add(kind)
    return found
