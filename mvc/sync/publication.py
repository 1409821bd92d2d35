"""The end of a push: its entry in the remote's log, by compare-and-swap, and the remote-tracking refs behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from mvc.errors import RefChanged, Refused
from mvc.lazy import load
from mvc.objects.model import Signature
from mvc.objects.refnames import ALIASES
from mvc.objects.refs import RefChange
from mvc.objects.refspec import tracking_ref
from mvc.repo.repository import Repository
from mvc.sync.lease import Lease
from mvc.sync.remotes import Remote
from mvc.sync.state import ChunkPack, GitPack, State
from mvc.sync.stepped import seen_ref
from mvc.sync.verdicts import PushedRef, RefUpdate, judge, moved

_ATTEMPTS = 200
"""So often another may come first. Each time somebody's push went through, so this is no endless race."""

MERGING = {"with packs": "mvc.sync.outgoing:with_packs"}
"""Loaded when packs were sent: it needs numpy."""


class Publication:
    """Ref updates that are to be published in a remote. `head`: the branch that HEAD of a new one is to name."""

    def __init__(
        self, remote: Remote, updates: Sequence[RefUpdate], *, atomic: bool, head: str, who: Signature
    ) -> None:
        self._remote, self._updates, self._atomic, self._head, self._who = remote, updates, atomic, head, who
        self._repo: Repository = remote.repo

    def judge(self, state: State) -> tuple[PushedRef, ...]:
        """What each update comes to in that state."""
        return judge(self._repo.objects, state, self._updates, atomic=self._atomic)

    def publish(
        self,
        before: State,
        verdicts: tuple[PushedRef, ...],
        git_pack: GitPack | None,
        packs: Sequence[ChunkPack],
        lease: Lease | None,
    ) -> tuple[State, tuple[PushedRef, ...]] | None:
        """Append the entry; again on what stands by then, if others come first. None: gc came between, or may have."""
        state = before
        for _ in range(_ATTEMPTS):
            if not any(one.moves for one in verdicts):
                return state, verdicts
            if lease is not None and not lease.holds:
                return None
            if self._remote.log.append(self._after(state, before, verdicts, git_pack, packs), by=str(self._who)):
                return self._remote.remembered() or state, verdicts
            state = self._remote.state()
            if state.generation != before.generation:
                return None
            verdicts = self.judge(state)
        raise Refused(f"{self._remote.backend.url}: others came first {_ATTEMPTS} times", hint="repeat the push")

    def _after(
        self,
        state: State,
        before: State,
        verdicts: Sequence[PushedRef],
        git_pack: GitPack | None,
        packs: Sequence[ChunkPack],
    ) -> State:
        refs = moved(dict(state.refs), verdicts)
        head = state.head or self._head or next((ref for ref in refs if ref.startswith("refs/heads/")), "")
        git_packs = {*state.git_packs, *([git_pack] if git_pack is not None else [])}
        after = replace(state, refs=refs, head=head, git_packs=tuple(sorted(git_packs)))
        if packs:
            after = load(MERGING["with packs"])(after, packs, before)
        return after

    def _seen_as(self, target: str) -> str | None:
        name = self._remote.config.name
        if target.startswith(ALIASES):
            return seen_ref(name, target) if name else None
        return tracking_ref(self._remote.config.fetch, target)

    def track(self, verdicts: Sequence[PushedRef]) -> None:
        """Remote-tracking refs follow. One that another process moves at this moment is left to it."""
        for one in verdicts:
            ref = self._seen_as(one.target) if one.status != "rejected" else None
            if ref is None or self._repo.refs.read(ref) == one.new:
                continue
            change = RefChange(ref, self._repo.refs.read(ref), one.new)
            with contextlib.suppress(RefChanged, Refused):
                self._repo.refs.update([change], message="update by push", author=self._who, head_follows=False)
