"""Parts of files into sockets: what arrives is what lies there, whoever moves it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mvc import fsio
from mvc.backends.base import FilePart
from mvc.backends.sending import send_part
from mvc.errors import FileChanged

DATA = os.urandom(3_000_000)
Kind = type[fsio.RandomFile]
Pair = tuple[socket.socket, socket.socket]


class Unsendable(fsio.RandomFile):
    """A file that can be read, and whose descriptor is none that the system sends from."""

    def fileno(self) -> int:
        return -1


@pytest.fixture
def pair() -> Iterator[Pair]:
    here, there = socket.socketpair()
    with closing(here), closing(there):
        here.settimeout(120)
        yield here, there


def arrived(here: socket.socket, there: socket.socket, *parts: FilePart) -> bytes:
    """What comes at the other end."""
    came = bytearray()

    def take() -> None:
        while data := there.recv(65536):
            came.extend(data)

    thread = threading.Thread(target=take)
    thread.start()
    try:
        for part in parts:
            send_part(here, part)
    finally:
        here.shutdown(socket.SHUT_WR)
        thread.join()
    return bytes(came)


@pytest.mark.parametrize("kind", [fsio.RandomFile, Unsendable])
def test_all_of_it_arrives(kind: Kind, pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    with kind(tmp_path / "file") as file:
        parts = [FilePart(file, 5, 10), FilePart(file, 70_000, 2_500_000), FilePart(file, 0, 0), FilePart(file, 0, 4)]
        assert arrived(*pair, *parts) == DATA[5:15] + DATA[70_000:2_570_000] + DATA[:4]


@pytest.mark.parametrize("kind", [fsio.RandomFile, Unsendable])
def test_a_file_that_ends_before(kind: Kind, pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA[:1000])
    with kind(tmp_path / "file") as file, pytest.raises(FileChanged):
        arrived(*pair, FilePart(file, 900, 200))


@pytest.mark.parametrize("kind", [fsio.RandomFile, Unsendable])
def test_who_takes_nothing_is_given_up(kind: Kind, pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    here, _ = pair
    here.settimeout(0.05)
    with kind(tmp_path / "file") as file, pytest.raises(TimeoutError):
        for _ in range(20):
            send_part(here, FilePart(file, 0, len(DATA)))


@pytest.mark.parametrize("kind", [fsio.RandomFile, Unsendable])
def test_who_is_gone_is_told_of(kind: Kind, pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    here, there = pair
    there.close()
    with kind(tmp_path / "file") as file, pytest.raises(ConnectionError):
        send_part(here, FilePart(file, 0, len(DATA)))
