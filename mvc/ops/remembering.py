"""What `log` reads of a commit, remembered as it is made: derived, so nothing here can fail."""

from __future__ import annotations

from contextlib import suppress

from mvc.errors import MvcError
from mvc.metadata.model import CACHE
from mvc.metadata.remembered import append, line_of
from mvc.repo.repository import Repository


def remember(repo: Repository, tree: str) -> None:
    """Add the params and metrics of a new commit, by the id of its tree."""
    # Read, not taken from who wrote them: so what `log` says with the file and without is the same.
    with suppress(MvcError):
        line = line_of(repo.objects, tree)
        if line is not None:
            append(repo.common_dir / CACHE, line, repo.tmp_dir)
