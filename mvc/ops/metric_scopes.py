"""Metrics of one file alone ("acc@model.bin"): is it there?"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mvc.objects import trees
from mvc.objects.reader import ObjectReader

_FIGURE = re.compile(r"[\d.][^/]*|[a-z]", re.IGNORECASE)
"""What stands behind the "@" of recall@10, mAP@0.5:0.95 and pass@k is no path."""


def scopes_nowhere(objects: ObjectReader, tree: str, names: Iterable[str]) -> tuple[str, ...]:
    """What a person should be told of these metrics: which are of a path that is not in the tree."""
    told = []
    for name in names:
        _, *parts = name.split("@")
        # A path may hold an "@" itself, and so may the name of the metric.
        paths = ["@".join(parts[at:]) for at in range(len(parts))]
        if not paths or _FIGURE.fullmatch(paths[-1]):
            continue
        if not any(path and trees.entry_at(objects, tree, path) is not None for path in paths):
            told.append(f"metrics.{name}: there is no '{paths[0]}' in this commit")
    return tuple(told)
