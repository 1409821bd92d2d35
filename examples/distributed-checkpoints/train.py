"""Several processes train one model, each its own columns; every tenth step is a checkpoint of all their shards.

usage: python train.py STEPS [RANKS]     (goes on where a run of that name was killed)

Each rank writes its shard into a folder that all see, as Megatron and the like do; when all have, rank 0 commits them
as one version, in the background. (With torch.distributed.checkpoint the ranks store their shards themselves, at the
same time: docs/training.md.)
"""

import multiprocessing
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

import mvc

SHARED = Path("checkpoint")
INPUTS, COLUMNS = 256, 1024


def shard(rank: int, ranks: int) -> str:
    return f"shard-{rank:02}-of-{ranks:02}.safetensors"


def train(rank: int, ranks: int, steps: int, ready: Barrier) -> None:
    target = np.random.default_rng(1).standard_normal((INPUTS, COLUMNS)).astype("f4")
    mine = slice(COLUMNS * rank // ranks, COLUMNS * (rank + 1) // ranks)
    with mvc.start_run({"steps": steps, "ranks": ranks}, name="wide", resume=True, rank=rank) as run:
        if rank == 0 and run.last:
            run.restore(SHARED)
        ready.wait()  # all see the same folder from here on
        path = SHARED / shard(rank, ranks)
        if path.exists():
            state = load_file(path)
        else:
            state = {"weight": np.zeros_like(target[:, mine]), "step": np.zeros((), "i8")}
        for step in range(int(state["step"]) + 1, steps + 1):
            error = state["weight"] - target[:, mine]
            state["weight"] -= 0.05 * error
            state["step"] = np.array(step)
            run.log(step=step, loss=float((error**2).mean()))
            if step % 10 == 0:
                save_file(state, path)
                ready.wait()  # all shards are there
                run.checkpoint(step, SHARED)
                ready.wait()  # they are put aside, and may be written again


def main(steps: str, ranks: str = "2") -> None:
    SHARED.mkdir(exist_ok=True)
    count = int(ranks)
    ready = multiprocessing.Barrier(count)
    every = [multiprocessing.Process(target=train, args=(rank, count, int(steps), ready)) for rank in range(count)]
    for one in every:
        one.start()
    for one in every:
        one.join()
    sys.exit(any(one.exitcode for one in every))


if __name__ == "__main__":
    main(*sys.argv[1:])
