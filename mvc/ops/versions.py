"""The files in chunks that revisions and paths on a command line name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mvc.errors import NotFound
from mvc.objects import trees
from mvc.objects.manifest import Manifest, is_manifest, parse
from mvc.objects.model import TreeItem, is_file, is_tree
from mvc.objects.revparse import resolve, resolve_tree, split_path
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A file in chunks: where it was found first, and its blob's id."""

    path: str
    id: str
    manifest: Manifest


def versions(repo: Repository, revisions: Sequence[str], pathspec: Pathspec | None = None) -> list[FileVersion]:
    """The files in chunks of revisions (`REV`, or `REV:PATH`, which may be a folder), each version once.

    `pathspec`: those of HEAD that it matches, too. Raises NotFound for what does not exist.
    """
    found: dict[str, FileVersion] = {}
    for spec in revisions:
        for path, item in _items(repo, spec):
            _note(repo, found, path, item)
    if pathspec is not None:
        head = repo.refs.head().id
        items = trees.flatten(repo.objects, repo.objects.commit(head).tree if head else None)
        for path in pathspec.select(items):
            _note(repo, found, path, items[path])
    return list(found.values())


def _items(repo: Repository, spec: str) -> Iterator[tuple[str, TreeItem]]:
    revision, path = split_path(spec)
    if path is None or not revision:
        yield from trees.flatten(repo.objects, resolve_tree(repo.objects, repo.refs, spec)).items()
        return
    path = path.strip("/")
    item = trees.entry_at(repo.objects, resolve_tree(repo.objects, repo.refs, revision), path)
    if item is None:
        raise NotFound(f"there is no '{path}' in {revision}", hint=f"mvc ls-files, or mvc show {revision}")
    if is_tree(item.mode):
        below = trees.flatten(repo.objects, resolve(repo.objects, repo.refs, spec))
        yield from ((f"{path}/{name}", one) for name, one in below.items())
    else:
        yield path, item


def _note(repo: Repository, found: dict[str, FileVersion], path: str, item: TreeItem) -> None:
    if item.id not in found and is_file(item.mode):
        blob = repo.objects.blob(item.id)
        if is_manifest(blob):
            found[item.id] = FileVersion(path, item.id, parse(blob))
