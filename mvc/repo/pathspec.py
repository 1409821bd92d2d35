"""Which paths a command means: files, folders, globs. As Git's pathspecs (gitglossary(7))."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mvc.errors import UsageError
from mvc.repo.wildmatch import compile_pattern, is_glob, literal_prefix

_MAGIC = {"top", "exclude", "literal", "glob", "icase"}
_SIGNS = {"/": "top", "!": "exclude", "^": "exclude"}


class _Spec(NamedTuple):
    """One spec, its path taken from the top of the worktree."""

    typed: str
    path: str
    """What is meant, or the glob; "" is everything."""
    regex: re.Pattern[str] | None
    """None where no wildcard occurs: the path itself, or all below it."""
    exclude: bool
    fold: bool
    folder_only: bool
    """Typed with a slash at the end: a file of that name is not meant."""

    def matches(self, path: str) -> bool:
        if self.fold:
            path = path.lower()
        if not self.path:
            return True
        if path.startswith(self.path) and (
            path[len(self.path) : len(self.path) + 1] == "/" or (len(path) == len(self.path) and not self.folder_only)
        ):
            return True
        if self.regex is None:
            return False
        return self.regex.fullmatch(path) is not None

    @property
    def plain(self) -> bool:
        """Is it a path and nothing else?"""
        return bool(self.path) and self.regex is None and not (self.fold or self.folder_only or self.exclude)

    def covers(self, folder: str) -> bool:
        """Does all below the folder match for sure?"""
        return self.regex is None and not self.fold and (folder + "/").startswith(self.path + "/")

    def may_contain(self, folder: str) -> bool:
        """May something below the folder match?"""
        if self.fold:
            folder = folder.lower()
        inside = folder + "/"
        prefix = self.path + "/" if self.regex is None else literal_prefix(self.path)
        return inside.startswith(prefix) or prefix.startswith(inside)


class Pathspec:
    """A path means the file, or all below the folder; `*`, `?`, `[a-z]` also match "/";
    magic: `:/x` from the top, `:!x` (`:^x`) but not, `:(top,exclude,literal,glob,icase)x`."""

    def __init__(self, specs: tuple[_Spec, ...] = ()) -> None:
        self._wanted = tuple(spec for spec in specs if not spec.exclude)
        self._excluded = tuple(spec for spec in specs if spec.exclude)
        self._all = not self._wanted or any(not spec.path for spec in self._wanted)
        self._plain = frozenset(spec.path for spec in self._wanted if spec.plain)
        """Wanted paths without anything special: looked up, for commands name thousands of them."""
        self._above_plain = {folder for path in self._plain for folder in above(path)}
        self._special = tuple(spec for spec in self._wanted if not spec.plain)

    @classmethod
    def parse(cls, specs: Sequence[str], prefix: str = "", locate: Callable[[Path], str] | None = None) -> Pathspec:
        """`specs` as typed in the folder `prefix` of the worktree ("" is the top). None at all means everything;
        only excluding ones take from what is below the folder. `locate` (`Repository.locate`) says which path
        of the worktree an absolute one is.

        Raises UsageError for a path that leads outside, an empty one, or magic unknown.
        """
        parsed = tuple(_parse(spec, prefix, locate) for spec in specs)
        if parsed and all(spec.exclude for spec in parsed):
            parsed = (_parse(".", prefix, None), *parsed)
        return cls(parsed)

    @classmethod
    def exact(cls, paths: Iterable[str]) -> Pathspec:
        """Just these paths of the worktree, and what is below them; no character is special."""
        return cls(tuple(_Spec(path, path, None, False, False, False) for path in paths))

    def matches(self, path: str) -> bool:
        """Is the file meant?"""
        wanted = self._all or self._names(path) or any(spec.matches(path) for spec in self._special)
        return wanted and not any(spec.matches(path) for spec in self._excluded)

    def _names(self, path: str) -> bool:
        """Is the path, or a folder above it, wanted as it is?"""
        plain = self._plain
        return path in plain or (bool(plain) and any(folder in plain for folder in above(path)))

    def may_contain(self, folder: str) -> bool:
        """May something below the folder ("a/b", no slash at the end) be meant? Lets a walk skip it."""
        if not folder or self._all or folder in self._above_plain or self._names(folder):
            return True
        return any(spec.may_contain(folder) for spec in self._special)

    def covers(self, folder: str) -> bool:
        """Is surely all that is below the folder meant? Lets a walk name the folder instead of its files."""
        wanted = self._all or self._names(folder) or any(spec.covers(folder) for spec in self._special)
        return wanted and not self._excluded

    def select(self, paths: Iterable[str]) -> list[str]:
        """Those that are meant, in their order."""
        if self.everything:
            return list(paths)
        return [path for path in paths if self.matches(path)]

    def unmatched(self, paths: Iterable[str]) -> list[str]:
        """The specs, as typed, that mean none of the paths: commands refuse them ("did not match any file")."""
        left = [spec for spec in self._special if spec.path]
        plain = set(self._plain)
        for path in paths:
            if not left and not plain:
                break
            left = [spec for spec in left if not spec.matches(path)]
            if plain:
                plain.discard(path)
                plain.difference_update(above(path))
        missing = {spec.path for spec in left} | plain
        return [spec.typed for spec in self._wanted if spec.path in missing and (spec in left or spec.path in plain)]

    @property
    def everything(self) -> bool:
        """Does it mean all paths?"""
        return self._all and not self._excluded

    @property
    def trees(self) -> tuple[str, ...] | None:
        """The files and folders that all of it comes down to; None if there are wildcards or exclusions."""
        if self._excluded or any(spec.regex is not None or spec.fold for spec in self._special):
            return None
        return tuple(spec.path for spec in self._wanted)

    @property
    def literal(self) -> tuple[str, ...]:
        """The paths that are meant as they are, without wildcards: what a command may complain of by name."""
        return tuple(spec.path for spec in self._wanted if spec.regex is None)


def above(path: str) -> Iterator[str]:
    """The folders above a path, without the top; the nearest first."""
    at = path.rfind("/")
    while at > 0:
        yield path[:at]
        at = path.rfind("/", 0, at)


EVERYTHING = Pathspec()


def _parse(typed: str, prefix: str, locate: Callable[[Path], str] | None) -> _Spec:
    if not typed:
        raise UsageError("an empty string is no path", hint="use . for the current folder")
    magic, rest = _split_magic(typed)
    path = rest if "top" in magic else posixpath.join(prefix, rest)
    folder_only = path.endswith("/")
    if locate is not None and "top" not in magic and os.path.isabs(rest):
        path = locate(Path(rest))
    elif path.startswith("/"):
        raise UsageError(f"{typed} is outside of the worktree")
    path = posixpath.normpath(path) if path else ""
    if path == ".." or path.startswith("../"):
        raise UsageError(f"{typed} is outside of the worktree")
    path = "" if path == "." else path
    fold = "icase" in magic
    if fold:
        path = path.lower()
    regex = None
    if "literal" not in magic and is_glob(rest):
        glob = _escaped_prefix(path, rest, prefix, magic) + ("/" if folder_only else "")
        regex = compile_pattern(glob, by_folder="glob" in magic)
    return _Spec(typed, path, regex, "exclude" in magic, fold, folder_only)


def _escaped_prefix(path: str, rest: str, prefix: str, magic: frozenset[str]) -> str:
    """The glob, with what the current folder put before it taken literally."""
    if "top" in magic or not prefix or not path.startswith(prefix + "/"):
        return path
    return re.sub(r"([*?\[\\])", r"\\\1", prefix) + path[len(prefix) :]


def _split_magic(typed: str) -> tuple[frozenset[str], str]:
    """The magic words before a pathspec, and what comes after them."""
    if typed.startswith(":("):
        words, closed, rest = typed[2:].partition(")")
        magic = frozenset(word for word in words.split(",") if word)
        unknown = sorted(magic - _MAGIC)
        if not closed or unknown:
            raise UsageError(f"{typed}: no such pathspec magic", hint="known: " + ", ".join(sorted(_MAGIC)))
        if {"literal", "glob"} <= magic:
            raise UsageError(f"{typed}: literal and glob exclude each other")
        return magic, rest
    if not typed.startswith(":"):
        return frozenset(), typed
    at = 1
    found: set[str] = set()
    while at < len(typed) and typed[at] in _SIGNS:
        found.add(_SIGNS[typed[at]])
        at += 1
    if at < len(typed) and typed[at] == ":":
        at += 1
    elif at == 1:
        raise UsageError(f"{typed}: no such pathspec magic", hint=f"for a file of that name: ./{typed}")
    return frozenset(found), typed[at:]
