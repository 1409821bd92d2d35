"""`mvc export`: versions into the forms of other tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mvc.errors import NotFound, Refused
from mvc.exporters.dvc import DvcForm
from mvc.exporters.gitproject import GitProject
from mvc.exporters.hfcache import CacheExported, export_cache
from mvc.exporters.history import Exported, Form, export_history
from mvc.exporters.lfs import LfsForm
from mvc.exporters.safetensors import Converted, convert
from mvc.objects import trees
from mvc.objects.revparse import resolve_commit, resolve_ref
from mvc.ops.caller import Caller
from mvc.repo.repository import Repository

FORMS: Mapping[str, type[Form]] = {"dvc": DvcForm, "git-lfs": LfsForm}
_HEADS, _TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True)
class SafetensorsExported:
    """The version, and the files that were written."""

    commit: str
    files: tuple[Converted, ...]


def export_git(repo: Repository, kind: str, dest: Path, revisions: Sequence[str], *, caller: Caller) -> Exported:
    """Write history as a Git project of DVC ("dvc") or with Git LFS ("git-lfs") into `dest`.

    `revisions` are branches and tags, or commits (which become branches `export-ID`); none is all branches and tags.
    Raises Refused for a folder that is not empty and was not exported to, NotFound.
    """
    refs = _refs(repo, revisions)
    if not refs:
        raise Refused("there is nothing to export: no branch has a commit")
    form = FORMS[kind]()
    project = GitProject(dest, kind)
    return export_history(repo, project, form, refs, caller.who, caller.progress, _head(repo, refs))


def export_hub_cache(
    repo: Repository, dest: Path, name: str, revisions: Sequence[str], *, caller: Caller
) -> CacheExported:
    """Write versions into a cache of the Hub; branches and tags give `refs/`, and one of them is `main`, too."""
    refs = _refs(repo, revisions or ["HEAD"])
    versions = {
        ref.removeprefix(_HEADS).removeprefix(_TAGS): repo.objects.peel(target, "commit")
        for ref, target in refs.items()
    }
    if "main" not in versions:
        versions["main"] = next(iter(versions.values()))
    return export_cache(repo, dest, name, versions, caller.progress)


def export_safetensors(
    repo: Repository,
    dest: Path,
    revision: str,
    paths: Sequence[str],
    *,
    drop_shared: bool = False,
    caller: Caller,
) -> SafetensorsExported:
    """Convert the weights of a version into `.safetensors` files in `dest`."""
    commit = resolve_commit(repo.objects, repo.refs, revision)
    items = trees.flatten(repo.objects, repo.objects.commit(commit).tree)
    for path in paths:
        if not any(one == path or one.startswith(path.rstrip("/") + "/") for one in items):
            raise NotFound(f"there is no '{path}' in {revision}")
    made = convert(repo, items, dest, caller.progress, paths=paths, drop_shared=drop_shared)
    return SafetensorsExported(commit, tuple(made))


def _refs(repo: Repository, revisions: Sequence[str]) -> dict[str, str]:
    """Full names of branches and tags there, and what they name here (a commit, or an annotated tag)."""
    if not revisions:
        return {**repo.refs.list(_HEADS), **repo.refs.list(_TAGS)}
    found: dict[str, str] = {}
    for revision in revisions:
        ref = repo.refs.head().branch if revision in ("HEAD", "@") else resolve_ref(repo.refs, revision)
        target = repo.refs.read(ref) if ref is not None else None
        if ref is not None and target is not None and ref.startswith((_HEADS, _TAGS)):
            found[ref] = target
        else:
            commit = resolve_commit(repo.objects, repo.refs, revision)
            found[f"{_HEADS}export-{commit[:10]}"] = commit
    return found


def _head(repo: Repository, refs: Mapping[str, str]) -> str | None:
    """The branch that the project is to be on."""
    own = repo.refs.head().branch
    return own if own in refs else next((ref for ref in refs if ref.startswith(_HEADS)), None)
