"""`mvc purge`: files taken out of all history, here and in remotes, with the chunks that only they named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mvc import fsio
from mvc.errors import AuthError, MvcError, NotFound, Refused, Unsupported, UsageError
from mvc.objects.reflog import ReflogEntry
from mvc.objects.refs import RefChange
from mvc.objects.refspec import Refspec
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside, connect
from mvc.ops.gc import gc
from mvc.ops.project import note_head
from mvc.ops.purge_plan import (
    TEMPORARY,
    Elsewhere,
    Plan,
    PurgedFile,
    contents,
    is_staged,
    is_under,
    live_here,
    live_there,
    make_plan,
)
from mvc.ops.remote import require
from mvc.ops.shared_store import Proofs, remove_chunks
from mvc.repo import inprogress
from mvc.repo.chunks import open_chunks
from mvc.repo.locking import edit_stage
from mvc.repo.repository import Repository
from mvc.repo.roots import worktrees
from mvc.store.shared import space_of
from mvc.sync import fetch as fetching
from mvc.sync.lift import lift_local, lift_remote
from mvc.sync.push import push
from mvc.sync.remotegc import gc_remote
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotes import Remote, configured
from mvc.sync.verdicts import PushedRef, RefUpdate

_PSEUDO = "ORIG_HEAD"
_MAP = "purge/commit-map"
_PENDING = "purge/chunks"


@dataclass(frozen=True, slots=True)
class RefMove:
    """A ref here, and where it goes (None: deleted, as nothing of it is left)."""

    ref: str
    old: str
    new: str | None


@dataclass(frozen=True, slots=True)
class PurgedRemote:
    """What became of a remote. `left`: chunks that are there still, since somebody is writing to it."""

    name: str
    url: str
    refs: tuple[PushedRef, ...]
    deleted: int
    """Bytes of the objects of the store that were deleted."""
    left: int = 0
    waiting: int = 0
    refused: str = ""
    """Why the old bytes could not be deleted there: a server lets nobody, its own folder is cleaned on its machine."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What was purged, or with `dry_run` would be."""

    files: tuple[PurgedFile, ...]
    commits: tuple[tuple[str, str | None], ...]
    """Old id and new id of each commit that is rewritten; None: it is left out, with all before it."""
    refs: tuple[RefMove, ...]
    remotes: tuple[PurgedRemote, ...] = ()
    freed: int = 0
    """Bytes that went here."""
    left: int = 0
    """Chunks that are here still: of processes at work."""
    shared_freed: int = 0
    """Bytes of packs that went from the store that repositories share."""
    shared_left: int = 0
    """Chunks that are in that still: their packs hold others' too, which no remote is known to hold."""
    elsewhere: tuple[Elsewhere, ...] = ()
    kept_files: tuple[str, ...] = ()
    """Files of the worktree that are versioned no more, and were left where they are."""
    git_project: bool = False
    others: tuple[str, ...] = ()
    """Remotes that were not purged."""


def purge(
    repo: Repository,
    paths: Sequence[str] = (),
    revisions: Sequence[str] = (),
    *,
    remotes: Sequence[str] = (),
    dry_run: bool = False,
    outside: Outside,
    caller: Caller,
) -> Purged:
    """Take out of all history: `paths` (files, folders) wherever they stand; of `revisions` REV:PATH that content
    under whatever name, and of a commit all contents that it brought.

    All refs, reflogs, stashes and stages go along, and the remotes of these names. Files of the worktree stay. It may
    be repeated after any failure. Raises Refused (an operation is unfinished; a shallow history), NotFound (nothing
    names such files), UsageError, Locked, NetworkError, AuthError.
    """
    repo.require_writable()
    _require_settled(repo)
    configs = [require(repo.config, name) for name in remotes]
    paths = tuple(path.strip("/") for path in paths)
    if any(not path or path.split("/")[0] == ".mvcmeta" for path in paths):
        raise UsageError("what is to be purged is a file or folder below the worktree's top")
    opened: list[Remote] = []
    try:
        for config in configs:
            opened.append(connect(repo, config, outside, push=True))
        for remote in opened:
            spec = Refspec("refs/*", f"{TEMPORARY}{remote.config.name}/*", force=True)
            fetching.fetch(remote, [spec], who=caller.who, tags="none", progress=caller.progress)
        blobs = contents(repo, revisions)
        with repo.objects.batch() as batch:
            plan = make_plan(repo, batch, paths, blobs, caller)
            pending = _pending(repo)
            if not plan.rewriter.removed and not pending and not is_staged(repo, paths, blobs):
                raise NotFound("no commit, stash or reflog names such a file", hint="mvc log --all -- PATH")
            result = _told(repo, plan, remotes)
            if dry_run:
                return result
            _write_pending(repo, pending | plan.banned)
            _write_map(repo, plan)
            batch.seal()
        kept = _swap(repo, plan, paths, blobs, caller)
        banned = pending | plan.banned
        done = tuple(_purge_remote(repo, remote, plan, banned, caller) for remote in opened)
    finally:
        _drop_temporary(repo, caller)
        for remote in opened:
            remote.close()
    freed, left = _purge_here(repo, banned, caller)
    shared_freed, shared_left = _purge_shared(repo, banned, outside, caller)
    if not left and not shared_left and not any(one.left or one.waiting for one in done):
        fsio.unlink(repo.common_dir / _PENDING, missing_ok=True)
    return replace(
        result,
        remotes=done,
        freed=freed,
        left=left,
        kept_files=kept,
        shared_freed=shared_freed,
        shared_left=shared_left,
    )


