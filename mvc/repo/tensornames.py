"""Which tensors of two files are the same one, though wrappers have renamed them."""

from __future__ import annotations

from mvc.formats.base import Tensor

# What DistributedDataParallel, torch.compile and PEFT put before the names of the model they wrap.
_WRAPPERS = ("base_model.model.", "_orig_mod.", "module.")

_STRIPPED = 2


def bare_name(name: str) -> str:
    """`name` without what training wrappers put into it."""
    for wrapper in _WRAPPERS:
        while name.startswith(wrapper):
            name = name[len(wrapper) :]
        name = name.replace("." + wrapper, ".")
    return name


def name_keys(name: str) -> list[str]:
    """The names by which a tensor may be known elsewhere, the most telling first.

    A checkpoint holds `model.encoder.weight`, a classifier `bert.encoder.weight`, the plain model
    `encoder.weight`: up to two leading components are left out.
    """
    name = bare_name(name)
    keys = [name]
    for _ in range(_STRIPPED):
        _, dot, rest = keys[-1].partition(".")
        if not dot or "." not in rest:
            break
        keys.append(rest)
    return keys


def same_rows(one: Tensor, other: Tensor) -> bool:
    """Whether the two agree but for the number of rows (the first dimension): an extended vocabulary does."""
    return len(one.shape) == len(other.shape) and one.shape[1:] == other.shape[1:]
