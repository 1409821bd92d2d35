"""Loading by name, for the tables that keep start-up short.

A table maps a name to "module:attribute" and stands in plain sight in the package that
uses it (`mvc/__init__.py`, `cli/registry.py`, `formats/registry.py`). No function of mvc
imports a module of mvc; a test holds that, and that the targets keep the layers' ranks.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def load(target: str) -> Any:
    """The object that "package.module:attribute" names, importing the module if need be."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
