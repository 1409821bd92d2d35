"""Which Git packs of a remote need not be fetched: their objects came from here, or are here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mvc import fsio
from mvc.sync.state import State


class Absorbed:
    """A list of ids in the remote's memory. Losing it costs a download, and what it says is never relied on."""

    def __init__(self, memory: Path) -> None:
        self._path = memory / "git-packs"

    def ids(self) -> set[str]:
        """The ids (40 hex) of the packs."""
        try:
            return set(self._path.read_text("ascii", "replace").split())
        except FileNotFoundError:
            return set()

    def add(self, state: State, ids: Iterable[str]) -> None:
        """Remember these, and forget those that the remote has no more."""
        live = {pack.id for pack in state.git_packs}
        known = sorted((self.ids() | set(ids)) & live)
        fsio.make_dirs(self._path.parent)
        fsio.write_atomic(self._path, "".join(f"{one}\n" for one in known).encode(), sync=False)

    def clear(self) -> None:
        """Forget all."""
        fsio.unlink(self._path, missing_ok=True)
