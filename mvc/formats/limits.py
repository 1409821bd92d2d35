"""What a parser takes at the most, so that memory and time stay bounded whatever a file claims.

A file beyond a limit is no worse off than one of an unknown format: it is chunked as opaque bytes.
Each limit is several times what the largest published models need (DeepSeek-V3 has 92,000 tensors
over all of its 163 files; its optimizer's state would have four times as many).
"""

from __future__ import annotations

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
