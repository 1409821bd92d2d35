"""Refspecs: which refs of one side become which refs of the other (`+refs/heads/*:refs/remotes/origin/*`).

The rules are those of Git's refspec.c (`parse_refspec`) and of gitglossary(7), "refspec".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mvc.errors import UsageError
from mvc.objects import refnames
from mvc.objects.encoding import is_id

_SEARCHED = ("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD")
"""Where a short name is looked for among a remote's refs, in this order (gitrevisions(7))."""


class Refspec(NamedTuple):
    """`[+]source[:target]`, or `^source`. In a pattern each side has one `*`, which stands for the same text.

    An empty `source` of a push deletes; of a fetch it is HEAD. An empty `target`: none was given.
    """

    source: str
    target: str = ""
    force: bool = False
    negative: bool = False

    @classmethod
    def parse(cls, text: str) -> Refspec:
        """A refspec of a fetch. Raises UsageError if it is none."""
        return parse_fetch(text)

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for many refs."""
        return "*" in self.source

    @property
    def is_matching(self) -> bool:
        """`:`, or `+:`, of a push: all branches that both sides have."""
        return not self.source and not self.target

    def __str__(self) -> str:
        sign = "^" if self.negative else "+" if self.force else ""
        return sign + self.source + (f":{self.target}" if self.target or not self.source else "")

    def covers(self, ref: str) -> bool:
        """Whether the full name `ref` is one of its sources."""
        return _fill(self.source, self.source, ref) is not None

    def maps(self, ref: str) -> str | None:
        """What the source `ref` becomes; None if it is no source, or there is no target, or it is negative."""
        return _fill(self.source, self.target, ref) if self.target else None

    def unmaps(self, ref: str) -> str | None:
        """The source whose target is `ref`, or None."""
        return _fill(self.target, self.source, ref) if self.target else None


def parse_fetch(text: str) -> Refspec:
    """A refspec of a fetch. Raises UsageError if it is none."""
    spec = _split(text)
    good = _is_source(spec) if spec.negative else _is_name(spec.source) and _is_name(spec.target)
    if not good or (spec.is_pattern and not spec.target and not spec.negative):
        raise _invalid(text)
    return spec


def parse_push(text: str) -> Refspec:
    """A refspec of a push; unless it is a pattern, `source` is any revision. Raises UsageError if it is none."""
    spec = _split(text)
    if text in {":", "+:"}:
        return spec
    if spec.negative:
        good = _is_source(spec)
    elif spec.target:
        good = _is_name(spec.target) and (not spec.is_pattern or _is_name(spec.source))
    else:
        good = not text.endswith(":") and spec.source != "" and _is_name(spec.source)
    if not good:
        raise _invalid(text)
    return spec


def mapped(specs: Sequence[Refspec], refs: Iterable[str]) -> list[tuple[str, str | None, bool]]:
    """(source, target or None, force) of all of a remote's `refs` that the fetch refspecs take, in their order.

    What a negative one matches is left out. A pair comes once, by force if any of the specs says so.
    """
    names = list(refs)
    left_out = [spec for spec in specs if spec.negative]
    found: dict[tuple[str, str | None], bool] = {}
    for spec in specs:
        for ref in [] if spec.negative else _sources(spec, names):
            if not any(other.covers(ref) for other in left_out):
                pair = ref, (spec.maps(ref) if spec.is_pattern else full_target(spec.target))
                found[pair] = found.get(pair, False) or spec.force
    return [(source, target, force) for (source, target), force in found.items()]


def full_target(target: str) -> str | None:
    """The full name of what a fetch writes: a short one is a branch; None: nothing is written."""
    if not target or target.startswith("refs/"):
        return target or None
    return f"refs/{target}" if target.startswith(("heads/", "tags/", "remotes/")) else f"refs/heads/{target}"


def look_up(name: str, refs: Iterable[str]) -> str | None:
    """The full name among a remote's `refs` that `name` stands for: itself, a tag, a branch, in Git's order."""
    known = set(refs)
    return next((full for place in _SEARCHED if (full := place.format(name)) in known), None)


def tracking_ref(specs: Sequence[Refspec], ref: str) -> str | None:
    """Where what the remote calls `ref` is kept here, by the fetch refspecs of that remote; None: nowhere."""
    if any(spec.negative and spec.covers(ref) for spec in specs):
        return None
    return next((found for spec in specs if not spec.negative and (found := spec.maps(ref)) is not None), None)


def _sources(spec: Refspec, refs: list[str]) -> list[str]:
    if spec.is_pattern:
        return [ref for ref in refs if spec.covers(ref)]
    found = look_up(spec.source or "HEAD", refs)
    return [found] if found else []


def _fill(pattern: str, other: str, ref: str) -> str | None:
    """`other` with its `*` as in `ref`, if `ref` fits `pattern`."""
    before, star, after = pattern.partition("*")
    if not star:
        return other if ref == pattern else None
    if len(ref) < len(before) + len(after) or not (ref.startswith(before) and ref.endswith(after)):
        return None
    return other.replace("*", ref[len(before) : len(ref) - len(after)], 1)


def _split(text: str) -> Refspec:
    rest = text[1:] if text[:1] in {"+", "^"} else text
    negative, force = text.startswith("^"), text.startswith("+")
    source, colon, target = rest.rpartition(":")
    if not colon:
        source = rest
    source = "HEAD" if source == "@" else source
    if colon and (negative or ("*" in source) != ("*" in target)):
        raise _invalid(text)
    return Refspec(source, target if colon else "", force, negative)


def _is_source(spec: Refspec) -> bool:
    """Of a negative one: no id, and not empty."""
    return bool(spec.source) and not is_id(spec.source) and _is_name(spec.source)


def _is_name(name: str) -> bool:
    """`check_refname_format` with one `*` and a single level allowed, or nothing at all."""
    return not name or (name.count("*") <= 1 and refnames.is_well_formed(name.replace("*", "x")))


def _invalid(text: str) -> UsageError:
    return UsageError(f"invalid refspec '{text}'", hint="as in: main, main:other, +refs/heads/*:refs/remotes/origin/*")


def expand_tags(specs: Sequence[str]) -> list[str]:
    """`tag NAME` in a list of refspecs is `refs/tags/NAME:refs/tags/NAME`."""
    found: list[str] = []
    rest = iter(specs)
    for spec in rest:
        name = next(rest, None) if spec == "tag" else None
        found.append(spec if name is None else f"refs/tags/{name}:refs/tags/{name}")
    return found
