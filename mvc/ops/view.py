"""Opening something to read versions from: a remote's URL, a repository's folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mvc.backends.limited import parse_rates
from mvc.backends.open import is_local, local_path, open_backend
from mvc.errors import NotFound
from mvc.objects.config import Config
from mvc.objects.options import resolve
from mvc.ops.connect import Outside, absolute_url, supplied
from mvc.progress import SILENT, Progress
from mvc.repo.repository import MVC_DIR, Repository, is_bare
from mvc.sync import keys
from mvc.sync.view import LocalView, RemoteView, View


@contextlib.contextmanager
def open_view(
    url: str, outside: Outside, cache: Path, *, global_configs: Sequence[Path] = (), progress: Progress = SILENT
) -> Iterator[View]:
    """What is at `url`: a repository on this disk, or else a remote.

    `cache`: where what comes of remotes is kept; where that cannot be written, a temporary folder takes its place.
    Nothing is asked of a remote yet. Raises NotFound, UsageError.
    """
    url = absolute_url(url, outside.cwd)
    if is_local(url):
        path = local_path(url)
        if os.path.lexists(path / MVC_DIR) or is_bare(path):
            repo, source = supplied(Repository.open(path, global_configs=global_configs), outside, progress)
            with contextlib.closing(source):
                yield LocalView(repo)
            return
        bundle = path.is_file() or path.with_name(f"{path.name}.001").is_file()
        if not bundle and not (path / keys.FORMAT).is_file():
            raise NotFound(f"there is neither a repository nor a remote at {url}", hint="check the path")
    config = Config(None, globals=tuple(global_configs))
    rates = outside.rates.over(parse_rates(text)) if (text := config.get("transfer.limitrate")) else outside.rates
    with contextlib.ExitStack() as stack:
        if not _writable(cache):
            cache = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mvc-")))
        environment = dict(outside.environment)
        if (ssh := config.get("core.sshcommand")) and not environment.get("GIT_SSH_COMMAND"):
            environment.setdefault("MVC_SSH_COMMAND", ssh)
        backend = open_backend(url, environment=environment, rates=rates)
        yield stack.enter_context(RemoteView(backend, cache, resolve(config).store.naming))


def _writable(folder: Path) -> bool:
    """Whether a folder is there, or can be made, and takes files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False
