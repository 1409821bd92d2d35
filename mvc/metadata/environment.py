"""The environment that a commit is made in: what one needs to know to make the model again.

Nothing of it is imported or run but `git` (`mvc.metadata.code`): packages are read from the
names of their `.dist-info` folders, accelerators from what the kernel shows.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mvc import __version__
from mvc.metadata.accelerators import find_accelerators
from mvc.metadata.code import describe_code
from mvc.metadata.secrets import without_secrets

_DECISIVE = """
accelerate apex bitsandbytes catboost coremltools datasets deepspeed diffusers fastai fairseq flash-attn flax
ggml gguf gluonts huggingface-hub jax jaxlib keras lightgbm lightning megatron-core ml-dtypes mlx mlx-lm
numpy nvidia-modelopt onnx onnxruntime onnxruntime-gpu open-clip-torch openvino optax optimum orbax-checkpoint
paddlepaddle pandas peft polars pyarrow pytorch-lightning safetensors scikit-learn scipy sentence-transformers
sentencepiece spacy stable-baselines3 statsmodels tensorflow tensorrt tf-keras tiktoken timm tokenizers torch
torchao torchaudio torchtune torchvision transformer-engine transformers triton trl ultralytics unsloth vllm
xformers xgboost
"""
PACKAGES = frozenset(_DECISIVE.split())
"""The packages that decide what a training gives, by their normalised names."""

_DIST_INFO = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-]+)(?:-py[^-]*)?\.(?:dist|egg)-info\Z")
_MOST_COMMAND = 4000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the caller knows of the process: the core reads neither environment variables nor `sys.argv`."""

    arguments: Sequence[str] = ()
    """The command line that makes the commit, with the program. It is stripped of secrets here."""
    environment: Mapping[str, str] = field(default_factory=dict)
    code: Path | None = None
    """A folder of the code: its Git commit is recorded."""


def capture(surroundings: Surroundings) -> dict[str, Any]:
    """The environment as dotted names, for `CommitMetadata.environment`. What cannot be told is left out."""
    found: dict[str, Any] = {"mvc": __version__, "platform": _platform(), "processors": os.cpu_count()}
    venv = _training_environment(surroundings.environment)
    found |= _python(venv)
    found |= {f"packages.{name}": version for name, version in sorted(installed(_site_packages(venv)).items())}
    found |= {f"accelerator.{name}": value for name, value in find_accelerators().items()}
    visible = surroundings.environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        found["accelerator.visible"] = visible[:200]
    if surroundings.code is not None:
        found |= {f"code.{name}": value for name, value in describe_code(surroundings.code).items()}
    if surroundings.arguments:
        found["command"] = shlex.join(without_secrets(surroundings.arguments))[:_MOST_COMMAND]
    return {name: _unicode(value) for name, value in found.items() if value is not None}


def installed(folders: Iterable[Path]) -> dict[str, str]:
    """Of PACKAGES, those that are installed in these `site-packages`: name -> version."""
    found: dict[str, str] = {}
    for folder in folders:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for entry in names:
            if match := _DIST_INFO.match(entry):
                name = re.sub(r"[-_.]+", "-", match["name"]).lower()
                if name in PACKAGES:
                    found.setdefault(name, match["version"])
    return found


def _training_environment(environment: Mapping[str, str]) -> Path | None:
    """The virtual environment that is active, where it is not the one that mvc itself runs in (as with pipx)."""
    given = environment.get("VIRTUAL_ENV") or environment.get("CONDA_PREFIX")
    if not given or os.path.realpath(given) == os.path.realpath(sys.prefix):
        return None
    return Path(given)


def _python(venv: Path | None) -> dict[str, Any]:
    if venv is None:
        return {"python": platform.python_version()}
    for folder in _site_packages(venv):
        if match := re.match(r"python(\d+\.\d+)", folder.parent.name):
            return {"python": match[1]}
    return {}


def _site_packages(venv: Path | None) -> list[Path]:
    if venv is None:
        return [Path(folder) for folder in sys.path if folder]
    return [*sorted(venv.glob("lib*/python*/site-packages")), venv / "Lib" / "site-packages"]


def _platform() -> str:
    # Not platform.platform(): that reads the interpreter's whole file to find the libc.
    return " ".join(part for part in (platform.system(), platform.release(), platform.machine()) if part)


def _unicode(value: Any) -> Any:
    """Bytes of a command line that are no UTF-8 would make the whole file unreadable."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
