"""What one history has that another has not: for push, and for holding together what was fetched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mvc.errors import IntegrityError, UnsafePath
from mvc.objects import ancestry
from mvc.objects.model import METADATA_DIR, TREE
from mvc.objects.reachable import Reached, walk_objects
from mvc.objects.reader import ObjectReader


def new_objects(objects: ObjectReader, tips: Iterable[str], have: Iterable[str]) -> Iterator[Reached]:
    """Every object that `tips` (of any kind) reach, but for what the commits `have` hold.

    What is in `have` all over its history is not looked for, as Git does not: only the trees at the border
    are compared. So something old that comes back may come again. Raises MissingObject, IntegrityError.
    """
    tips = list(dict.fromkeys(tips))
    have = list(have)
    seen: set[str] = set()
    for commit in _border(objects, _commits(objects, tips), _commits(objects, have)):
        seen.add(commit)
        for _ in walk_objects(objects, [objects.commit(commit).tree], seen=seen):
            pass
    return walk_objects(objects, tips, seen=seen)


def check_connected(objects: ObjectReader, tips: Iterable[str], have: Iterable[str]) -> int:
    """That all that `tips` reach is there, each of its kind; returns how many objects were looked at.

    Raises MissingObject, IntegrityError, UnsafePath for a `.mvcmeta` that is not at the root.
    """
    count = 0
    for reached in new_objects(objects, tips, have):
        count += 1
        if reached.kind == "blob":
            kind = objects.kind(reached.id)
            if kind != "blob":
                raise IntegrityError(f"{reached.id} stands for a file, and is a {kind}")
        elif reached.kind == "tree" and reached.path:
            for name, mode, _ in objects.tree(reached.id):
                if name == METADATA_DIR and mode == TREE:
                    raise UnsafePath(f"'{reached.path}/{METADATA_DIR}' is not at the root of its tree")
    return count


def _border(objects: ObjectReader, tips: list[str], have: list[str]) -> set[str]:
    """The commits of `have`'s history that the new ones rest on, and tips that are in it."""
    if not have:
        return set()
    fresh = ancestry.only_in(objects, tips, have)
    border = {tip for tip in tips if tip not in fresh}
    for commit in fresh:
        border.update(parent for parent in objects.commit(commit).parents if parent not in fresh)
    return border


def _commits(objects: ObjectReader, tips: Iterable[str]) -> list[str]:
    """The commits that these stand for: themselves, or what tags point to."""
    found = dict.fromkeys(objects.peel(tip) for tip in tips)
    return [one for one in found if objects.kind(one) == "commit"]
