"""The files of a checkpoint back into a folder."""

from __future__ import annotations

from pathlib import Path

from mvc.errors import MissingObject
from mvc.ops.address import Address
from mvc.ops.connect import supplied
from mvc.ops.get import GetOptions, get
from mvc.ops.view import open_view
from mvc.sync.view import LocalView
from mvc.training.place import Place


def restore(place: Place, remote: str | None, commit: str, folder: Path) -> None:
    """Make `folder` hold the files of a commit: from the repository, else its remotes, else `remote` (a URL)."""
    options = GetOptions(force=True)
    repo, source = supplied(place.open(), place.outside())
    try:
        get(LocalView(repo), Address(str(place.path), commit, None), folder, options)
        return
    except MissingObject:
        if remote is None or remote in place.remotes(repo):
            raise
    finally:
        source.close()
        repo.objects.close()
    cache = repo.common_dir / "remote-cache"
    with open_view(remote, place.outside(), cache, global_configs=place.global_configs()) as view:
        get(view, Address(remote, commit, None), folder, options)
