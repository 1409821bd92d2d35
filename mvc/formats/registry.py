"""Which parser reads a file: by its suffix and its first bytes. Parsers load when first needed."""

from __future__ import annotations

from mvc.formats.base import Layout, ReadAt
from mvc.formats.beside import Beside


def detect(read_at: ReadAt, size: int, name: str, beside: Beside | None = None) -> Layout | None:
    """The layout of a file of `size` bytes, or None when it is of no format known here.

    `name` is the file's path or bare name: only its last part is looked at, and it never gets into
    a tensor's name. `beside` describes the folder the file lies in, for the formats whose tensors another file
    names (ONNX external data, `.distcp`); without it such files are parsed as far as they tell.

    Raises ParseError when the file claims a format and does not follow it: chunk it as opaque then
    (`plan(None, size)`) and warn. Errors of `read_at` pass through. Memory and time are bounded by
    `mvc.formats.limits`, whatever the file claims. Layouts may hold tensors of length 0.
    """
    raise NotImplementedError
