"""A file of ONNX external data: nothing but tensors, placed by the .onnx file beside it."""

from __future__ import annotations

from collections.abc import Sequence

from mvc.formats.base import Layout, Segment, Tensor
from mvc.formats.cover import cover, unique_names


def layout(size: int, runs: Sequence[Segment]) -> Layout:
    """The layout of a data file of `size` bytes in which the folder's .onnx files place `runs`.

    A run that several tensors share is named by the first. Raises ParseError when runs overlap
    otherwise, or reach past the end.
    """
    first_of: dict[tuple[int, int], Segment] = {}
    for run in runs:
        if run.length:
            first_of.setdefault((run.offset, run.length), run)
    kept = list(first_of.values())
    tensors = [run.tensor for run in kept if run.tensor is not None]
    names = unique_names([tensor.name for tensor in tensors])
    return cover(
        "onnx-data",
        size,
        [
            Segment("tensor", run.offset, run.length, Tensor(name, tensor.dtype, tensor.shape))
            for run, tensor, name in zip(kept, tensors, names, strict=True)
        ],
        gap="opaque",
    )
