"""Git's configuration files: read, and edited without touching what stands around a change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mvc import fsio
from mvc.errors import ParseError, UsageError
from mvc.lazy import load
from mvc.objects import configtext
from mvc.objects.configtext import Part, normal_key

_HOLD = "mvc.store.locks:hold"
"""Loaded when a file is to be saved."""

_MAX_INCLUDES = 5
_FROM_GIT = ("user.name", "user.email", "init.defaultbranch", "core.editor", "core.pager", "core.excludesfile")
_TRUE = frozenset(("true", "yes", "on", "1"))
_FALSE = frozenset(("false", "no", "off", "0", ""))
_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}

Edit = Callable[[list[Part]], list[Part]]


class ConfigFile:
    """One file in Git's config syntax. Keys are `section.key` or `section.sub.section.key`; section and key
    do not depend on case, the subsection does. Includes are not followed: an edit is of this file alone."""

    def __init__(self, path: Path) -> None:
        """Reads `path`; a file that does not exist is empty. Raises ParseError with the line's number."""
        self.path = path
        self._parts = read_parts(path)
        self._edits: list[Edit] = []

    def get(self, key: str) -> str | None:
        """The last value of a key, or None."""
        values = self.get_all(key)
        return values[-1] if values else None

    def get_all(self, key: str) -> list[str]:
        """All values of a key, in the order of the file."""
        wanted = normal_key(key)
        return [part.value for part in self._parts if part.key == wanted]

    def items(self) -> list[tuple[str, str]]:
        """All (key, value) in the order of the file, as `git config --list`."""
        return [(part.key, part.value) for part in self._parts if part.key is not None]

    def set(self, key: str, value: str) -> None:
        """Replace the (last) value of a key or add it; in memory until `save`."""
        name = normal_key(key)
        line = _entry(key, value)
        self._edit(lambda parts: _set(parts, name, line))

    def add(self, key: str, value: str) -> None:
        """Add a further value."""
        name = normal_key(key)
        line = _entry(key, value)
        self._edit(lambda parts: _add(parts, name, line))

    def unset(self, key: str) -> bool:
        """Remove all values of a key (and a section that gets empty); False if there was none."""
        name = normal_key(key)
        if not self.get_all(key):
            return False
        self._edit(lambda parts: _unset(parts, name))
        return True

    def remove_section(self, section: str) -> bool:
        """Remove a section (`remote.origin`)."""
        name = _section(section)
        if not any(part.section == name and part.header for part in self._parts):
            return False
        self._edit(lambda parts: [part for part in parts if part.section != name])
        return True

    def rename_section(self, old: str, new: str) -> bool:
        """Give a section (`branch.a`) another name; False if there is none."""
        before, after = _section(old), _section(new)
        if not any(part.section == before and part.header for part in self._parts):
            return False
        self._edit(lambda parts: [_renamed(part, before, after) for part in parts])
        return True

    def _edit(self, edit: Edit) -> None:
        self._parts = edit(self._parts)
        self._edits.append(edit)

    def save(self) -> None:
        """Write the file in one step, under Git's `<path>.lock`.

        The edits are made once more on what the file holds by then, so that two processes that
        edit one config do not undo each other.
        """
        with load(_HOLD)(self.path.with_name(self.path.name + ".lock"), what="config", wait=5.0):
            parts = read_parts(self.path)
            for edit in self._edits:
                parts = edit(parts)
            text = "".join(part.text for part in parts)
            mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o666
            fsio.write_atomic(self.path, text.encode("utf-8", "surrogateescape"), mode=mode)
        self._parts, self._edits = parts, []


