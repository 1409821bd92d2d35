"""Which files that are not versioned are left alone: `.mvcignore`, in the syntax of gitignore(5)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mvc.repo.folders import Folders
from mvc.repo.pathbytes import decode
from mvc.repo.repository import Repository
from mvc.repo.wildmatch import compile_pattern, is_glob

IGNORE_FILE = ".mvcignore"
LEFTOVER_PREFIX = ".mvc-tmp-"
"""How the names of files begin that a checkout was writing when it was killed (mvc.repo.place)."""
_LARGEST = 4 * 1024 * 1024
_DVC = ".dvc"
_DVC_RULES = f"/{_DVC}/cache/\n/{_DVC}/tmp/\n/{_DVC}/config.local\n"
"""What DVC keeps from Git, too, in a project that has both: copies of all versions, locks, credentials."""


class Rule(NamedTuple):
    """A line of an ignore file. `test` takes the path below the file's folder, or the bare name (`by_name`)."""

    test: Callable[[str], object]
    by_name: bool
    folders_only: bool
    ignores: bool
    """False for a line that begins with "!": what it matches is not ignored after all."""


def parse_rules(text: str) -> list[Rule]:
    """The rules of an ignore file, in its order."""
    lines = text.removeprefix("\ufeff").split("\n")
    return [rule for line in lines if (rule := _parse_line(line)) is not None]


class Ignore:
    """The ignore files of a worktree, read when a path in their folder is asked about."""

    def __init__(self, folders: Folders, extra: tuple[Rule, ...] = ()) -> None:
        """`extra` are rules for the whole worktree which any `.mvcignore` overrides."""
        self._folders = folders
        self._chains: dict[str, tuple[tuple[str, list[Rule]], ...]] = {}
        self._extra = ("", list(extra))
        self._verdicts: dict[str, bool] = {"": False}
        """Of folders."""

    @classmethod
    def of(cls, repo: Repository, folders: Folders) -> Ignore:
        """With the rules of `.mvc/info/exclude`, which are this repository's own, and those for DVC's scratch."""
        top = repo.worktree
        of_dvc = parse_rules(_DVC_RULES) if top is not None and (top / _DVC).is_dir() else []
        return cls(folders, (*of_dvc, *_read_rules(repo.common_dir / "info" / "exclude")))

    def ignores(self, path: str, *, is_folder: bool = False) -> bool:
        """Is the path ignored, by itself or since a folder above it is?

        As in Git, nothing below an ignored folder can be taken back.
        """
        folder = path.rpartition("/")[0]
        if folder not in self._verdicts:
            self._verdicts[folder] = self.ignores(folder, is_folder=True)
        return self._verdicts[folder] or self.matches(path, is_folder=is_folder)

    def matches(self, path: str, *, is_folder: bool = False) -> bool:
        """Is the path ignored by itself? For a walk, which does not enter ignored folders."""
        folder, _, name = path.rpartition("/")
        if name.startswith(LEFTOVER_PREFIX):
            return True
        for base, rules in self._chain(folder):
            inner = path[len(base) + 1 :] if base else path
            for rule in reversed(rules):
                if rule.folders_only and not is_folder:
                    continue
                if rule.test(name if rule.by_name else inner):
                    return rule.ignores
        return False

    def _chain(self, folder: str) -> tuple[tuple[str, list[Rule]], ...]:
        """The rule lists that count in a folder, the deepest first."""
        chain = self._chains.get(folder)
        if chain is None:
            outermost = (self._extra,) if self._extra[1] else ()
            above = self._chain(folder.rpartition("/")[0]) if folder else outermost
            rules = self._read(folder)
            chain = ((folder, rules), *above) if rules else above
            self._chains[folder] = chain
        return chain

    def _read(self, folder: str) -> list[Rule]:
        path = f"{folder}/{IGNORE_FILE}" if folder else IGNORE_FILE
        data = self._folders.read_file(path, _LARGEST)
        return parse_rules(decode(data)) if data else []


def _read_rules(path: Path) -> list[Rule]:
    try:
        with open(path, "rb") as file:
            return parse_rules(decode(file.read(_LARGEST)))
    except OSError:
        return []


def _parse_line(line: str) -> Rule | None:
    line = _strip_end(line.removesuffix("\r"))
    if not line or line.startswith("#"):
        return None
    ignores = not line.startswith("!")
    pattern = line if ignores else line[1:]
    folders_only = pattern.endswith("/")
    if folders_only:
        pattern = pattern[:-1]
    by_name = "/" not in pattern
    pattern = pattern.removeprefix("/")
    return Rule(_tester(pattern, by_name), by_name, folders_only, ignores) if pattern else None


def _strip_end(line: str) -> str:
    """Without trailing spaces, but for those after a backslash."""
    stripped = line.rstrip(" ")
    slashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if slashes % 2 and len(stripped) < len(line) else stripped


def _tester(pattern: str, by_name: bool) -> Callable[[str], object]:
    if not is_glob(pattern):
        return pattern.__eq__
    if by_name and pattern.startswith("*") and not is_glob(pattern[1:]):
        return _EndsWith(pattern[1:])
    return compile_pattern(pattern, by_folder=True).fullmatch


class _EndsWith:
    """`*.ext`, by far the most frequent pattern, without an expression."""

    __slots__ = ("ending",)

    def __init__(self, ending: str) -> None:
        self.ending = ending

    def __call__(self, name: str) -> bool:
        return name.endswith(self.ending)
