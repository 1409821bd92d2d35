"""What keeps gc from taking a chunk that a writer counts on. (The argument follows with the code.)"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType


class Intent:
    """A registered writer. Keep it until what was written is published (stage or refs), then leave the `with` block."""

    path: Path

    def __enter__(self) -> Intent:
        raise NotImplementedError

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        raise NotImplementedError

    def check(self) -> None:
        """To be called right before publishing: raises Refused if gc has taken this writer for dead."""
        raise NotImplementedError
