"""The folder a file lies in, for formats whose tensors are described by another file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from mvc.formats.base import ReadAt, Tensor

OpenBeside = Callable[[str], AbstractContextManager[tuple[ReadAt, int]]]
"""Opens a file of the folder by its bare name: a context that gives (read_at, size)."""


@dataclass(frozen=True, slots=True)
class ForeignRun:
    """A tensor that lies in another file than the one which describes it."""

    offset: int
    length: int
    tensor: Tensor


class Beside:
    """What the describing files of one folder (`*.onnx`, `.metadata`) say of the files beside them.

    Make one a folder and hand it to `detect` for each file there: the describing files are parsed at
    the first need and once (calls from several threads wait for it). A describing file that does not
    parse, or cannot be opened, describes nothing.
    """

    def __init__(self, names: Sequence[str], open_file: OpenBeside) -> None:
        raise NotImplementedError
