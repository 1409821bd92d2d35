"""What one request may take, at most."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, but for `names` and `records`. A client is told of them (docs/protocol/sync.md)."""

    names: int = 65_536
    """Chunks that one question is about."""
    entry: int = 16 * MIB
    """An entry of the log: some 70,000 packs. It is parsed in memory."""
    pack: int = 16 * 1024 * MIB
    records: int = 1 << 19
    """Of a pack of chunks: what is known of each is held in memory while the pack passes, some 200 bytes."""
    git_pack: int = 2 * 1024 * MIB
    idx: int = 2 * 1024 * MIB
    repositories: int = 64
    """So many are held open."""


DEFAULT = Limits()
