"""What an entry changes, and what right that takes: by the difference of two states, whatever a client says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from mvc.errors import Refused
from mvc.hub.messages import Right
from mvc.objects.refnames import ALIASES, REVIEWS
from mvc.sync.state import ChunkPack, GitPack, State

HEADS, TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True)
class Changes:
    """From one state to the next."""

    new_refs: Mapping[str, str]
    """Name -> id."""
    moved_refs: Mapping[str, tuple[str, str]]
    """Name -> ids before and after."""
    gone_refs: frozenset[str]
    head_moved: bool
    """HEAD names another branch, and named one before."""
    git_packs: tuple[GitPack, ...]
    """That came."""
    chunk_packs: tuple[ChunkPack, ...]
    relisted: tuple[ChunkPack, ...]
    """Packs that were there, and are under another idx now."""

    @property
    def tips(self) -> list[str]:
        """The ids that refs name anew."""
        return [*self.new_refs.values(), *(after for _, after in self.moved_refs.values())]

    @property
    def touches_names(self) -> bool:
        """Whether an alias or a review comes or moves, or a branch or tag comes, which goes before an alias of its name
        (mvc.hub.promotion)."""
        moved = any(name.startswith((ALIASES, REVIEWS)) for name in self.moved_refs)
        return moved or any(name.startswith((ALIASES, REVIEWS, HEADS, TAGS)) for name in self.new_refs)

    def least_right(self) -> Right:
        """What is needed if all refs move forward."""
        if any(name.startswith((ALIASES, REVIEWS)) for name in self.gone_refs):
            return Right.ADMIN
        tag_moves = any(name.startswith(TAGS) for name in self.moved_refs)
        return Right.WRITE if self.gone_refs or self.head_moved or tag_moves else Right.APPEND


def between(before: State, after: State) -> Changes:
    """Raises Refused for what no client may do, and for refs that cannot stand beside each other."""
    if after.generation != before.generation:
        raise Refused("a generation begins with gc, which runs on the store itself")
    git = {pack.id: pack for pack in before.git_packs}
    chunks = {pack.id: pack for pack in before.chunk_packs}
    if git.keys() - {pack.id for pack in after.git_packs} or chunks.keys() - {pack.id for pack in after.chunk_packs}:
        raise Refused("packs are taken away by gc, which runs on the store itself")
    relisted = [pack for pack in after.chunk_packs if pack.id in chunks and pack != chunks[pack.id]]
    if any(pack.size != chunks[pack.id].size for pack in relisted) or any(
        pack != git.get(pack.id, pack) for pack in after.git_packs
    ):
        raise Refused("a pack that is there has another size")
    _check_names(after)
    shared = after.refs.keys() & before.refs.keys()
    return Changes(
        {name: value for name, value in after.refs.items() if name not in before.refs},
        {name: (before.refs[name], after.refs[name]) for name in shared if before.refs[name] != after.refs[name]},
        frozenset(before.refs.keys() - after.refs.keys()),
        bool(before.head) and before.head != after.head,
        tuple(pack for pack in after.git_packs if pack.id not in git),
        tuple(pack for pack in after.chunk_packs if pack.id not in chunks),
        tuple(relisted),
    )


def _check_names(state: State) -> None:
    """No ref is a folder of another, and each lies in a folder under refs/."""
    for name in state.refs:
        if name.count("/") < 2:
            raise Refused(f"'{name}' cannot be a ref of a repository")
    ordered = sorted(name + "/" for name in state.refs)
    for one, following in pairwise(ordered):
        if following.startswith(one):
            raise Refused(f"'{following[:-1]}' cannot stand beside '{one[:-1]}'")
