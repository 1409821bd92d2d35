"""A training loop that commits its checkpoints as it goes, to a branch of its own, and takes the best one back.

usage: python training_run.py FOLDER

The commits go to the branch `runs/first`; what is checked out in FOLDER, and what you have staged there, stay as they
are. The "model" is a straight line that is fitted to points, so that this takes a second.
"""

import io
import sys
import tempfile
from pathlib import Path

import numpy as np

import mvc

WHO = mvc.Signature("training job", "job@example.org", 1_760_000_000, 0)


def train(repo: mvc.Repo, branch: str) -> None:
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, 200)
    y = 3 * x + 1 + random.normal(0, 0.1, 200)
    line, rate = np.zeros(2), 0.5
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Path(scratch) / "line.npy"
        for epoch in range(1, 7):
            error = line[0] * x + line[1] - y
            line -= rate * np.array([(error * x).mean(), error.mean()])
            loss = float((error**2).mean())
            np.save(checkpoint, line)
            repo.commit_files(
                branch,
                {"line.npy": checkpoint},
                f"epoch {epoch}",
                params={"rate": rate},
                metrics={"loss": round(loss, 4)},
                author=WHO,
            )


def main(folder: str) -> None:
    repo = mvc.Repo.init(folder)
    train(repo, "runs/first")
    history = list(repo.log("runs/first"))
    for commit in reversed(history):
        print(commit.id[:10], commit.message.strip(), commit.metrics)
    best = min(history, key=lambda commit: commit.metrics["loss"])
    line = np.load(io.BytesIO(repo.read_file(best.id, "line.npy")))
    print(f"best: {best.message.strip()}, y = {line[0]:.1f} x + {line[1]:.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
