"""Whether a remote holds chunks: by its newest entry, read just now, and by asking for the packs that it lists."""

from __future__ import annotations

from collections.abc import Iterable

from mvc.progress import SILENT, Progress
from mvc.sync import keys
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotes import Remote


class HeldBy:
    """The chunks of a remote, as it told when this was made. Asks once for each pack that is relied on."""

    def __init__(self, remote: Remote, progress: Progress = SILENT) -> None:
        """Raises what asking raises: NotFound, NetworkError, AuthError, IntegrityError."""
        self._remote = remote
        self._state = remote.state()
        self._index, _ = RemoteIndex.of(remote, self._state, progress)
        self._sizes = {bytes.fromhex(pack.id): pack.size for pack in self._state.chunk_packs}
        self._stands: dict[bytes, bool] = {}

    def __call__(self, names: Iterable[bytes]) -> bool:
        """Whether all of these chunks are in packs that the remote lists, and which are there in their full size."""
        return all(self._holds(name) for name in names)

    def _holds(self, name: bytes) -> bool:
        return any(self._pack_stands(place.pack) for place in self._index.copies(name))

    def _pack_stands(self, pack_id: bytes) -> bool:
        if pack_id not in self._stands:
            size = self._remote.backend.size(keys.chunk_pack(pack_id.hex()))
            self._stands[pack_id] = size == self._sizes[pack_id]
        return self._stands[pack_id]
