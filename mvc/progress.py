"""How the core tells of its progress, without knowing of a terminal."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Takes what a long operation has to say. Calls may come from several threads.

    The core calls `advance` as often as it likes: whoever renders throttles.
    """

    def begin(self, title: str, total: int | None = None, unit: str = "bytes") -> None:
        """A step begins: `total` units of `unit` ("bytes", "files", "chunks", ...), if known."""

    def advance(self, amount: int) -> None:
        """`amount` more units of the running step are done."""

    def warn(self, message: str) -> None:
        """Something that the user should know, though the operation goes on: one line."""

    def end(self) -> None:
        """The running step is over."""


class NullProgress:
    """Says nothing."""

    def begin(self, title: str, total: int | None = None, unit: str = "bytes") -> None:
        pass

    def advance(self, amount: int) -> None:
        pass

    def warn(self, message: str) -> None:
        pass

    def end(self) -> None:
        pass


SILENT: Progress = NullProgress()
