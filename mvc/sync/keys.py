"""Where things stand in a remote: its keys. docs/format/remote.md."""

from __future__ import annotations

FORMAT = "mvc-remote"
"""Says that this is a remote, of what format, and how its chunks are named."""
LATEST = "latest"
"""A hint at the newest entry of the log."""
LOG = "txn/"
LEASES = "leases/"
BEAT = ".beat"
GC = "gc/"
"""Lists of what gc is about to remove, or has just removed."""


def entry(seq: int) -> str:
    """An entry of the log."""
    return f"{LOG}{seq:012d}"


def git_pack(pack_id: str) -> str:
    """A Git pack; its idx beside it ends in `.idx`."""
    return f"git/{pack_id}.pack"


def git_idx(pack_id: str) -> str:
    """The idx of a Git pack."""
    return f"git/{pack_id}.idx"


def chunk_pack(pack_id: str) -> str:
    """A pack of chunks."""
    return f"packs/{pack_id[:2]}/{pack_id}.pack"


def chunk_idx(idx_id: str) -> str:
    """An idx of packs of chunks."""
    return f"idx/{idx_id}.idx"


def lease(nonce: str) -> str:
    """The sign that a writer is at work."""
    return f"{LEASES}{nonce}"


def beat(nonce: str) -> str:
    """The newest sign of the writer that holds a lease."""
    return f"{LEASES}{nonce}{BEAT}"


def condemned(nonce: str) -> str:
    """A list of what gc is about to remove."""
    return f"{GC}{nonce}"
