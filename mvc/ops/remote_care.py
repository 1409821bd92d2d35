"""`mvc remote gc` and `mvc remote fsck`: the care of a remote that has no server."""

from __future__ import annotations

from dataclasses import dataclass

from mvc.errors import Unsupported
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside, connect, find_remote
from mvc.repo.repository import Repository
from mvc.sync.logrepair import restore_log, settle_hint, trim_lost
from mvc.sync.remotefsck import RemoteFsck, fsck_remote
from mvc.sync.remotegc import RemoteGcResult, gc_remote
from mvc.sync.remotegit import RemoteGit
from mvc.sync.remoterepair import Repaired, repair
from mvc.sync.remotes import Remote

_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Collected:
    """What gc of a remote did."""

    url: str
    days: float
    result: RemoteGcResult


@dataclass(frozen=True, slots=True)
class RemoteChecked:
    """What fsck of a remote found; with a repair, what was done and what is left."""

    url: str
    before: RemoteFsck
    repaired: Repaired | None = None
    after: RemoteFsck | None = None
    restored: tuple[str, ...] = ()
    """Keys of the remote's log that were gone or made no sense, and were put back as they are remembered here."""

    @property
    def left(self) -> RemoteFsck:
        """What is wrong now."""
        return self.after or self.before


def remote_gc(
    repo: Repository,
    name_or_url: str | None = None,
    *,
    prune_after_days: float | None = None,
    dry_run: bool = False,
    outside: Outside,
    caller: Caller,
) -> Collected:
    """Free what no ref of a remote needs (None: the one that HEAD's branch follows).

    What is listed no more is deleted `prune_after_days` later, by default `gc.pruneExpire`. Raises as `gc_remote` does,
    and Unsupported for a remote behind a server.
    """
    days = repo.settings.gc_prune_expire_days if prune_after_days is None else prune_after_days
    with connect(repo, find_remote(repo, name_or_url, outside), outside, push=True) as remote:
        _require_store(remote, "gc")
        result = gc_remote(remote, grace=days * _DAY, dry_run=dry_run, who=caller.who, progress=caller.progress)
        return Collected(remote.backend.url, days, result)


def remote_fsck(
    repo: Repository,
    name_or_url: str | None = None,
    *,
    connectivity_only: bool = False,
    mend: bool = False,
    drop_refs: bool = False,
    outside: Outside,
    caller: Caller,
) -> RemoteChecked:
    """Check every object of a remote; with `mend` bring back what is here, and check again.

    `drop_refs`: refs that cannot be made whole are deleted there. Raises Unsupported for a remote behind a server.
    """
    with connect(repo, find_remote(repo, name_or_url, outside), outside, push=mend) as remote:
        _require_store(remote, "fsck")
        url = remote.backend.url
        restored = tuple(restore_log(remote)) if mend else ()
        with RemoteGit(remote, caller.progress) as git:
            before = fsck_remote(remote, git, connectivity_only=connectivity_only, progress=caller.progress)
            if not mend or not before.findings:
                return RemoteChecked(url, before, restored=restored)
            settle_hint(remote, before.state.seq)
            trim_lost(remote, before)
            done = repair(remote, git, before, drop_refs=drop_refs, who=caller.who, progress=caller.progress)
        with RemoteGit(remote, caller.progress) as git:
            after = fsck_remote(remote, git, connectivity_only=connectivity_only, progress=caller.progress)
        return RemoteChecked(url, before, done, after, restored)


def _require_store(remote: Remote, verb: str) -> None:
    """A server lists nothing to its clients and lets none of them delete, so that none can do harm."""
    if remote.backend.capabilities.ask is not None:
        raise Unsupported(
            f"{remote.backend.url} is behind a server, which is cleaned and checked where its data lie",
            hint=f"there: mvc remote {verb} FOLDER, or the URL of the server's store",
        )
