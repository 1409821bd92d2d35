"""One fine-tune of a small classifier, with the settings of params.yaml.

It reads base.safetensors, writes model.safetensors, metrics.json (what it came to) and series.csv (how it went).
`python train.py --base` makes the base.
"""

import csv
import json
import sys

import numpy as np
import yaml
from safetensors.numpy import load_file, save_file

SIZE, CLASSES = 64, 4


def data(seed: int, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Points around four centres, which the seed moves a little: another seed is another data set."""
    centres = np.random.default_rng(1).standard_normal((CLASSES, SIZE)) * 0.4
    random = np.random.default_rng(seed)
    centres += random.standard_normal(centres.shape) * 0.2
    labels = random.integers(0, CLASSES, count)
    return (centres[labels] + random.standard_normal((count, SIZE))).astype("f4"), labels


def run(weights: dict[str, np.ndarray], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hidden = np.tanh(x @ weights["encoder.weight"])
    logits = hidden @ weights["head.weight"]
    chance = np.exp(logits - logits.max(1, keepdims=True))
    return hidden, chance / chance.sum(1, keepdims=True)


def measure(weights: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    _, chance = run(weights, x)
    return float(-np.log(chance[np.arange(len(y)), y] + 1e-9).mean()), float((chance.argmax(1) == y).mean())


def train(weights: dict[str, np.ndarray], seed: int, rate: float, steps: int) -> list[dict[str, float]]:
    x, y = data(seed)
    held_x, held_y = data(seed, 401)
    points = []
    for step in range(steps):
        hidden, chance = run(weights, x)
        back = chance.copy()
        back[np.arange(len(y)), y] -= 1
        back /= len(y)
        back_hidden = back @ weights["head.weight"].T * (1 - hidden**2)
        weights["head.weight"] -= rate * hidden.T @ back
        weights["encoder.weight"] -= rate * x.T @ back_hidden
        if step % 5 == 0 or step == steps - 1:
            loss, accuracy = measure(weights, held_x, held_y)
            points.append({"step": step, "loss": round(loss, 5), "accuracy": accuracy})
    return points


def main() -> None:
    if sys.argv[1:] == ["--base"]:
        random = np.random.default_rng(0)
        weights = {
            "encoder.weight": (random.standard_normal((SIZE, 512)) * 0.1).astype("f4"),
            "head.weight": (random.standard_normal((512, CLASSES)) * 0.05).astype("f4"),
        }
        train(weights, 0, 0.1, 60)
        save_file(weights, "base.safetensors")
        return
    with open("params.yaml") as file:
        params = yaml.safe_load(file)
    weights = load_file("base.safetensors")
    points = train(weights, params["data"]["seed"], params["rate"], params["steps"])
    save_file(weights, "model.safetensors")
    with open("series.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(points[0]))
        writer.writeheader()
        writer.writerows(points)
    with open("metrics.json", "w") as file:
        json.dump({"loss": points[-1]["loss"], "accuracy": points[-1]["accuracy"]}, file)
    print(f"rate {params['rate']}: loss {points[-1]['loss']}, accuracy {points[-1]['accuracy']}")


if __name__ == "__main__":
    main()
