"""mvc: Git for machine-learning models.

    import mvc
    repo = mvc.Repo.open(".")

docs/python.md shows the interface. Importing `mvc` loads none of it: names load when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mvc.lazy import load

if TYPE_CHECKING:
    from mvc.api import CommitInfo, Repo
    from mvc.errors import MvcError
    from mvc.formats.base import Tensor
    from mvc.objects.model import Signature
    from mvc.reading import open, safe_open
    from mvc.training.run import Run, start_run

__version__ = "0.1.0"
__all__ = [
    "CommitInfo",
    "MvcError",
    "Repo",
    "Run",
    "Signature",
    "Tensor",
    "__version__",
    "open",
    "safe_open",
    "start_run",
]

_PUBLIC = {
    "CommitInfo": "mvc.api:CommitInfo",
    "MvcError": "mvc.errors:MvcError",
    "Repo": "mvc.api:Repo",
    "Run": "mvc.training.run:Run",
    "Signature": "mvc.objects.model:Signature",
    "Tensor": "mvc.formats.base:Tensor",
    "open": "mvc.reading:open",
    "safe_open": "mvc.reading:safe_open",
    "start_run": "mvc.training.run:start_run",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mvc' has no attribute '{name}'")
    return load(_PUBLIC[name])


def __dir__() -> list[str]:
    return sorted(__all__)
