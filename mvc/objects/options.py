"""From config to the frozen settings that the core takes; and the check of the repository's format."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from mvc.errors import UnsupportedFormat, UsageError
from mvc.objects.config import Config
from mvc.settings import FORMAT, MAX_DEPTH, Author, ChunkNaming, Settings, SharedStoreSettings, StoreSettings

FEATURES: frozenset[str] = frozenset(("chunk-key",))
"""What `mvc.requires` may name: `chunk-key`, chunks are named by keyed BLAKE3 with `mvc.chunkKey`."""

_GIT_EXTENSIONS = {"noop": None, "objectformat": "sha1", "refstorage": "files", "worktreeconfig": "false"}
"""Extensions of Git's own repository format that change nothing here, and the value they must have."""

_DAYS = re.compile(r"(\d+)(?:[. ](day|week|month|year)s?(?:[. ]ago)?)?\Z")
_UNIT_DAYS = {None: 1, "day": 1, "week": 7, "month": 30, "year": 365}
NEVER_DAYS = 100 * 365


def resolve(config: Config) -> Settings:
    """All settings. Raises UsageError, naming key and value, where a value makes no sense."""
    plain = StoreSettings()
    store = StoreSettings(
        naming=_naming(config),
        verify_writes=config.get_bool("core.verifyWrites", plain.verify_writes),
        threads=_bounded(config, "core.threads", plain.threads, 0, 1024),
        window=_bounded(config, "core.window", plain.window, 1, 65536),
        delta_depth=_bounded(config, "core.deltaDepth", plain.delta_depth, 0, MAX_DEPTH),
        pack_size=_bounded(config, "core.packSize", plain.pack_size, 1024 * 1024, 2**40),
        zstd_level=_bounded(config, "core.zstdLevel", plain.zstd_level, 1, 22),
        decode_below=_bounded(config, "core.decodeBelow", plain.decode_below, 0, 2**62),
    )
    whole = Settings()
    return Settings(
        format=config.get_int("mvc.format", FORMAT),
        store=store,
        shared=_shared(config),
        author=_author(config),
        ignore_case=config.get_bool("core.ignoreCase", whole.ignore_case),
        symlinks=config.get_bool("core.symlinks", whole.symlinks),
        file_mode=config.get_bool("core.fileMode", whole.file_mode),
        gc_reflog_expire_days=_days(config, "gc.reflogExpire", whole.gc_reflog_expire_days),
        gc_prune_expire_days=_days(config, "gc.pruneExpire", whole.gc_prune_expire_days),
        default_branch=config.get("init.defaultBranch") or whole.default_branch,
    )


def check_format(config: Config, *, writing: bool) -> None:
    """Raise UnsupportedFormat if `[mvc] format` is newer, or `requires` (or, when writing, also
    `readonlyRequires`) names a feature that is not known here, or Git's own format is not ours."""
    if config.get("mvc.format") is None:
        raise UnsupportedFormat("this repository has no [mvc] format in its config", hint="mvc init completes it")
    found = _number(config, "mvc.format")
    if found > FORMAT:
        raise UnsupportedFormat(
            f"this repository has format {found}; this mvc knows up to {FORMAT}", hint="upgrade mvc"
        )
    needed = set(_words(config, "mvc.requires"))
    if writing:
        needed |= set(_words(config, "mvc.readonlyRequires"))
    unknown = sorted(needed - FEATURES)
    if unknown:
        use = "write" if writing else "read"
        raise UnsupportedFormat(f"to {use} this repository needs {', '.join(unknown)}", hint="upgrade mvc")
    _check_git(config)


def _check_git(config: Config) -> None:
    version = _number(config, "core.repositoryFormatVersion")
    if version > 1:
        raise UnsupportedFormat(f"its Git side has format {version}; this mvc knows up to 1")
    for key, value in config.items():
        if key.startswith("extensions."):
            name = key.removeprefix("extensions.")
            if name not in _GIT_EXTENSIONS or _GIT_EXTENSIONS[name] not in {None, value.lower()}:
                raise UnsupportedFormat(f"its Git side uses {key} = {value}, which this mvc does not know")


def _number(config: Config, key: str) -> int:
    try:
        return config.get_int(key, 0)
    except UsageError as error:
        raise UnsupportedFormat(error.message) from error


def _words(config: Config, key: str) -> Iterator[str]:
    for value in config.get_all(key):
        yield from value.replace(",", " ").split()


def _bounded(config: Config, key: str, default: int, low: int, high: int) -> int:
    value = config.get_int(key, default)
    if not low <= value <= high:
        raise UsageError(f"{key} = {value} is not between {low} and {high}")
    return value


def _naming(config: Config) -> ChunkNaming:
    key = config.get("mvc.chunkKey")
    if key is None:
        return ChunkNaming()
    if re.fullmatch("[0-9a-fA-F]{64}", key) is None:
        raise UsageError("mvc.chunkKey must have 64 hex digits")
    return ChunkNaming(bytes.fromhex(key))


def _shared(config: Config) -> SharedStoreSettings:
    path = os.path.expanduser(config.get("core.sharedStore") or "")
    if path and not os.path.isabs(path):
        raise UsageError(f"core.sharedStore = {path} is not an absolute path", hint="as in: /srv/mvc-store")
    return SharedStoreSettings(path, _bounded(config, "core.sharedStoreLimit", 0, 0, 2**60))


def _author(config: Config) -> Author | None:
    name, email = config.get("user.name"), config.get("user.email")
    return Author(name, email) if name and email is not None else None


def _days(config: Config, key: str, default: int) -> int:
    """A span as Git writes it: "90", "90 days", "2.weeks.ago", "now", "never"; in days."""
    value = config.get(key)
    if value is None:
        return default
    if value.lower() in {"never", "false"}:
        return NEVER_DAYS
    if value.lower() in {"now", "all"}:
        return 0
    match = _DAYS.match(value.lower())
    if match is None:
        raise UsageError(f"{key} = {value} is not a span of time", hint="as in: 90 days, 2 weeks, never")
    return min(int(match[1]) * _UNIT_DAYS[match[2]], NEVER_DAYS)
