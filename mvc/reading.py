"""Reading versions in Python without a clone: `mvc.open`, `mvc.safe_open`. docs/python.md shows them at work."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvc.errors import UsageError
from mvc.lazy import load
from mvc.ops.address import parse_address
from mvc.ops.connect import Outside
from mvc.ops.ranged_file import RangedFile, RawFile, open_model_file
from mvc.ops.view import open_view
from mvc.sync.view import View

if TYPE_CHECKING:
    from mvc.ops.tensor_slices import TensorFile

_TENSORS = "mvc.ops.tensor_slices:TensorFile"
"""Loaded when it is asked for: it needs numpy."""

_BUFFER = 128 * 1024


def open(
    address: str, *, environment: Mapping[str, str] | None = None, cache: str | os.PathLike[str] | None = None
) -> io.BufferedReader:
    """A file of a version, to read: `mvc.open("s3://bucket/bert@v1:model.safetensors")`.

    URL is a remote or a repository on this disk. Any place of it can be read; only the chunks that are needed come,
    each verified, and who reads in order is read ahead for. `environment`: where credentials are looked for, by
    default the process's own. `cache`: a folder for history and indexes that came; by default mvc's own. Close it, or
    use it in a `with` block. Raises NotFound and other errors of `mvc.errors`.
    """
    with ExitStack() as stack:
        file = _opened(stack, address, environment, cache)
        return io.BufferedReader(RawFile(file, stack.pop_all()), _BUFFER)


def safe_open(
    address: str,
    framework: str = "np",
    device: Any = "cpu",
    *,
    environment: Mapping[str, str] | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> TensorFile:
    """As safetensors' `safe_open`, of a file of any version: `keys`, `metadata`, `get_tensor`, `get_slice`.

    `address`, `environment` and `cache` as of `open`. `framework`: "np" or "pt".
    """
    with ExitStack() as stack:
        file = _opened(stack, address, environment, cache)
        made: TensorFile = load(_TENSORS)(file, stack.pop_all(), framework, device)
        return made


def open_version(
    stack: ExitStack,
    url: str,
    environment: Mapping[str, str] | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> View:
    """What is at `url`, for as long as `stack` is open."""
    given = os.environ if environment is None else environment
    folder = Path(cache) if cache is not None else _cache(given)
    return stack.enter_context(open_view(url, Outside(given, Path.cwd()), folder, global_configs=_configs(given)))


def _opened(
    stack: ExitStack, address: str, environment: Mapping[str, str] | None, cache: str | os.PathLike[str] | None
) -> RangedFile:
    wanted = parse_address(address, Path.cwd())
    if not wanted.path:
        raise UsageError(f"'{address}' names no file", hint="URL@REV:PATH")
    view = open_version(stack, wanted.url, environment, cache)
    return RangedFile(view, open_model_file(view, view.resolve(wanted.revision), wanted.path))


def _cache(environment: Mapping[str, str]) -> Path:
    """MVC_HOME, else mvc's folder in the user's cache."""
    if given := environment.get("MVC_HOME"):
        return Path(given)
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mvc"


def _configs(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """The user's config files, Git's first."""
    base = environment.get("XDG_CONFIG_HOME")
    folder = Path(base) if base else Path.home() / ".config"
    return (folder / "git/config", Path.home() / ".gitconfig", folder / "mvc/config")
