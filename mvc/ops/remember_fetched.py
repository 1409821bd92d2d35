"""What `log` reads of commits, remembered as they come: derived, so nothing here can fail."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice

from mvc.errors import MvcError
from mvc.metadata.model import CACHE
from mvc.metadata.remembered import RememberingReader
from mvc.metadata.tree import METRICS, PARAMS, MetadataReader
from mvc.objects.walk import Selection, walk
from mvc.ops.log import MOST_AT_ONCE, batches
from mvc.ops.names import HEADS
from mvc.repo.repository import Repository
from mvc.sync.fetch import FetchResult

MANY = 128
"""Commits. Where fewer come, they are left to `log`."""


def remember_fetched(repo: Repository, result: FetchResult) -> None:
    """Read the params and metrics of the commits that came, if they are many: else the first `log` had to."""
    tips = tuple(dict.fromkeys([row.new for row in result.refs if row.new and row.source.startswith(HEADS)]))
    if result.objects < MANY or not tips:
        return
    with suppress(MvcError):
        reader = RememberingReader(MetadataReader(repo.objects, (PARAMS, METRICS)), repo.common_dir / CACHE)
        for batch in batches(islice(walk(repo.objects, Selection(include=tips)), result.objects), most=MOST_AT_ONCE):
            try:
                reader.read_all([commit.tree for commit in batch])
            except MvcError:  # what nobody can read is left to `log`
                continue
        if reader.fresh >= MANY:
            reader.save(repo.tmp_dir)
