"""`mvc bundle`: refs with their history and chunks in a file, for a disk that is carried over an air gap."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mvc.backends.bundlefile import BundleFile, bundle_name, open_bundle, part_path
from mvc.errors import IntegrityError, NotFound, Refused, UsageError
from mvc.metadata.model import NOTES
from mvc.objects.refspec import Refspec
from mvc.objects.revparse import resolve_commit, resolve_ref
from mvc.ops.caller import Caller
from mvc.ops.carry_notes import bring_notes
from mvc.ops.connect import Outside, connect
from mvc.ops.push_names import go_along
from mvc.repo.repository import Repository
from mvc.sync import bundle as engine
from mvc.sync import fetch as fetching
from mvc.sync import keys
from mvc.sync.bundle import Bundled
from mvc.sync.fetch import FetchedRef
from mvc.sync.remotes import RemoteConfig
from mvc.sync.state import MAX_ENTRY, State, parse
from mvc.sync.stepped import STEPPED
from mvc.sync.unbundle import take_chunks

TARGET = "refs/bundles/"
_KINDS = ("refs/heads/", "refs/tags/")
_OTHERWISE = (*STEPPED, NOTES)
"""Refs that go by rules of their own, to where they are everywhere."""


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """What a bundle tells of itself. `missing`: the commits it counts on that are not here (None: no repository)."""

    path: Path
    state: State
    needs: tuple[str, ...]
    missing: tuple[str, ...] | None
    bytes: int
    parts: int
    damage: tuple[str, ...] = ()
    """Keys whose bytes are not those that were written (`verify`)."""


@dataclass(frozen=True, slots=True)
class Unbundled:
    """What came out of a bundle: its refs, under `refs/bundles/`, its aliases and reviews; `notes`: annotations too."""

    refs: tuple[FetchedRef, ...]
    objects: int
    chunks: int
    bytes: int
    notes: bool = False


def create_bundle(
    repo: Repository,
    path: Path,
    names: Sequence[str] = (),
    *,
    since: Sequence[str] = (),
    split: int = 0,
    aliases: bool | None = None,
    caller: Caller,
) -> Bundled:
    """Write a bundle of the refs `names` (none: all branches and tags), but for what the revisions `since` reach.

    With `aliases` (None: where no refs are named) those aliases and reviews go along whose commits the receiver has
    then. What was said of commits always does.

    Chunks that are not here come from the remotes first. Raises NotFound, Refused (nothing to write, or the file is
    there), UsageError.
    """
    if split and split < engine.SMALLEST_PART:
        raise UsageError(f"a part has at least {engine.SMALLEST_PART // 1024} kB")
    if path.exists() or part_path(path, 1).exists():
        raise Refused(f"'{path}' is there already", hint="remove it, or choose another name")
    if not path.parent.is_dir():
        raise NotFound(f"there is no folder '{path.parent}'")
    refs = _refs(repo, names)
    if not refs:
        raise Refused("Refusing to create empty bundle.", hint="mvc branch -a, mvc tag tell what there is")
    before = [resolve_commit(repo.objects, repo.refs, one) for one in since]
    if aliases or (aliases is None and not names):
        refs |= {ref: tip for ref, tip in go_along(repo, [*refs.values(), *before]).items() if ref not in refs}
    if (notes := repo.refs.read(NOTES)) is not None:
        refs[NOTES] = notes
    return engine.create(repo, path, refs, since=before, split=split, who=caller.who, progress=caller.progress)


def _refs(repo: Repository, names: Sequence[str]) -> dict[str, str]:
    if not names:
        return {name: value for kind in _KINDS for name, value in repo.refs.list(kind).items()}
    found: dict[str, str] = {}
    for name in names:
        full = repo.refs.head().branch if name == "HEAD" else resolve_ref(repo.refs, name)
        value = repo.refs.read(full) if full is not None else None
        if full is None or value is None or not full.startswith("refs/"):
            raise NotFound(f"'{name}' is no branch or tag", hint=f"mvc branch NAME {name}, then bundle NAME")
        found[full] = value
    return found


def bundle_info(path: Path, repo: Repository | None, *, read: bool = False) -> BundleInfo:
    """What a bundle holds; with `read` every byte is held against its hash. Raises NotFound, IntegrityError."""
    bundle = open_bundle(path)
    try:
        state = _state(bundle)
        missing = None
        if repo is not None:
            missing = tuple(one for one in bundle.needs if not repo.objects.contains(one))
        damage = tuple(member.key for member, _ in bundle.check()) if read else ()
        size = sum(member.size for member in bundle.members.values())
        return BundleInfo(path, state, tuple(bundle.needs), missing, size, bundle.parts, damage)
    finally:
        bundle.close()


def _state(bundle: BundleFile) -> State:
    try:
        return parse(bundle.get(keys.entry(1), 0, MAX_ENTRY + 1)).state
    except NotFound as error:
        raise IntegrityError(f"{bundle.url} holds no entry that lists refs") from error


def unbundle(repo: Repository, path: Path, *, outside: Outside, caller: Caller) -> Unbundled:
    """Take all of a bundle: chunks, history, then its refs, under `refs/bundles/`. May be repeated after any failure.

    Aliases, reviews and annotations are joined with those that are here, as by a fetch.

    Raises Refused where commits that it counts on are not here, NotFound, IntegrityError, MissingObject.
    """
    repo.require_writable()
    info = bundle_info(path, repo)
    url = str((bundle_name(path) or path).absolute())
    with connect(repo, RemoteConfig("", url, url), outside) as remote:
        fetching.require(remote, info.needs)
        try:
            came = take_chunks(remote, progress=caller.progress)
            refs = [ref for ref in info.state.refs if not ref.startswith(_OTHERWISE)]
            specs = [Refspec(ref, TARGET + ref.removeprefix("refs/"), force=True) for ref in refs]
            found = fetching.fetch(remote, specs, who=caller.who, tags="none", names="all", progress=caller.progress)
            notes = bring_notes(remote, info.state.refs, caller)
        finally:
            # All is here now: nothing is promised by a disk that is carried away.
            shutil.rmtree(remote.memory, ignore_errors=True)
    return Unbundled(found.refs, found.objects, came.chunks, came.moved + found.bytes, notes)
