"""What an adapter (LoRA and the like) was made for, as the `adapter_config.json` beside it says.

Its tensors are others than those of its base, so that they tell nothing. PEFT writes the base's name on the Hub or
its folder (https://huggingface.co/docs/peft/developer_guides/checkpoint).
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from mvc.metadata.model import Base, CommitMetadata
from mvc.metadata.secrets import without_credentials
from mvc.objects.model import TreeItem, is_tree
from mvc.objects.reader import ObjectReader
from mvc.objects.walk import Selection, walk
from mvc.repo.repository import Repository
from mvc.settings import SMALL_FILE

CONFIG = "adapter_config.json"

_MODELS = ("adapter_model.safetensors", "adapter_model.bin")
_ON_HUB = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.-]+)?\Z", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_MOST = 64


class Version(NamedTuple):
    """A version that is about to be committed."""

    objects: ObjectReader
    found: Callable[[str], TreeItem | None]
    """What stands at a path of it."""
    parents: tuple[str, ...]
    """Commits."""


def is_of_adapter(path: str) -> bool:
    """Whether a file belongs to an adapter."""
    name = path.rpartition("/")[2]
    return name == CONFIG or name in _MODELS


def with_adapters(
    metadata: CommitMetadata, repo: Repository, version: Version, paths: Collection[str]
) -> CommitMetadata:
    """The metadata with the bases of the adapters among `paths`, the files that the version changes."""
    folders = sorted({path.rpartition("/")[0] for path in paths if is_of_adapter(path)})[:_MOST]
    bases = [base for folder in folders if (base := _base(repo, version, folder, paths)) is not None]
    return metadata._replace(bases=tuple(dict.fromkeys((*metadata.bases, *bases)))) if bases else metadata


def _base(repo: Repository, version: Version, folder: str, paths: Collection[str]) -> Base | None:
    prefix = f"{folder}/" if folder else ""
    config = _config(version.objects, version.found(prefix + CONFIG))
    name, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(name, str) or not name:
        return None
    of = next((prefix + one for one in _MODELS if version.found(prefix + one)), None) or prefix or None
    for path in (posixpath.normpath(prefix + name), posixpath.normpath(name)):
        inside = None if path.startswith(("..", "/", ".")) or path == folder else version.found(path)
        if inside is not None:
            brought = _brought(repo, version, path, paths)
            return Base(brought, None, f"{path}/" if is_tree(inside.mode) else path, of)
    if "://" in name:
        return Base(None, without_credentials(name), None, of)
    if not _ON_HUB.match(name):
        return None  # a folder of the machine that it was trained on
    commit = revision if isinstance(revision, str) and _COMMIT.match(revision) else None
    return Base(commit, f"hf://{name}", None, of)


def _brought(repo: Repository, version: Version, path: str, changed: Collection[str]) -> str | None:
    """The commit that last changed a file or folder; None where the version itself does."""
    if not version.parents or any(one == path or one.startswith(f"{path}/") for one in changed):
        return None
    found = walk(repo.objects, Selection(include=list(version.parents), paths=(path,), max_count=1))
    return next((commit.id for commit in found), None)


def _config(objects: ObjectReader, item: TreeItem | None) -> dict[str, Any]:
    data = None if item is None else objects.blob_within(item.id, SMALL_FILE)
    try:
        config = json.loads(data or b"")
    except (ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}
