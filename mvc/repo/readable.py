"""What reading a version takes of a repository: not a worktree, a stage or chunks. A server has as much."""

from __future__ import annotations

from typing import Protocol

from mvc.objects.reader import ObjectReader
from mvc.objects.reffiles import RefFiles
from mvc.settings import Settings


class Readable(Protocol):
    """A `Repository` is one."""

    @property
    def objects(self) -> ObjectReader: ...

    @property
    def refs(self) -> RefFiles: ...

    @property
    def settings(self) -> Settings: ...
