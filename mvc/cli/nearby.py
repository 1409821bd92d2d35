"""Verbs that are spelt nearly as what was typed."""

from __future__ import annotations

from difflib import get_close_matches

from mvc.cli.registry import VERBS


def near_verbs(name: str) -> list[str]:
    """Up to two, the nearest first."""
    return get_close_matches(name, VERBS, n=2, cutoff=0.6)
