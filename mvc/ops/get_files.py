"""Which files of a version `mvc get` is to bring, and what they are to hold."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from mvc.errors import IntegrityError, NotFound, ParseError, UnsafePath
from mvc.objects import trees
from mvc.objects.manifest import identity, is_manifest
from mvc.objects.model import TreeItem, is_file, is_link, is_tree
from mvc.objects.paths import check_path, folds_alike
from mvc.repo.pathspec import Pathspec
from mvc.sync.view import View


class Wanted(NamedTuple):
    """A file or link: its item, its size in bytes, and its BLAKE3 if it is chunked."""

    item: TreeItem
    size: int
    blake3: bytes | None


def select(
    view: View, commit: str, path: str | None, include: Sequence[str], exclude: Sequence[str]
) -> dict[str, TreeItem]:
    """The files of a commit by the paths they are to have: relative to `path`, a folder; a file by its last name.

    `include` and `exclude` are pathspecs over those. Raises NotFound. The names are not checked yet.
    """
    objects = view.objects
    tree = objects.commit(commit).tree
    item = trees.entry_at(objects, tree, path or "")
    if item is None:
        raise NotFound(f"there is no '{path}' in {commit[:12]} of {view.url}")
    found = trees.flatten(objects, item.id) if is_tree(item.mode) else {posixpath.basename(path or ""): item}
    spec = Pathspec.parse([*include, *(f":(exclude){one}" for one in exclude)])
    unmatched = spec.unmatched(found)
    if unmatched and not is_wild(unmatched):
        raise NotFound(f"no file of {commit[:12]} is meant by '{unmatched[0]}'")
    found = {one: found[one] for one in spec.select(found)}
    return found


def is_wild(specs: Iterable[str]) -> bool:
    """Whether all of these hold wildcards: then it is no mistake that they mean nothing."""
    return all(any(sign in spec for sign in "*?[") for spec in specs)


def weigh(view: View, items: Mapping[str, TreeItem]) -> dict[str, Wanted]:
    """What they are to hold. Brings their blobs and manifests. Raises UnsafePath for a link that leads outside."""
    view.bring_objects([item.id for item in items.values()])
    found: dict[str, Wanted] = {}
    for path, item in items.items():
        blob = view.objects.blob(item.id)
        if is_link(item.mode):
            check_link(path, blob)
        if is_file(item.mode) and is_manifest(blob):
            try:
                size, digest = identity(blob)
            except ParseError as error:
                raise IntegrityError(f"the manifest of '{path}': {error.message}") from error
            found[path] = Wanted(item, size, digest)
        else:
            found[path] = Wanted(item, len(blob), None)
    return found


def check_link(path: str, target: bytes) -> None:
    """Raises UnsafePath for a link that leads out of the folder, or might through another link.

    So ".." may stand at a target's beginning alone, and no more often than there are folders above the link.
    """
    parts = target.split(b"/")
    ups = 0
    while ups < len(parts) and parts[ups] == b"..":
        ups += 1
    if target.startswith((b"/", b"\\")) or b":" in parts[0] or b"\\" in target:
        inside = False
    else:
        inside = ups <= path.count("/") and not any(part in (b"..", b"") for part in parts[ups:])
    if not inside or b".mvc" in parts:
        raise UnsafePath(
            f"'{path}' is a link that may lead out of the folder", hint=f"leave it out: --exclude '{path}'"
        )


def check_names(items: Mapping[str, TreeItem], *, fold: bool) -> None:
    """Raises UnsafePath for a name that must not be; with `fold` also for two that differ in case alone."""
    folded: dict[str, str] = {}
    for path, item in items.items():
        check_path(path)
        if not is_file(item.mode) and not is_link(item.mode):
            raise UnsafePath(f"'{path}' has the mode {item.mode:o}: it is neither a file nor a link")
        other = folded.setdefault(folds_alike(path), path) if fold else path
        if other != path:
            raise UnsafePath(
                f"'{other}' and '{path}' are one name on this file system", hint=f"leave one out: --exclude '{path}'"
            )