class Config:
    """Several files, the later ones win: Git's global, mvc's global, the repository's."""

    def __init__(self, local: Path | None, *, globals: Sequence[Path] = ()) -> None:
        """`globals` in rising priority, such as (~/.gitconfig, ~/.config/mvc/config). From Git's own files
        (`.gitconfig`, `git/config`) only the author, editor, pager and default branch are taken."""
        self._values: dict[str, list[str]] = {}
        for path in (*globals, *([local] if local is not None else [])):
            is_git = path.name in {".gitconfig", "gitconfig"} or path.parent.name == "git"
            for key, value in _with_includes(path, 0, strict=path == local):
                if not is_git or key in _FROM_GIT:
                    # Re-inserting keeps the order of `items`: what wins comes last.
                    self._values[key] = [*self._values.pop(key, []), value]

    def get(self, key: str, default: str | None = None) -> str | None:
        """The value of the file with the highest priority that has the key."""
        values = self._values.get(normal_key(key))
        return values[-1] if values else default

    def get_bool(self, key: str, default: bool) -> bool:
        """A boolean as Git spells it (true/yes/on/1, an empty value is false). Raises UsageError for others."""
        value = self.get(key)
        if value is None:
            return default
        if value.lower() in _TRUE | _FALSE:
            return value.lower() in _TRUE
        raise UsageError(f"{key} = {value} is neither true nor false")

    def get_int(self, key: str, default: int) -> int:
        """An integer, with k, m, g as suffix. Raises UsageError for others."""
        value = self.get(key)
        if value is None:
            return default
        digits, unit = (value[:-1], _UNITS[value[-1].lower()]) if value[-1:].lower() in _UNITS else (value, 1)
        try:
            return int(digits) * unit
        except ValueError as error:
            raise UsageError(f"{key} = {value} is not a whole number") from error

    def get_all(self, key: str) -> list[str]:
        """All values, low priority first."""
        return list(self._values.get(normal_key(key), ()))

    def items(self) -> list[tuple[str, str]]:
        """All pairs, those that win last."""
        return [(key, value) for key, values in self._values.items() for value in values]


def read_parts(path: Path) -> list[Part]:
    """The parts of a file; none if it does not exist."""
    try:
        with open(path, "rb") as file:
            data = file.read(configtext.MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return []
    if len(data) > configtext.MAX_FILE:
        raise ParseError(f"{path} is too large for a config")
    try:
        return configtext.parse(data.decode("utf-8", "surrogateescape"))
    except ParseError as error:
        raise ParseError(f"{path}: {error.message}") from error


def _with_includes(path: Path, depth: int, *, strict: bool) -> list[tuple[str, str]]:
    """The entries of a file, `include.path` followed in place (not conditional ones).

    A user's global file that cannot be read must not stop every command: then it is as if empty.
    """
    try:
        parts = read_parts(path)
    except (ParseError, OSError):
        if strict:
            raise
        return []
    found: list[tuple[str, str]] = []
    for part in parts:
        if part.key is None:
            continue
        found.append((part.key, part.value))
        if part.key == "include.path" and depth < _MAX_INCLUDES:
            found += _with_includes(_included(path, part.value), depth + 1, strict=strict)
    return found


def _included(path: Path, value: str) -> Path:
    if value.startswith("~/") and path.name == ".gitconfig":
        return path.parent / value[2:]
    return path.parent / value


def _entry(key: str, value: str) -> Part:
    section, _, name = normal_key(key).rpartition(".")
    spelt = key.rpartition(".")[2]
    return Part(configtext.dump_entry(spelt, value), section, name, value)


def _section(section: str) -> str:
    head, dot, rest = section.partition(".")
    return head.lower() + dot + rest


def _renamed(part: Part, before: str, after: str) -> Part:
    if part.section != before:
        return part
    text = configtext.dump_header(after).rstrip("\n") + "\n" * part.text.endswith("\n") if part.header else part.text
    return part._replace(text=text, section=after)


def _set(parts: list[Part], key: str, line: Part) -> list[Part]:
    places = [at for at, part in enumerate(parts) if part.key == key]
    if not places:
        return _add(parts, key, line)
    return [*parts[: places[-1]], line, *parts[places[-1] + 1 :]]


def _add(parts: list[Part], key: str, line: Part) -> list[Part]:
    mine = [at for at, part in enumerate(parts) if part.section == line.section and (part.header or part.name)]
    if not mine:
        header = Part(configtext.dump_header(line.section), line.section, header=True)
        return [*_ended(parts), header, line]
    at = mine[-1] + 1
    before = parts[:at]
    if before[-1].header and at < len(parts) and parts[at].name is None and parts[at].text.strip(" \t\r") == "\n":
        # The rest of the header's own line.
        before, at = parts[: at + 1], at + 1
    return [*_ended(before), line, *parts[at:]]


def _unset(parts: list[Part], key: str) -> list[Part]:
    section = key.rpartition(".")[0]
    left = [part for part in parts if part.key != key]
    if any(part.section == section and (part.name or "#" in part.text or ";" in part.text) for part in left):
        return left
    return [part for part in left if part.section != section]


def _ended(parts: list[Part]) -> list[Part]:
    """The parts, the last of them ending its line."""
    if not parts or parts[-1].text.endswith("\n"):
        return parts
    last = parts[-1]
    return [*parts[:-1], Part(last.text + "\n", last.section, last.name, last.value, last.header)]
