"""`mvc bundle`: refs with their history and chunks in a file, for a disk that is carried over an air gap."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mvc.backends.bundlefile import BundleFile, bundle_name, open_bundle, part_path
from mvc.errors import IntegrityError, NotFound, Refused, UsageError
from mvc.objects.refnames import ALIASES, REVIEWS
from mvc.objects.refspec import Refspec
from mvc.objects.revparse import resolve_commit, resolve_ref
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside, connect
from mvc.repo.repository import Repository
from mvc.sync import bundle as engine
from mvc.sync import fetch as fetching
from mvc.sync import keys
from mvc.sync.bundle import Bundled
from mvc.sync.fetch import FetchedRef
from mvc.sync.remotes import RemoteConfig
from mvc.sync.state import MAX_ENTRY, State, parse
from mvc.sync.unbundle import take_chunks

TARGET = "refs/bundles/"
_KINDS = ("refs/heads/", "refs/tags/", ALIASES, REVIEWS)


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
    """What came out of a bundle: its refs, under `refs/bundles/`."""

    refs: tuple[FetchedRef, ...]
    objects: int
    chunks: int
    bytes: int


def create_bundle(
    repo: Repository,
    path: Path,
    names: Sequence[str] = (),
    *,
    since: Sequence[str] = (),
    split: int = 0,
    caller: Caller,
) -> Bundled:
    """Write a bundle of the refs `names`, but for what the revisions `since` reach.

    None are named: all branches, tags, aliases and reviews go.

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
    return engine.create(repo, path, refs, since=before, split=split, who=caller.who, progress=caller.progress)


def _refs(repo: Repository, names: Sequence[str]) -> Mapping[str, str]:
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

    Raises Refused where commits that it counts on are not here, NotFound, IntegrityError, MissingObject.
    """
    repo.require_writable()
    info = bundle_info(path, repo)
    if info.missing:
        raise Refused(
            "the bundle counts on commits that are not here: " + ", ".join(one[:10] for one in info.missing),
            hint="take the bundle that came before it, or fetch them",
        )
    url = str((bundle_name(path) or path).absolute())
    with connect(repo, RemoteConfig("", url, url), outside) as remote:
        try:
            came = take_chunks(remote, progress=caller.progress)
            spec = Refspec("refs/*", f"{TARGET}*", force=True)
            found = fetching.fetch(remote, [spec], who=caller.who, tags="none", progress=caller.progress)
        finally:
            # All is here now: nothing is promised by a disk that is carried away.
            shutil.rmtree(remote.memory, ignore_errors=True)
    return Unbundled(found.refs, found.objects, came.chunks, came.moved + found.bytes)
