def differing(dir_fd: int, paths: bytes, stats: bytes, start: int, stop: int, row: int, /) -> bytes:
    """The rows whose file is absent or does not look as its stat says, as bytes of native unsigned ints."""
