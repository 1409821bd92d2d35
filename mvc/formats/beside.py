"""The folder a file lies in, for formats whose tensors are described by another file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import Lock

from mvc.errors import MvcError
from mvc.formats.base import ReadAt, Segment
from mvc.lazy import load

OpenBeside = Callable[[str], AbstractContextManager[tuple[ReadAt, int]]]
"""Opens a file of the folder by its bare name: a context that gives (read_at, size)."""

MAX_DESCRIBING = 64
"""At most so many .onnx files of a folder are read."""

_ONNX_TENSORS = "mvc.formats.onnx:tensors"
_ITEM_NAMES = "mvc.formats.distcp:item_names"
_METADATA = ".metadata"


def describes(path: str) -> bool:
    """Whether a file, by its name, may describe others."""
    name = path.rpartition("/")[2]
    return name == _METADATA or name.lower().endswith(".onnx")


class Beside:
    """What the describing files of one folder (`*.onnx`, `.metadata`) say of the files beside them.

    Make one a folder and hand it to `detect` for each file there: the describing files are parsed at
    the first need and once (calls from several threads wait for it). A describing file that does not
    parse, or cannot be opened, describes nothing.
    """

    def __init__(self, names: Sequence[str], open_file: OpenBeside) -> None:
        self._onnx = sorted(name for name in names if name.lower().endswith(".onnx"))[:MAX_DESCRIBING]
        self._has_metadata = _METADATA in names
        self._open = open_file
        self._lock = Lock()
        self._runs: dict[str, list[Segment]] | None = None
        self._items: dict[str, dict[int, str]] | None = None

    def external_tensors(self, name: str) -> Sequence[Segment]:
        """The tensors that the folder's .onnx files place in the file `name`, as they say it: unchecked, may repeat."""
        if not self._onnx:
            return ()
        with self._lock:
            if self._runs is None:
                self._runs = self._read_onnx()
        return self._runs.get(name, ())

    def item_names(self, name: str) -> dict[int, str]:
        """Where the items of the `.distcp` file `name` begin, and their names."""
        if not self._has_metadata:
            return {}
        with self._lock:
            if self._items is None:
                self._items = self._read_metadata()
        return self._items.get(name, {})

    def _read_onnx(self) -> dict[str, list[Segment]]:
        runs: dict[str, list[Segment]] = {}
        for name in self._onnx:
            try:
                with self._open(name) as (read_at, size):
                    found = load(_ONNX_TENSORS)(read_at, size)
            except (MvcError, OSError):
                continue
            for each in found:
                if each.location is not None:
                    run = Segment("tensor", each.offset, each.length, each.tensor)
                    runs.setdefault(each.location.removeprefix("./"), []).append(run)
        return runs

    def _read_metadata(self) -> dict[str, dict[int, str]]:
        try:
            with self._open(_METADATA) as (read_at, size):
                items: dict[str, dict[int, str]] = load(_ITEM_NAMES)(read_at, size)
        except (MvcError, OSError):
            return {}
        return items
