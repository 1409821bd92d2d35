"""Ending a connection whose other end neither reads nor goes away.

ASGI has no word for it: an answer that is left short makes the server close the connection once what it holds has gone,
which it never will. So the connection is looked for among the process's files, by the address of its other end.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

_FOLDERS = ("/proc/self/fd", "/dev/fd")


def cut(client: tuple[str, int]) -> bool:
    """Shut the connection to `client` (address, port) down, both ways; whether there was one."""
    for number in _open_files():
        with contextlib.suppress(OSError), _socket(number) as found:
            if found.getpeername()[:2] == client:
                found.shutdown(socket.SHUT_RDWR)
                return True
    return False


@contextlib.contextmanager
def _socket(number: int) -> Iterator[socket.socket]:
    """The socket with that number, which stays open. Raises OSError if it is none."""
    found = socket.socket(fileno=number)
    try:
        yield found
    finally:
        found.detach()


def _open_files() -> list[int]:
    for folder in _FOLDERS:
        with contextlib.suppress(OSError):
            return [int(name) for name in os.listdir(folder)]
    return []
