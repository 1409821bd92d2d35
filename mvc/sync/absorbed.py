"""Which Git packs of a remote need not be fetched: their objects came from here, or are here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mvc import fsio
from mvc.errors import NotFound
from mvc.objects.database import Objects
from mvc.sync import keys
from mvc.sync.remotes import Remote
from mvc.sync.state import GitPack, State

LARGE = 512 * 1024
"""Of a pack of so many bytes the idx is looked at first: that is another request, but many bytes fewer."""
_MOST = 256 * 1024 * 1024
_MAGIC = b"\xfftOc\0\0\0\x02"
_IDS = 8 + 1024


def tells_nothing_new(remote: Remote, pack: GitPack, objects: Objects) -> bool:
    """Whether the idx of a large pack names only what is here. If it lies, what is lacking is found to be, later."""
    if pack.size < LARGE or pack.idx_size > _MOST:
        return False
    try:
        data = remote.backend.get(keys.git_idx(pack.id), 0, pack.idx_size)
    except NotFound:
        return False
    count = int.from_bytes(data[_IDS - 4 : _IDS])
    if data[: len(_MAGIC)] != _MAGIC or not count or len(data) < _IDS + 20 * count:
        return False
    return all(objects.contains(data[at : at + 20].hex()) for at in range(_IDS, _IDS + 20 * count, 20))


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
