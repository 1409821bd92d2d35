"""Which records stay and which packs go: pure, over the arrays of a Graph."""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import dataclass

import numpy as np

from mvc.settings import StoreSettings
from mvc.store.graph import NOWHERE, Graph
from mvc.store.idxbuild import Array
from mvc.store.report import Cutoff, Figures, SweepResult

WORTH = 0.25
"""A pack is rewritten when so much of it is garbage: each byte freed then costs three written at the most."""
SMALL_PACK = 1 / 16
"""Of the pack size: packs smaller than this ..."""
MANY_SMALL = 64
"""... are put together when there are so many."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes, what is copied. Rows and masks are those of the graph."""

    victims: frozenset[bytes]
    copied: Array
    """Rows in victims that stay, by being copied."""
    copied_bytes: int
    dead: Array
    """Mask of the rows that nothing needs."""
    young: Array
    """Mask of the rows that only their youth, or a writer, keeps."""

    def result(self, graph: Graph, written: tuple[bytes, ...], tmp_removed: tuple[str, ...]) -> SweepResult:
        going = _mask_of_packs(graph, self.victims)[graph.pack]
        copied = np.zeros(graph.rows, bool)
        copied[self.copied] = True
        removed = going & ~copied
        left = graph.in_groups(~removed)
        gone = np.flatnonzero(~left)
        sizes = dict(graph.packs)
        mixed = self.dead & ~going
        return SweepResult(
            removed_chunks=tuple(graph.name(int(graph.first_row[group])) for group in gone),
            removed_bytes=int(graph.size[removed].sum()),
            freed_bytes=sum(sizes[pack_id] for pack_id in self.victims) - self.copied_bytes,
            packs_removed=tuple(sorted(self.victims)),
            packs_written=written,
            kept_young=_figures(graph, self.young),
            kept_mixed=_figures(graph, mixed),
            tmp_removed=tmp_removed,
        )


def make_plan(
    graph: Graph,
    live_names: Container[bytes],
    mtimes: Array,
    cutoff: Cutoff,
    settings: StoreSettings,
    *,
    rewrite_all: bool,
    rewrite: bool = True,
    small: float = SMALL_PACK,
    many_small: int = MANY_SMALL,
    shallow: Container[bytes] = (),
) -> Plan:
    """Decide. `mtimes` are those of the graph's packs; `rewrite_all`: rewrite for whatever it frees; `small`: which
    packs are, as a share of the pack size.

    Of a chunk's copies the smallest stays, but of the chunks `shallow` the least deep one.
    """
    live = graph.members(live_names)
    chosen = graph.smallest_rows()
    if shallow:
        chosen = np.where(graph.members(shallow), graph.first_row, chosen)
    young_rows = (mtimes >= cutoff.packs_ns)[graph.pack]
    written_on = graph.in_groups((mtimes >= cutoff.writers_ns)[graph.pack])
    # A writer may be about to store a delta on the copy of least depth, which it has claimed.
    chosen = np.where(written_on, graph.first_row, chosen)
    _, reached = graph.close(chosen, live)
    chosen, needed = graph.close(chosen, live | graph.in_groups(young_rows))
    keep = np.zeros(graph.rows, bool)
    keep[chosen[needed]] = True
    going, together = _going(graph, keep, rewrite_all, rewrite, small * settings.pack_size, many_small)
    staying = ~going[graph.pack]
    least = graph.least_depth(staying)[:-1]
    enough = np.where(written_on, least <= graph.depth[chosen], least < NOWHERE)
    copied = graph.complete(staying, keep & ~enough[graph.group])
    left = np.bincount(graph.pack[~copied], minlength=len(graph.packs)) > 0
    going &= left | together  # all of the others is needed after all
    copied &= going[graph.pack]
    return _plan(graph, going, copied, ~keep, keep & ~reached[graph.group])


def recheck(graph: Graph, plan: Plan, claimed: Collection[bytes]) -> Plan:
    """The plan without the packs that were claimed since, nor those that these rest on."""
    if not claimed:
        return plan
    going = _mask_of_packs(graph, plan.victims - frozenset(claimed))
    copied = np.zeros(graph.rows, bool)
    copied[plan.copied] = True
    while True:
        lacking = graph.complete(~going[graph.pack] | copied, np.zeros(graph.rows, bool))
        if not lacking.any():
            return _plan(graph, going, copied, plan.dead, plan.young)
        going[graph.pack[lacking]] = False


def _plan(graph: Graph, going: Array, copied: Array, dead: Array, young: Array) -> Plan:
    victims = frozenset(pack_id for at, (pack_id, _) in enumerate(graph.packs) if going[at])
    return Plan(victims, np.flatnonzero(copied), int(graph.size[copied].sum()), dead, young)


def _going(
    graph: Graph, keep: Array, rewrite_all: bool, rewrite: bool, small_below: float, many_small: int
) -> tuple[Array, Array]:
    """Of each pack, whether it goes; and whether it does only to be put together with other small ones."""
    packs = len(graph.packs)
    total = np.bincount(graph.pack, graph.size, packs)
    kept = np.bincount(graph.pack, np.where(keep, graph.size, 0), packs)
    dead = total - kept
    going: Array = kept == 0
    small = np.zeros(packs, bool)
    if rewrite:
        going |= dead > (0 if rewrite_all else WORTH * total)
        small = ~going & (total < small_below)
        if small.sum() < many_small:
            small[:] = False
    return going | small, small


def _mask_of_packs(graph: Graph, packs: Collection[bytes]) -> Array:
    return np.array([pack_id in packs for pack_id, _ in graph.packs], bool)


def _figures(graph: Graph, rows: Array) -> Figures:
    return Figures(int(rows.sum()), graph.raw_bytes(rows), graph.stored_bytes(rows))
