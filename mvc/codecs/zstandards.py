"""Zstandard frames: this thread's compressors and decompressor, and reading that trusts nothing."""

from __future__ import annotations

import threading

import zstandard

from mvc.codecs.base import Buffer
from mvc.errors import ParseError

_MAGIC = b"\x28\xb5\x2f\xfd"


class _Local(threading.local):
    """What one thread keeps: these objects are costly to make, and not for two threads at once."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()
        self.entropy_only = zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters(
                strategy=zstandard.STRATEGY_FAST,
                min_match=7,
                hash_log=6,
                chain_log=6,
                search_log=1,
                window_log=17,
                target_length=0,
            )
        )
        self.by_level: dict[int, zstandard.ZstdCompressor] = {}


_LOCAL = _Local()


def compress(data: Buffer, level: int) -> bytes:
    """One ordinary frame that tells its content's size."""
    compressor = _LOCAL.by_level.get(level)
    if compressor is None:
        compressor = _LOCAL.by_level[level] = zstandard.ZstdCompressor(level=level)
    return compressor.compress(data)


def compress_by_entropy(data: Buffer) -> bytes:
    """One frame made with parameters that find hardly any matches: what planes of floats want."""
    return _LOCAL.entropy_only.compress(data)


def decompress(frame: Buffer, size: int) -> bytes:
    """The content of one frame, which must be of exactly `size` bytes and say so. Allocates no more than that."""
    if bytes(frame[:4]) != _MAGIC:
        raise ParseError("not a zstd frame")
    try:
        if zstandard.frame_content_size(frame) != size:
            raise ParseError("a zstd frame of the wrong size")
        content = _LOCAL.decompressor.decompress(frame, max_output_size=size, allow_extra_data=False)
    except (zstandard.ZstdError, MemoryError) as error:
        raise ParseError(f"a broken zstd frame: {error}") from error
    if len(content) != size:
        raise ParseError("a zstd frame of the wrong size")
    return content
