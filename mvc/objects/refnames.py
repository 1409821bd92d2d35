"""Which names a ref may have: the rules of `git check-ref-format`."""

from __future__ import annotations

import re

from mvc.errors import UsageError

_BAD = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.lock(?:/|\Z)|/\.|\A\.|\A/|/\Z|\.\Z")
_PSEUDO = re.compile(r"[A-Z][A-Z_]*\Z")

ALIASES = "refs/aliases/"
"""Names that move, with all their steps (`mvc.objects.aliases`)."""

REVIEWS = "refs/reviews/"
"""Approvals, rejections and gates that ran (`mvc.objects.reviews`)."""


def is_valid(ref: str) -> bool:
    """Whether `ref` may be a ref: `refs/...` by Git's rules, or a name such as HEAD or MERGE_HEAD."""
    if "/" not in ref:
        return _PSEUDO.match(ref) is not None
    return ref.startswith("refs/") and _BAD.search(ref) is None


def is_valid_short(name: str) -> bool:
    """Whether `name` may stand behind `refs/heads/` or `refs/tags/`."""
    return bool(name) and name != "@" and not name.startswith("-") and _BAD.search(name) is None


def is_well_formed(name: str) -> bool:
    """Whether `name`, of one level or more, breaks none of the rules (`git check-ref-format --allow-onelevel`)."""
    return bool(name) and name != "@" and _BAD.search(name) is None


def check(ref: str) -> str:
    """`ref` itself, or UsageError."""
    if not is_valid(ref):
        raise UsageError(f"{ref!r} is not a valid ref name")
    return ref


def branch_ref(name: str) -> str:
    """The full name of the branch `name`. Raises UsageError if it cannot be one (HEAD, `-x`, `a..b`)."""
    if not is_valid_short(name) or name == "HEAD":
        raise UsageError(f"{name!r} is not a valid branch name")
    return f"refs/heads/{name}"


def tag_ref(name: str) -> str:
    """The full name of the tag `name`. Raises UsageError if it cannot be one."""
    if not is_valid_short(name):
        raise UsageError(f"{name!r} is not a valid tag name")
    return f"refs/tags/{name}"


def short(ref: str) -> str:
    """`ref` without `refs/heads/`, `refs/tags/`, `refs/remotes/`, `refs/aliases/`."""
    for prefix in ("refs/heads/", "refs/tags/", "refs/remotes/", ALIASES, "refs/"):
        if ref.startswith(prefix):
            return ref[len(prefix) :]
    return ref
