"""`mvc upgrade`: bring a repository of an older format to the newest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mvc.repo.repository import Repository
from mvc.settings import FORMAT

STEPS: dict[int, Callable[[Repository], None]] = {}
"""From a format to the next: format n -> what turns a repository of it into one of format n + 1.

Each step may be repeated, and writes the new number into the config as its last deed, so that a
crash leaves a repository of one format or the other. Empty as long as there is one format.
"""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The format before and after; equal when there was nothing to do."""

    before: int
    after: int


def upgrade(repo: Repository, *, dry_run: bool = False) -> Upgraded:
    """Take the steps that lead to the newest format. A repository of a newer one was refused when it was opened."""
    repo.require_writable()
    before = repo.settings.format
    for number in range(before, FORMAT):
        if not dry_run:
            STEPS[number](repo)
    return Upgraded(before, FORMAT)
