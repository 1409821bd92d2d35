"""Files on their way into Git: no bytes break the guard, and no pickle asks for what was not told."""

from __future__ import annotations

import contextlib
import io
import pickle

from mvc.formats.limits import Budget
from mvc.formats.pickleglobals import UNKNOWN, Named, scan
from mvc.gitlink.guard import Rules, look
from mvc.gitlink.staged import StagedFile

NAMES = ("a.pkl", "a.pt", "a.joblib", "a.npy", "a.zip", "a.dat", "a.pkl.gz", "a.tar")


class Inert(dict):  # type: ignore[type-arg]
    """Takes anything, does nothing."""

    def __new__(cls, *_: object, **__: object) -> Inert:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __setstate__(self, _: object) -> None:
        pass

    def append(self, _: object) -> None:
        pass


class Watched(pickle._Unpickler):  # type: ignore[name-defined,misc]
    """The standard library's unpickler in Python, which tells what it is asked for, and loads nothing."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self.asked: list[Named] = []

    def find_class(self, module: str, name: str) -> object:
        self.asked.append(Named(module, name))
        return Inert

    def persistent_load(self, _: object) -> object:
        return "os"

    def get_extension(self, code: int) -> None:
        self.asked.append(Named("copyreg", f"extension {code}"))
        raise ValueError("no such extension")


def unpickled(data: bytes) -> None:
    """What the real unpickler asks for is among what the scan tells; what is not a constant is told as unknown."""
    watched = Watched(data)
    with contextlib.suppress(Exception):
        watched.load()
    told = set(scan(data, Budget(100_000, "opcodes")).globals)
    for asked in watched.asked:
        ways = {asked, Named(asked.module, UNKNOWN), Named(UNKNOWN, asked.name), Named(UNKNOWN, UNKNOWN)}
        assert ways & told, (data, asked, told)


class _Memory:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def head(self, _: str, length: int, size: int) -> bytes:
        return self._data[:length]

    def read(self, _: str) -> bytes:
        return self._data


def guarded(data: bytes) -> None:
    """The first byte chooses the name."""
    name, rest = NAMES[data[0] % len(NAMES)] if data else "a", data[1:]
    look([StagedFile(name, "", len(rest))], _Memory(rest), Rules())  # type: ignore[arg-type]
