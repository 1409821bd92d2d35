"""Write a model in the shape of a language model, of any size, and fine-tunes of it: sharded BF16 safetensors.

usage: python -m benchmarks.make_synthetic OUT [--gib 2] [--shards 2] [--tunes 1]
Writes OUT/base and OUT/finetune (with --tunes 100: OUT/finetune-001 and on, each a tune of the one before). A weight is
normal, with a spread of its tensor's own between 0.008 and 0.06 as in trained transformers; a tune moves each by a
normal step of 6e-5, whatever its size, as AdamW does. For speed and scale: real ratios come from make_real.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.weights import round_to_bf16, safetensors_header

HIDDEN = 2048
STEP = np.float32(6e-5)
PARTS: dict[str, tuple[int, ...]] = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (HIDDEN // 4, HIDDEN),
    "self_attn.v_proj": (HIDDEN // 4, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (4 * HIDDEN, HIDDEN),
    "mlp.up_proj": (4 * HIDDEN, HIDDEN),
    "mlp.down_proj": (HIDDEN, 4 * HIDDEN),
    "input_layernorm": (HIDDEN,),
    "post_attention_layernorm": (HIDDEN,),
}


def shapes(gib: float) -> dict[str, tuple[int, ...]]:
    """Tensors of about `gib` GiB in all; a model of less than a layer gets a narrower one."""
    layer = 2 * sum(int(np.prod(shape)) for shape in PARTS.values())
    count = round(gib * 2**30 / layer)
    shrink = 1 if count else max(1, round((layer / (gib * 2**30)) ** 0.5))
    return {
        f"model.layers.{number}.{part}.weight": tuple(side // shrink for side in shape)
        for number in range(max(count, 1))
        for part, shape in PARTS.items()
    }


def tuned(random: np.random.Generator, shape: tuple[int, ...], norm: bool, tunes: int) -> Iterator[NDArray[np.uint16]]:
    """A tensor's BF16 bits, then those of each tune."""
    spread = np.float32(random.uniform(0.008, 0.06))
    weights = random.standard_normal(shape, dtype=np.float32) * spread + np.float32(norm)
    yield round_to_bf16(weights)
    for _ in range(tunes):
        weights += random.standard_normal(shape, dtype=np.float32) * STEP
        yield round_to_bf16(weights)


def write(out: Path, *, gib: float, shards: int = 2, tunes: int = 1, seed: int = 0) -> list[Path]:
    """Write the model and its tunes; returns their folders, the base first."""
    names = ["base"] + (["finetune"] if tunes == 1 else [f"finetune-{n:03d}" for n in range(1, tunes + 1)])
    folders = [out / name for name in names]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text(f"---\nlicense: apache-2.0\ntags: [synthetic]\n---\n# {folder.name}\n")
    random, all_shapes = np.random.default_rng(seed), shapes(gib)
    keys = list(all_shapes)
    per_shard = -(-len(keys) // shards)
    where: dict[str, str] = {}
    for shard in range(shards):
        part = {key: all_shapes[key] for key in keys[shard * per_shard : (shard + 1) * per_shard]}
        name = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        where |= dict.fromkeys(part, name)
        files = [(folder / name).open("wb") for folder in folders]
        for file in files:
            file.write(safetensors_header({key: ("BF16", shape) for key, shape in part.items()}))
        for key, shape in part.items():
            for file, bits in zip(files, tuned(random, shape, "norm" in key, tunes), strict=True):
                file.write(bits.tobytes())
        for file in files:
            file.close()
    index = {"metadata": {"total_size": 2 * sum(int(np.prod(s)) for s in all_shapes.values())}, "weight_map": where}
    for folder in folders:
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    return folders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--gib", type=float, default=2.0)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--tunes", type=int, default=1)
    options = parser.parse_args()
    write(options.out, gib=options.gib, shards=options.shards, tunes=options.tunes)


if __name__ == "__main__":
    main()
