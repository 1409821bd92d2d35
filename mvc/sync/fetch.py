"""Fetch: a remote's history, verified before any of it is visible; no chunks, but the idx that tell where they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from mvc.errors import IntegrityError, MissingObject, MvcError, NotFound, Refused
from mvc.lazy import load
from mvc.objects import ancestry
from mvc.objects.encoding import parse_commit
from mvc.objects.model import Signature
from mvc.objects.reader import ObjectReader
from mvc.objects.receive import Incoming
from mvc.objects.refnames import ALIASES
from mvc.objects.refs import ANY, RefChange, Refs
from mvc.objects.refspec import Refspec, mapped
from mvc.objects.transfer import check_connected
from mvc.progress import SILENT, Progress
from mvc.repo.repository import Repository
from mvc.repo.worktrees import all_git_dirs
from mvc.store import intents
from mvc.store.locks import hold
from mvc.sync.absorbed import Absorbed, tells_nothing_new
from mvc.sync.gitpacks import Downloads
from mvc.sync.remoteindex import RemoteIndex
from mvc.sync.remotes import Remote
from mvc.sync.state import GitPack, State
from mvc.sync.stepped import STEPPED, seen_ref, stepped

if TYPE_CHECKING:
    from mvc.sync.depth import History

FetchStatus = Literal["new", "fast-forward", "forced", "up-to-date", "pruned", "rejected"]
Tags = Literal["follow", "all", "none"]
Names = Literal["all", "here", "none"]

_TAGS = "refs/tags/"
_HISTORY = "mvc.sync.depth:History"
"""Loaded for a shallow history alone."""


@dataclass(frozen=True, slots=True)
class FetchedRef:
    """One ref: `source` there ("" of a pruned one), `target` here ("" if fetched without a place, as FETCH_HEAD)."""

    source: str
    target: str
    old: str | None
    new: str | None
    status: FetchStatus
    reason: str = ""
    """Of a rejected one: "non-fast-forward", "would clobber existing tag", "checked out", or why it cannot be made.
    Of a forced alias: that it was set there, too."""


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What came, or with `dry_run` would have stayed."""

    refs: tuple[FetchedRef, ...]
    objects: int
    """Git objects that came."""
    bytes: int
    """Bytes that came: Git packs and idx."""
    state: State
    """The remote's, as read: `state.head` is the branch that a clone checks out."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """A ref of the remote, and where it is to go ("" nowhere)."""

    source: str
    target: str
    id: str
    force: bool


def fetch(
    remote: Remote,
    refspecs: Sequence[Refspec] | None = None,
    *,
    who: Signature,
    prune: bool = False,
    tags: Tags = "follow",
    names: Names = "none",
    force_tags: bool = False,
    dry_run: bool = False,
    depth: int | None = None,
    unshallow: bool = False,
    jobs: int = 0,
    progress: Progress = SILENT,
) -> FetchResult:
    """Fetch what `refspecs` name (default: the remote's own), and move the local refs they map to, last.

    `tags`: "follow" takes tags that point into what is here afterwards; with "all", `force_tags` moves those that are
    here already. `names`: aliases and reviews come, too, unless the history here is shallow; with "here" those of
    which there is one here. `prune` deletes local refs that a refspec maps to and whose source is gone. A rejected ref
    is in the result. `dry_run` throws away what came. `depth`: of each ref so many commits, behind which the history
    here ends from then on; `unshallow`: all. `jobs`: requests at once, 0 for what the backend likes. Raises NotFound
    (a refspec without `*` whose source is not there; no such remote), Refused (a bundle counts on what is not here),
    IntegrityError, UnsafePath (a hostile tree), NetworkError, AuthError.
    """
    specs = tuple(remote.config.fetch if refspecs is None else refspecs)
    state = remote.state()
    require(remote, remote.backend.capabilities.needs)
    wishes = _wishes(state, specs, tags, force_tags)
    if names != "none" and depth is None and not (remote.repo.objects.shallow and not unshallow):
        named = {wish.target for wish in wishes}
        stepped_refs = [ref for ref in state.refs if ref.startswith(STEPPED) and ref not in named]
        if names == "here":
            stepped_refs = [ref for ref in stepped_refs if remote.repo.refs.read(ref) is not None]
        wishes += [_Wish(ref, ref, state.refs[ref], False) for ref in stepped_refs]
    gone = _gone(remote.repo, state, specs) if prune else []
    # Before a ref leads to manifests: that their chunks are there is told by the idx alone.
    indexes = 0 if dry_run else RemoteIndex.of(remote, state, progress)[1]
    with intents.register(remote.repo.intents_dir, "fetch"):
        run = _Fetch(remote, state, wishes, who, jobs, progress, depth, unshallow)
        try:
            refs = run.go(gone, follow=tags == "follow", again=False, dry_run=dry_run)
        except MissingObject:
            # A pack that was taken for absorbed is not here any more (gc took what no ref reached).
            run = _Fetch(remote, state, wishes, who, jobs, progress, depth, unshallow)
            refs = run.go(gone, follow=tags == "follow", again=True, dry_run=dry_run)
    return FetchResult(tuple(refs), run.objects, run.moved + indexes, state)


def require(remote: Remote, needs: Iterable[str]) -> None:
    """Raises Refused where commits that a bundle counts on are not here."""
    missing = [one[:10] for one in needs if not remote.repo.objects.contains(one)]
    if missing:
        raise Refused(
            f"the bundle counts on commits that are not here: {', '.join(missing)}",
            hint="take the bundle that came before it, or fetch them",
        )


def _wishes(state: State, specs: Sequence[Refspec], tags: Tags, force_tags: bool) -> list[_Wish]:
    """Which of the remote's refs go where. Raises NotFound for one that is named and not there."""
    found: dict[tuple[str, str], _Wish] = {}
    for spec in specs:
        if not spec.negative and not spec.is_pattern and not mapped([spec], state.refs):
            raise NotFound(f"couldn't find remote ref {spec.source}", hint="mvc ls-remote")
    pairs = mapped(specs, state.refs)
    if tags == "all":
        pairs += [(name, name, force_tags) for name in state.refs if name.startswith(_TAGS)]
    for source, target, force in pairs:
        found.setdefault((source, target or ""), _Wish(source, target or "", state.refs[source], force))
    return list(found.values())


class _Fetch:
    def __init__(
        self,
        remote: Remote,
        state: State,
        wishes: Sequence[_Wish],
        who: Signature,
        jobs: int,
        progress: Progress,
        depth: int | None,
        unshallow: bool,
    ) -> None:
        self._depth, self._unshallow = depth, unshallow
        self._remote, self._state, self._wishes = remote, state, wishes
        self._who, self._progress = who, progress
        self._downloads = Downloads(remote, jobs, progress)
        self._repo: Repository = remote.repo
        self.objects = 0
        self._walked = 0

    @property
    def moved(self) -> int:
        """Bytes that came."""
        return self._downloads.moved + self._walked

    def go(self, gone: Sequence[FetchedRef], *, follow: bool, again: bool, dry_run: bool) -> list[FetchedRef]:
        """Bring objects, then move refs; `gone` are deleted first. `again`: also the packs that were brought before."""
        objects = self._repo.objects
        have = self._have() if self._depth is None and not self._unshallow else []
        tips = list(dict.fromkeys(wish.id for wish in self._wishes))
        loose_tags = self._unknown_tags() if follow and self._wishes else []
        lacking = not all(objects.contains(one) for one in (*tips, *(wish.id for wish in loose_tags)))
        whole = self._unshallow or not (objects.shallow or self._depth is not None)
        absorbed = Absorbed(self._remote.memory)
        packs: list[GitPack] = []
        merged: list[str] = []
        if whole and (again or lacking or self._unshallow):
            known = set() if again or self._unshallow else absorbed.ids()
            packs = [pack for pack in self._state.git_packs if pack.id not in known]
            if known:
                # gc of the remote has put together packs that were brought before.
                merged = [pack.id for pack in packs if tells_nothing_new(self._remote, pack, objects)]
                packs = [pack for pack in packs if pack.id not in merged]
        with Incoming(objects) as incoming:
            self._take(incoming, packs)
            if self._unshallow:
                incoming.ends = frozenset(one for one in objects.shallow if not _has_parents(incoming, one))
            elif not whole and (again or lacking or self._depth is not None):
                self._walk(incoming, tips, [wish.id for wish in loose_tags], believed=not again)
            self._progress.begin("connectivity", None, "objects")
            try:
                check_connected(incoming, tips, have)
                wishes = [*self._wishes, *self._followed(incoming, loose_tags, [*tips, *have])]
            finally:
                self._progress.end()
            self.objects = len(incoming)
            changes = [self._judge(incoming, wish) for wish in wishes]
            if dry_run:
                return [*changes, *gone]
            incoming.seal()
            # After what it no longer leaves out came, and before a ref leads to where it ends now.
            self._end_at(incoming.shallow)
        self._see(wishes)
        if packs or merged:
            absorbed.add(self._state, [*merged, *(pack.id for pack in packs)])
        for one in gone:
            change = RefChange(one.target, one.old, None)
            self._repo.refs.update([change], message="fetch: prune", author=self._who, head_follows=False)
        return [*self._move(changes), *gone]

    def _walk(self, incoming: Incoming, tips: Sequence[str], tags: Sequence[str], *, believed: bool) -> None:
        """Bring what a shallow history lacks, and no more; settle where it ends."""
        here = self._repo.objects
        how: type[History] = load(_HISTORY)
        self._progress.begin("history", None, "objects")
        try:
            with how(self._remote, self._state) as history:
                advance = self._progress.advance
                cut = history.take(
                    incoming, here, tips, depth=self._depth, shallow=here.shallow, believed=believed, advance=advance
                )
                history.take_tags(incoming, here, tags)
                self._walked += history.moved
        finally:
            self._progress.end()
        incoming.ends = (here.shallow - cut.opened) | cut.ends

    def _end_at(self, ends: frozenset[str]) -> None:
        objects = self._repo.objects
        before = objects.shallow
        if ends != before:
            with hold(self._repo.locks_dir / "shallow.lock", what="fetch", wait=60.0):
                objects.change_shallow(ends - before, before - ends)

    def _have(self) -> list[str]:
        """Commits and tags here whose history is whole: what refs point to."""
        refs = self._repo.refs
        head = refs.read("HEAD")
        return [one for one in {*refs.list().values(), *([head] if head else [])} if self._repo.objects.contains(one)]

    def _take(self, incoming: Incoming, packs: Sequence[GitPack]) -> None:
        if not packs:
            return
        self._progress.begin("history", sum(pack.size for pack in packs))
        try:
            with contextlib.closing(self._downloads.run(packs)) as brought:
                for pack, path in brought:
                    try:
                        incoming.take(path)
                    except MissingObject as error:
                        raise IntegrityError(f"{self._downloads.place(pack)}: {error.message}") from error
        finally:
            self._progress.end()

    # ---- tags that follow

    def _unknown_tags(self) -> list[_Wish]:
        here = self._repo.refs.list(_TAGS)
        wished = {wish.target for wish in self._wishes}
        return [
            _Wish(name, name, value, False)
            for name, value in self._state.refs.items()
            if name.startswith(_TAGS) and name not in here and name not in wished
        ]

    def _followed(self, objects: ObjectReader, tags: Sequence[_Wish], tips: Iterable[str]) -> list[_Wish]:
        """Those of the tags whose commit the refs reach that are here, or come now."""
        commits: dict[str, list[_Wish]] = {}
        for tag in tags:
            with contextlib.suppress(MvcError):  # of a branch that was not asked for
                commits.setdefault(objects.peel(tag.id, "commit"), []).append(tag)
        if not commits:
            return []
        reached = [objects.peel(tip) for tip in tips]
        unreached = ancestry.only_in(objects, commits, [one for one in reached if objects.kind(one) == "commit"])
        return [tag for commit, found in commits.items() if commit not in unreached for tag in found]

    # ---- refs

    def _see(self, wishes: Sequence[_Wish]) -> None:
        """Note where the remote's aliases are, for a push to know which steps are ours alone."""
        name = self._remote.config.name
        found = {seen_ref(name, wish.source): wish.id for wish in wishes if name and wish.target.startswith(ALIASES)}
        refs = self._repo.refs
        changes = [RefChange(ref, ANY, value) for ref, value in found.items() if refs.read(ref) != value]
        if changes:
            refs.update(changes, message="fetch", author=self._who, head_follows=False)

    def _judge(self, objects: ObjectReader, wish: _Wish) -> FetchedRef:
        old = self._repo.refs.read(wish.target) if wish.target else None

        def verdict(status: FetchStatus, reason: str = "") -> FetchedRef:
            return FetchedRef(wish.source, wish.target, old, wish.id, status, reason)

        if old == wish.id:
            return verdict("up-to-date")
        if wish.target.startswith(STEPPED) and wish.target == wish.source:
            return verdict(*stepped(objects, wish.target, old, wish.id, force=wish.force))
        if wish.target.startswith("refs/heads/"):
            if wish.target in self._checked_out():
                return verdict("rejected", "checked out")
            if objects.kind(wish.id) != "commit":
                return verdict("rejected", "not a commit")
        if old is None:
            return verdict("new")
        if not wish.target.startswith(_TAGS) and _contains(objects, old, wish.id):
            return verdict("fast-forward")
        if wish.force:
            return verdict("forced")
        is_tag = wish.target.startswith(_TAGS)
        return verdict("rejected", "would clobber existing tag" if is_tag else "non-fast-forward")

    def _checked_out(self) -> set[str | None]:
        common = self._repo.common_dir
        bare = self._repo.worktree is None and self._repo.git_dir == common
        homes = [home for home in all_git_dirs(self._repo) if not (bare and home == common)]
        return {Refs(home, common).symbolic("HEAD") for home in homes}

    def _move(self, wanted: Sequence[FetchedRef]) -> list[FetchedRef]:
        """Move the refs, all at once if they can be; else one by one, so that one that cannot stops no other."""
        changes = [one for one in wanted if one.target and one.status in {"new", "fast-forward", "forced"}]
        try:
            self._update(changes)
            return list(wanted)
        except Refused:
            found: list[FetchedRef] = []
            for one in wanted:
                try:
                    if one in changes:
                        self._update([one])
                    found.append(one)
                except Refused as error:
                    found.append(replace(one, status="rejected", reason=error.message))
            return found

    def _update(self, changes: Sequence[FetchedRef]) -> None:
        if changes:
            moves = [RefChange(one.target, one.old, one.new) for one in changes]
            self._repo.refs.update(moves, message="fetch", author=self._who, head_follows=False)


def _has_parents(objects: ObjectReader, commit_id: str) -> bool:
    """Whether all true parents of a commit are there, also if the history ends at it."""
    if not objects.contains(commit_id):
        return True  # gc took it: nothing ends at it any more
    return all(objects.contains(one) for one in parse_commit(commit_id, objects.raw(commit_id)[1]).parents)


def _contains(objects: ObjectReader, old: str, new: str) -> bool:
    """Whether `new` comes after `old`; no for what are no commits."""
    with contextlib.suppress(MvcError):
        return ancestry.is_ancestor(objects, objects.peel(old, "commit"), objects.peel(new, "commit"))
    return False


def _gone(repo: Repository, state: State, specs: Sequence[Refspec]) -> list[FetchedRef]:
    """The local refs that a refspec maps to, and which the remote has no more."""
    targets = {target for _, target, _ in mapped(specs, state.refs) if target is not None}
    patterns = [spec for spec in specs if not spec.negative]
    return [
        FetchedRef("", name, value, None, "pruned")
        for name, value in repo.refs.list().items()
        if name not in targets
        and any(spec.unmaps(name) is not None for spec in patterns)
        and repo.refs.symbolic(name) is None
    ]
