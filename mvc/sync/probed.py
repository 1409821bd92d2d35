"""Whether a remote may be written to: asked of it once, and remembered."""

from __future__ import annotations

import contextlib

from mvc import fsio
from mvc.backends.probe import probe, require
from mvc.sync.remotes import Remote


def require_writable(remote: Remote) -> None:
    """Before the first write: does the store keep two from making one key? Raises Unsupported; the answer is kept."""
    if remote.backend.capabilities.vouched:
        return
    note = remote.memory / "probed"
    address = remote.backend.url.encode("utf-8", "surrogateescape")
    with contextlib.suppress(FileNotFoundError):
        if note.read_bytes() == address:
            return
    require(remote.backend, probe(remote.backend))
    fsio.make_dirs(note.parent)
    fsio.write_atomic(note, address, sync=False)
