"""Libraries that the integrations stand on, and mvc does not."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def needed(module: str, extra: str) -> Any:
    """A module, or ImportError in one line that says what to install."""
    try:
        return import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != top:
            raise  # it is there, and lacks something of its own
        raise ImportError(f"{top} is not installed: pip install 'mvc-models[{extra}]'", name=top) from None