def _require_settled(repo: Repository) -> None:
    for place in worktrees(repo):
        found = inprogress.current(place)
        if found is not None:
            verb = found.operation.value
            raise Refused(f"a {verb} is unfinished", hint=f"mvc {verb} --abort, or --continue")
    if repo.objects.shallow:
        raise Refused("this history is shallow: what is not here cannot be rewritten", hint="mvc fetch --unshallow")


def _told(repo: Repository, plan: Plan, remotes: Sequence[str]) -> Purged:
    moved = tuple(
        RefMove(ref, old, new)
        for ref, (old, new) in sorted(plan.refs.items())
        if old != new and not ref.startswith(TEMPORARY)
    )
    commits = tuple((old, new) for old, new in plan.rewriter.commits.items() if old != new)
    others = tuple(one.name for one in configured(repo.config) if one.name not in remotes)
    return Purged(
        tuple(plan.files),
        commits,
        moved,
        elsewhere=tuple(plan.elsewhere),
        git_project=repo.git_project is not None,
        others=others,
    )


# ---- here


def _swap(repo: Repository, plan: Plan, paths: Sequence[str], blobs: set[str], caller: Caller) -> tuple[str, ...]:
    """Refs, HEADs, reflogs and stages to the new history; returns the files that were left in worktrees."""
    changes = [
        RefChange(ref, old, new)
        for ref, (old, new) in plan.refs.items()
        if old != new and not ref.startswith(TEMPORARY)
    ]
    kept: list[str] = []
    if changes:
        repo.refs.update(changes, message="purge: history rewritten", author=caller.who, wait=max(1.0, caller.wait))
    for place in worktrees(repo):
        head = place.refs.head()
        if head.branch is None and head.id is not None:
            new = plan.new_of(head.id)
            if new is not None and new != head.id:
                place.refs.set_head(new, message="purge: history rewritten", author=caller.who)
        with edit_stage(place, wait=caller.wait, what="purge") as stage:
            gone = [entry.path for entry in stage if entry.id in blobs or is_under(entry.path, paths)]
            for path in gone:
                stage.remove(path)
            if place.worktree is not None:
                kept += [path for path in gone if (place.worktree / path).is_file()]
                note_head(place, stage)
        before = place.refs.read(_PSEUDO)
        if before is not None:
            place.refs.write_pseudo(_PSEUDO, plan.new_of(before))
        inprogress.clear(place, "FETCH_HEAD")
        _rewrite_log(place, "HEAD", plan)
    for ref in repo.refs.logged():
        _rewrite_log(repo, ref, plan)
    return tuple(sorted(kept))


def _rewrite_log(repo: Repository, ref: str, plan: Plan) -> None:
    def change(entry: ReflogEntry) -> ReflogEntry | None:
        old, new = plan.new_of(entry.old), plan.new_of(entry.new)
        if entry.new is not None and new is None:
            return None
        if old == new and entry.old != entry.new:
            return None
        return entry._replace(old=old, new=new)

    repo.refs.rewrite_log(ref, change)


