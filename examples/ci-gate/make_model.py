"""Writes a classifier of some 400 kB, as a training would; the number is the seed of its last steps.

usage: python make_model.py NUMBER
"""

import sys

import numpy as np
from safetensors.numpy import save_file

base, last = np.random.default_rng(0), np.random.default_rng(int(sys.argv[1]))
weights = {f"layer{number}.weight": base.standard_normal((224, 224)).astype("f4") for number in range(2)}
weights["layer1.weight"] += (last.standard_normal((224, 224)) * 1e-4).astype("f4")
save_file(weights, "model.safetensors")
