"""A remote folder with a history in it, as a server serves it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mvc.backends.folder import FolderBackend
from mvc.sync import outgoing
from tests.models import layers, safetensors_bytes
from tests.sync.making import Peer

INFO = "/team/model/-/mvc/1/"
NEW = "/team/new/-/mvc/1/"
NOISE = 24 << 20
"""More than what lies between two ends of a connection, so that who does not read can be told."""
WEIGHTS = layers(1)
SMALL = safetensors_bytes(WEIGHTS)


@dataclass(frozen=True)
class Made:
    """What was pushed there."""

    folder: Path
    pack: str
    """The key of its largest pack."""
    commit: str

    def read(self, key: str) -> bytes:
        return (self.folder / key).read_bytes()

    def size(self, key: str) -> int:
        return (self.folder / key).stat().st_size


def pack_of(made: Made) -> str:
    """The path that asks for its largest pack."""
    return f"{INFO}objects/{made.pack}"


def pushed(folder: Path, beside: Path, *, noise: int = 0) -> Made:
    """Push a small model, and `noise` bytes that nothing makes smaller, to the remote folder `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside.mkdir(parents=True)
    peer = Peer(beside, FolderBackend(folder))
    files = {"model.safetensors": SMALL}
    if noise:
        files["noise.bin"] = np.random.default_rng(3).bytes(noise)
    commit = peer.commit(files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outgoing, "_LEAST_PACK", 2 * NOISE)  # in one piece, as pushes by others may be
        peer.push()
    packs = sorted(folder.glob("packs/*/*.pack"), key=lambda path: path.stat().st_size)
    assert packs[-1].stat().st_size > noise
    return Made(folder, packs[-1].relative_to(folder).as_posix(), commit)
