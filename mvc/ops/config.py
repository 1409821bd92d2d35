"""`mvc config`: read and write settings, of the repository or of the user."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mvc.backends.limited import parse_rates
from mvc.errors import NotFound, Refused, UsageError
from mvc.objects.config import Config, ConfigFile
from mvc.objects.options import resolve

_RATE_OF_REMOTE = re.compile(r"remote\..*\.limitrate", re.DOTALL)
_KEY = re.compile(r"[A-Za-z0-9-]+(?:\..+)?\.[A-Za-z][A-Za-z0-9-]*\Z", re.DOTALL)
_GUARDED = ("mvc.", "extensions.", "core.repositoryformatversion", "core.bare")


def config_path(start: Path) -> Path | None:
    """The config file of the repository that `start` lies in, found without reading it: for one that cannot be read."""
    for folder in (start, *start.parents):
        if (folder / ".mvc" / "config").is_file():
            return folder / ".mvc" / "config"
    return None


def list_settings(config: Config | ConfigFile) -> tuple[tuple[str, str], ...]:
    """All keys and values, those that win last."""
    return tuple(config.items())


def settings_like(config: Config | ConfigFile, pattern: str) -> tuple[tuple[str, str], ...]:
    """Those whose key holds a match of the regular expression, in lower case but for a subsection."""
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"'{pattern}' is not a regular expression: {error}") from error
    return tuple((key, value) for key, value in config.items() if wanted.search(key))


def read_setting(config: Config | ConfigFile, key: str) -> str | None:
    """The value that holds, or None."""
    _check_key(key)
    return config.get(key)


def read_all(config: Config | ConfigFile, key: str) -> tuple[str, ...]:
    """All values of a key, the one that holds last."""
    _check_key(key)
    return tuple(config.get_all(key))


def write_setting(path: Path, key: str, value: str, *, add: bool = False, globals: Sequence[Path] = ()) -> None:
    """Set a key in the file `path`, or with `add` one more value of it.

    Raises UsageError for a key or value that mvc could not read again, so that no setting can
    lock a repository; Refused for the keys that say how the repository is built.
    """
    _check_key(key)
    if key.lower().startswith(_GUARDED):
        raise Refused(f"{key} says how the repository is built: it is not a setting", hint="mvc upgrade")
    if "\0" in value:
        raise UsageError(f"{key}: a value cannot hold a NUL")
    resolve(_Trial(path, globals, key, value))
    if key.lower() == "transfer.limitrate" or _RATE_OF_REMOTE.fullmatch(key.lower()):
        parse_rates(value)
    file = ConfigFile(path)
    if add:
        file.add(key, value)
    else:
        file.set(key, value)
    file.save()


def unset_setting(path: Path, key: str) -> None:
    """Take all values of a key out of the file `path`. Raises NotFound if there are none."""
    _check_key(key)
    if key.lower().startswith(_GUARDED):
        raise Refused(f"{key} says how the repository is built: it is not a setting")
    file = ConfigFile(path)
    if not file.unset(key):
        raise NotFound(f"{key} is not set in {path}")
    file.save()


class _Trial(Config):
    """The settings as they would be with one more."""

    def __init__(self, path: Path, globals: Sequence[Path], key: str, value: str) -> None:
        super().__init__(path, globals=globals)
        self._key, self._value = key.lower(), value

    def get(self, key: str, default: str | None = None) -> str | None:
        return self._value if key.lower() == self._key else super().get(key, default)

    def get_all(self, key: str) -> list[str]:
        return [self._value] if key.lower() == self._key else super().get_all(key)


def _check_key(key: str) -> None:
    if _KEY.match(key) is None or "\n" in key:
        raise UsageError(f"'{key}' is not a key", hint="as in: mvc config user.name, mvc config core.threads 4")
