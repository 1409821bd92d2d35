"""What can be set, as frozen values. Git's config files are read in `mvc.objects.config` and handed down."""

from __future__ import annotations

from typing import NamedTuple

FORMAT = 1
"""The repository format that this mvc reads and writes (`[mvc] format`)."""

SMALL_FILE = 64 * 1024
"""A file of at most so many bytes is a plain Git blob; any other is chunked."""

PIECE = 1024 * 1024
"""A tensor is cut into pieces of exactly so many bytes, from its start."""

MAX_DEPTH = 4
"""A delta rests on a chain of at most so many bases. Part of the pack format."""


class ChunkNaming(NamedTuple):
    """How chunks are named: plain BLAKE3, or keyed (then `key` has 32 bytes)."""

    key: bytes | None = None


class StoreSettings(NamedTuple):
    """`[core]` settings of the chunk store."""

    naming: ChunkNaming = ChunkNaming()
    verify_writes: bool = False
    """Decode and compare each record before its pack is sealed (`core.verifyWrites`)."""
    threads: int = 0
    """Worker threads; 0 means one a processor (`core.threads`)."""
    window: int = 96
    """Chunks in flight at the most, over all threads (`core.window`)."""
    delta_depth: int = 2
    """Longest chain of deltas that is written, at most MAX_DEPTH (`core.deltaDepth`)."""
    pack_size: int = 512 * 1024 * 1024
    """A pack is sealed when it reaches so many stored bytes (`core.packSize`)."""
    zstd_level: int = 3
    """Level for text and opaque bytes (`core.zstdLevel`)."""
    decode_below: int = 16 * 1024 * 1024
    """What comes from a remote at once, and has fewer stored bytes, is decoded on its way (`core.decodeBelow`)."""


class SharedStoreSettings(NamedTuple):
    """The store of chunks that the machine's repositories share."""

    path: str = ""
    """Its folder, absolute; "" where there is none (`core.sharedStore`)."""
    limit: int = 0
    """Bytes that it may take on the disk; 0: as many as there are (`core.sharedStoreLimit`)."""


class Author(NamedTuple):
    """Who a commit is by."""

    name: str
    email: str


class Settings(NamedTuple):
    """All settings that the core takes, resolved from local and global config."""

    format: int = FORMAT
    store: StoreSettings = StoreSettings()
    shared: SharedStoreSettings = SharedStoreSettings()
    author: Author | None = None
    ignore_case: bool = False
    symlinks: bool = True
    file_mode: bool = True
    gc_reflog_expire_days: int = 90
    gc_prune_expire_days: int = 14
    default_branch: str = "main"
