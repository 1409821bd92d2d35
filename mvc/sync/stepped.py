"""Aliases and reviews between repositories: they only grow, and each side holds what the other sends to the rules.

An alias has one chain of steps for all clones. Of two who set it at once the one that pushes second is told; a fetch
then takes the chain that stands there, and what was set here alone stays in the reflog, to be set again on top.
"""

from __future__ import annotations

from typing import Literal

from mvc.errors import IntegrityError, MissingObject
from mvc.objects.aliases import check_chain, contains, history
from mvc.objects.reader import ObjectReader
from mvc.objects.refnames import ALIASES, REVIEWS
from mvc.objects.reviews import check_review

STEPPED = (ALIASES, REVIEWS)
"""What of a remote's refs has the same name here."""

_SEEN = "refs/seen/"

SteppedStatus = Literal["new", "fast-forward", "forced", "up-to-date", "rejected"]


def seen_ref(remote: str, ref: str) -> str:
    """Where is kept at which step a remote's alias was when it was seen last."""
    return f"{_SEEN}{remote}/{ref.removeprefix('refs/')}"


def seen_folder(remote: str) -> str:
    """What all of a remote's begin with."""
    return f"{_SEEN}{remote}/"


def stepped(
    objects: ObjectReader, ref: str, old: str | None, new: str, *, force: bool = False
) -> tuple[SteppedStatus, str]:
    """(status, reason) of an alias or review that a remote has at `new`, and that is at `old` here. With `force` an
    alias goes back to it from steps that are here alone: those that a server refuses, say."""
    try:
        if ref.startswith(REVIEWS):
            check_review(objects, ref, new)
            return ("new", "") if old is None else ("rejected", "a review is never changed")
        status, reason = _alias(objects, ref.removeprefix(ALIASES), old, new)
        if force and status == "up-to-date" and old != new:
            return "forced", "back to what stands there; your steps are in the reflog"
        return status, reason
    except MissingObject:
        raise
    except IntegrityError as error:
        return "rejected", error.message


def _alias(objects: ObjectReader, name: str, old: str | None, new: str) -> tuple[SteppedStatus, str]:
    if old is None:
        check_chain(objects, new, name)
        return "new", ""
    if contains(objects, old, name, new):
        return "up-to-date", ""  # ours goes further: a push will tell them
    common = {step.id for step in history(objects, old, name)}
    known = next((step.id for step in history(objects, new, name) if step.id in common), None)
    check_chain(objects, new, name, known)
    if known == old:
        return "fast-forward", ""
    return "forced", "set there meanwhile; yours is in the reflog, to be set again"
