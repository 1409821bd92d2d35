"""What a parser takes at the most, so that memory and time stay bounded whatever a file claims.

A file beyond a limit is no worse off than one of an unknown format: it is chunked as opaque bytes.
Each limit is several times what the largest published models need (DeepSeek-V3 has 92,000 tensors
over all of its 163 files; its optimizer's state would have four times as many).
"""

from __future__ import annotations

from mvc.errors import ParseError

MAX_TENSORS = 262_144
"""Tensors in one file."""

MAX_NAME = 1024
"""Characters in a tensor's name."""

MAX_NAMES = 32 * 1024 * 1024
"""Characters in all names of a file together."""

MAX_DIMENSIONS = 64
"""Dimensions of a tensor: what NumPy and PyTorch take."""

MAX_DIMENSION = 2**63 - 1
"""Elements along one dimension."""

MAX_HEADER = 32 * 1024 * 1024
"""Bytes of description that are held in memory at once: a safetensors header, a pickle, a zip directory."""

MAX_ARCHIVES = 262_144
"""Zip archives in one `.distcp`: each tensor there is an archive."""

MAX_ENTRIES = 524_288
"""Entries in all zip archives of a file together."""

MAX_OPCODES = 3_000_000
"""Pickle opcodes in all pickles of a file together: a tensor of PyTorch's takes 32."""

MAX_FIELDS = 2_000_000
"""Protobuf fields that are looked at in one ONNX file."""

MAX_GRAPHS = 16
"""How deep ONNX graphs may nest."""


class Budget:
    """Counts down what is left of a limit that several parts of a file share."""

    __slots__ = ("left", "what")

    def __init__(self, limit: int, what: str) -> None:
        self.left = limit
        self.what = what

    def spend(self, amount: int = 1) -> None:
        """Raises ParseError when the limit is passed."""
        self.left -= amount
        if self.left < 0:
            raise ParseError(f"too many {self.what}")
