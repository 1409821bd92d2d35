"""What remotes were seen to hold: so that a chunk which is not here is *promised*, and not lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from mvc.repo.repository import Repository
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotelog import remembered_state, remembered_url
from mvc.sync.remotes import memories


class Promises:
    """The chunks of all remotes, as last seen. Asks nobody."""

    def __init__(self, repo: Repository) -> None:
        self._held: list[tuple[str, RemoteIndex]] = []
        self._nameless: set[str] = set()
        for memory in memories(repo):
            state = remembered_state(memory)
            if state is not None:
                self._held.append((_name(memory), RemoteIndex.cached(memory, state)))
                if memory.name.startswith("@"):
                    self._nameless.add(_name(memory))

    def holder(self, name: bytes) -> str | None:
        """The remote that was seen to hold this chunk; None: it is lost, unless it is here."""
        return next((remote for remote, index in self._held if name in index), None)

    def knows(self, remote: str) -> bool:
        """Whether anything was seen of this remote."""
        return any(name == remote for name, _ in self._held)

    def only(self, remote: str, name: bytes) -> bool:
        """Whether this remote was seen to hold this chunk, and no other was that has a name."""
        holders = [other for other, index in self._held if other not in self._nameless and name in index]
        return holders == [remote]

    def holds(self, name: bytes) -> bool:
        """Whether some remote was seen to hold this chunk."""
        return self.holder(name) is not None


def promised(repo: Repository) -> Callable[[bytes], bool]:
    """As `Promises.holds`; what is remembered is read when it is asked for the first time."""
    loaded: list[Promises] = []

    def holds(name: bytes) -> bool:
        if not loaded:
            loaded.append(Promises(repo))
        return loaded[0].holds(name)

    return holds


def _name(memory: Path) -> str:
    return remembered_url(memory) if memory.name.startswith("@") else unquote(memory.name)
