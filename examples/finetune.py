"""Fine-tune the last two layers of all-MiniLM-L6-v2, in place, with numpy alone.

usage: python finetune.py [FOLDER]      FOLDER holds the model (model.safetensors, vocab.txt), "." unless given
"""

import sys
from pathlib import Path

from mvc.ops.demo import fine_tune

done = fine_tune(Path(sys.argv[1] if len(sys.argv) > 1 else "."), frozen=4, steps=10, seed=0)
print(f"{done.steps} steps, loss {done.before:.2f} -> {done.after:.2f}")
