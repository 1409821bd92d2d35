"""Which of the files in chunks are wanted in the worktree: `checkout.include` and `checkout.exclude`.

As with git-lfs's fetchinclude and fetchexclude, whose patterns are those of gitignore(5): a file in chunks that is not
wanted, and not there, is left out when a tree is checked out, and nobody counts that for a deletion. What is there, for
the user put it there or asked for it by name, is treated like any other file. Small files always come: they are part
of the history.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache

from mvc.errors import UsageError
from mvc.lazy import load
from mvc.objects.config import Config
from mvc.objects.model import TreeItem, is_file
from mvc.objects.paths import parents
from mvc.repo.ignore import Rule, parse_rules
from mvc.repo.repository import Repository

_IS_MANIFEST = "mvc.objects.manifest:is_manifest"
"""Loaded where files are left out: `status` does without."""

INCLUDE, EXCLUDE = "checkout.include", "checkout.exclude"


class Selection:
    """Paths that match one of `include` (all, if there is none) and none of `exclude`."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        """Raises UsageError for a pattern that is none."""
        self._include = [_rule(pattern) for pattern in include]
        self._exclude = [_rule(pattern) for pattern in exclude]

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not self._include and not self._exclude

    def wants(self, path: str) -> bool:
        """Whether the file, or a folder it is in, is selected."""
        if self._include and not any(_matches(rule, path) for rule in self._include):
            return False
        return not any(_matches(rule, path) for rule in self._exclude)


def selection_of(config: Config) -> Selection:
    """What the settings say."""
    return _selection(tuple(config.get_all(INCLUDE)), tuple(config.get_all(EXCLUDE)))


@lru_cache(maxsize=8)
def _selection(include: tuple[str, ...], exclude: tuple[str, ...]) -> Selection:
    return Selection(include, exclude)


def is_left_out(repo: Repository, path: str, item: TreeItem) -> bool:
    """Whether this file is not in the worktree since nobody wants it there."""
    selection = selection_of(repo.config)
    if selection.everything or selection.wants(path) or not is_file(item.mode):
        return False
    return not os.path.lexists(repo.require_worktree() / path) and bool(load(_IS_MANIFEST)(repo.objects.blob(item.id)))


def split_patterns(given: Sequence[str]) -> tuple[str, ...]:
    """Patterns as typed: each may hold several, with commas between, as for git-lfs. Raises UsageError."""
    patterns = tuple(part.strip() for text in given for part in text.split(",") if part.strip())
    Selection(patterns)
    return patterns


def _rule(pattern: str) -> Rule:
    rules = [] if pattern.startswith("!") or "\n" in pattern else parse_rules(pattern)
    if len(rules) != 1:
        raise UsageError(
            f"'{pattern}' is no pattern", hint="as in .mvcignore: 'encoder/', '*.gguf', 'runs/**/final.pt'"
        )
    return rules[0]


def _matches(rule: Rule, path: str) -> bool:
    if not rule.folders_only and rule.test(path.rpartition("/")[2] if rule.by_name else path):
        return True
    return any(rule.test(folder.rpartition("/")[2] if rule.by_name else folder) for folder in parents(path))
