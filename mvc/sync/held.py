"""Whether a remote holds chunks, as it says now: asked before the copy goes that it could bring back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mvc.progress import SILENT, Progress
from mvc.sync.holdings import Holdings
from mvc.sync.remotes import Remote

Held = Callable[[Sequence[bytes]], bool]
"""Whether all of these chunks, with what they rest on, are in packs that are listed and there in their full size."""


def held_by(remote: Remote, progress: Progress = SILENT) -> Held:
    """Asks the remote for its state, once. Raises NotFound, NetworkError, AuthError, IntegrityError."""
    holdings = Holdings(remote, progress)

    def held(names: Sequence[bytes]) -> bool:
        return holdings.held(names) == set(names)

    return held
