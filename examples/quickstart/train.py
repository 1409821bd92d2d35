"""A small network learns a wave: some steps from the weights that stand in model.safetensors, or from random ones.

usage: python train.py STEPS [RATE]
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

MODEL = Path("model.safetensors")
WIDTH = 256


def fresh() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = {"first": (1, WIDTH), "middle": (WIDTH, WIDTH), "last": (WIDTH, 1)}
    scales = {"first": 3.0, "middle": WIDTH**-0.5, "last": WIDTH**-0.5}
    return {
        f"{name}.weight": (random.standard_normal(shape) * scales[name]).astype("f4") for name, shape in shapes.items()
    }


def train(weights: dict[str, np.ndarray], steps: int, rate: float) -> float:
    x = np.linspace(-1, 1, 200, dtype="f4")[:, None]
    y = np.sin(6 * x)
    loss = 0.0
    for _ in range(steps):
        one = np.tanh(x @ weights["first.weight"])
        two = np.tanh(one @ weights["middle.weight"])
        error = two @ weights["last.weight"] - y
        loss = float((error**2).mean())
        back = 2 * error / len(x)
        back_two = back @ weights["last.weight"].T * (1 - two**2)
        back_one = back_two @ weights["middle.weight"].T * (1 - one**2)
        weights["last.weight"] -= rate * two.T @ back
        weights["middle.weight"] -= rate * one.T @ back_two
        weights["first.weight"] -= rate * x.T @ back_one
    return loss


def main(steps: str, rate: str = "0.005") -> None:
    weights = load_file(MODEL) if MODEL.exists() else fresh()
    loss = train(weights, int(steps), float(rate))
    save_file(weights, MODEL)
    Path("metrics.json").write_text(json.dumps({"loss": round(loss, 6)}) + "\n")
    print(f"{steps} steps, loss {loss:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