def _purge_here(repo: Repository, banned: set[bytes], caller: Caller) -> tuple[int, int]:
    """Remove old objects and chunks; returns the bytes that went, and how many of the chunks are left."""
    quiet = replace(repo, missing_chunks=None)
    chunks = open_chunks(quiet)
    live = live_here(repo)
    going = banned - live
    lifted = lift_local(chunks, live, going)
    done = gc(repo, prune_after_days=0, shallow=frozenset(lifted), caller=caller)
    chunks = open_chunks(quiet)
    chunks.reload()
    return done.freed + done.object_bytes, sum(1 for name in going if chunks.find_own(name) is not None)


def _purge_shared(repo: Repository, banned: set[bytes], outside: Outside, caller: Caller) -> tuple[int, int]:
    """The same in the store that repositories share. The remotes are asked for all else that goes along."""
    path = repo.settings.shared.path
    if not path:
        return 0, 0
    going = banned - live_here(repo)
    space = space_of(repo.settings.store.naming)
    try:
        return remove_chunks(Path(path), space, going, Proofs(repo, outside), progress=caller.progress)
    except NotFound:
        return 0, 0
    except (MvcError, OSError) as error:
        caller.progress.warn(f"the shared store could not be cleaned: {error}")
        shared = open_chunks(repo).shared
        return 0, sum(1 for name in going if shared is not None and name in shared)


# ---- remotes


def _purge_remote(repo: Repository, remote: Remote, plan: Plan, banned: set[bytes], caller: Caller) -> PurgedRemote:
    state = remote.state()
    updates: list[RefUpdate] = []
    for ref, old in state.refs.items():
        seen = plan.refs.get(f"{TEMPORARY}{remote.config.name}/{ref.removeprefix('refs/')}")
        if seen is None or seen[0] != old:
            raise Refused(f"somebody pushed {ref} to {remote.backend.url} meanwhile", hint="repeat the purge")
        if seen[1] != old:
            updates.append(RefUpdate(seen[1], ref, expected=old, force=True))
    refs: tuple[PushedRef, ...] = ()
    if updates:
        refs = push(remote, updates, who=caller.who, progress=caller.progress).refs
    live = live_there(repo, remote)
    going = banned - live
    try:
        lifted = lift_remote(remote, live, going, who=caller.who, progress=caller.progress)
        done = gc_remote(remote, grace=0, shallow=frozenset(lifted), who=caller.who, progress=caller.progress)
    except (AuthError, Unsupported) as error:
        return PurgedRemote(remote.config.name, remote.backend.url, refs, 0, len(going), refused=error.message)
    index, _ = RemoteIndex.of(remote, remote.state())
    left = sum(1 for name in going if name in index)
    freed = sum(size for _, size in done.swept.deleted)
    return PurgedRemote(remote.config.name, remote.backend.url, refs, freed, left, done.swept.waiting)


def _drop_temporary(repo: Repository, caller: Caller) -> None:
    found = repo.refs.list(TEMPORARY)
    if found:
        changes = [RefChange(ref, value, None) for ref, value in found.items()]
        repo.refs.update(changes, message="purge", author=caller.who, head_follows=False)


# ---- what is kept until all is done


def _pending(repo: Repository) -> set[bytes]:
    """Chunks that an earlier purge, which did not come to its end, wanted to remove."""
    try:
        text = (repo.common_dir / _PENDING).read_text("ascii", "replace")
    except FileNotFoundError:
        return set()
    return {bytes.fromhex(line) for line in text.split() if len(line) == 64}


def _write_pending(repo: Repository, names: set[bytes]) -> None:
    path = repo.common_dir / _PENDING
    fsio.make_dirs(path.parent)
    fsio.write_atomic(path, "".join(f"{name.hex()}\n" for name in sorted(names)).encode(), tmp_dir=repo.tmp_dir)


def _write_map(repo: Repository, plan: Plan) -> Path:
    """`purge/commit-map`, as filter-repo writes it: old id, new id; forty zeros for what is gone."""
    path = repo.common_dir / _MAP
    fsio.make_dirs(path.parent)
    before = path.read_bytes() if path.exists() else b""
    rows = "".join(f"{old} {new or '0' * 40}\n" for old, new in plan.rewriter.commits.items() if old != new)
    fsio.write_atomic(path, before + rows.encode(), tmp_dir=repo.tmp_dir)
    return path
