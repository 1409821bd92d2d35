"""Parts of files into a socket: by the system alone where it can, else read here."""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading

from mvc.backends.base import FilePart
from mvc.errors import FileChanged

_BLOCK = 1 << 20


class _Local(threading.local):
    """What one thread reads into."""

    def __init__(self) -> None:
        self.memory = bytearray(0)


_LOCAL = _Local()


def send_part(sock: socket.socket, part: FilePart) -> None:
    """Send all of it. Raises TimeoutError when nothing goes for the socket's time, OSError, FileChanged if the file
    ends before."""
    sent = 0
    if hasattr(os, "sendfile") and not isinstance(sock, ssl.SSLSocket):
        sent = _by_system(sock, part)
    while sent < part.length:
        if not _LOCAL.memory:
            _LOCAL.memory = bytearray(_BLOCK)
        wanted = memoryview(_LOCAL.memory)[: min(_BLOCK, part.length - sent)]
        if part.file.read_into(part.offset + sent, wanted) != len(wanted):
            raise FileChanged("a file became shorter while it was sent")
        sock.sendall(wanted)
        sent += len(wanted)


def _by_system(sock: socket.socket, part: FilePart) -> int:
    """How many bytes went: fewer than all where the system cannot, or the file ends, which the caller then sees."""
    sent = 0
    while sent < part.length:
        try:
            count = os.sendfile(sock.fileno(), part.file.fileno(), part.offset + sent, part.length - sent)
        except BlockingIOError:
            _wait(sock)
            continue
        except ConnectionError:
            raise
        except OSError:
            break  # not between these two; or a disk that fails, which the caller's read tells of
        if not count:
            break
        sent += count
    return sent


def _wait(sock: socket.socket) -> None:
    """Until it takes more. A socket with a time limit does not block."""
    seconds = sock.gettimeout()
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    if not poll.poll(None if seconds is None else seconds * 1000):
        raise TimeoutError("nothing was taken")
