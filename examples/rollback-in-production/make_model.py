"""Writes a model of a megabyte, and which version it is.

usage: python make_model.py NUMBER
"""

import sys
from pathlib import Path

import numpy as np

number = int(sys.argv[1])
np.save("model.npy", np.random.default_rng(0).standard_normal((512, 512)).astype("f4") + np.float32(number) / 1000)
Path("version.txt").write_text(f"version {number}\n")
