"""The second phase of gc of a remote: deleting what no entry lists, and trimming the log.

Why nothing goes that somebody counts on:

    writer W  1. writes its lease, which names what it takes up that no entry lists; THEN reads gc's lists
              2. takes up nothing that is on one; puts packs whose names never were there before
              3. appends its entry; THEN removes its lease
    gc        1. writes its list of what is to go; THEN reads leases
              2. THEN reads the newest entry
              3. deletes what is on its list, not in the entry, not named in a lease, and older than every lease

W finds the list, or gc finds the lease, or W was done before gc read the entry. What W puts while it works is younger
than its lease, by the store's clock; a day is left for clocks that are set. A name stays on a list for a day after it
was deleted: gc gives up what it has looked at after an hour, so no delete comes later than the list stands.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from mvc.backends.base import Entry
from mvc.errors import NotFound
from mvc.sync import condemned, keys
from mvc.sync.condemned import Condemned
from mvc.sync.lease import Lease, elapsed, find
from mvc.sync.remotelog import TRIMMED
from mvc.sync.remotes import Remote
from mvc.sync.state import State

DAY = 24 * 3600
_LOOKED_SECONDS = 3600.0
_BATCH = 1000
_KEPT_ENTRIES = 32
"""So many of the newest entries stay as they are: a hint that is a little old leads somewhere."""


@dataclass(frozen=True, slots=True)
class Swept:
    """Keys and bytes. With `dry_run`: what would be."""

    deleted: tuple[tuple[str, int], ...] = ()
    waiting: int = 0
    """Objects that nobody lists any more, and which go once they are old enough, or those who write are done."""
    waiting_bytes: int = 0
    writers: int = 0
    """Who else was writing."""
    trimmed: int = 0
    """Entries of the log."""


def sweep(
    remote: Remote,
    lease: Lease | None,
    dropped: Iterable[str],
    *,
    grace: float,
    dry_run: bool = False,
    clock: Callable[[], float] = elapsed,
) -> Swept:
    """Delete what nobody lists: what was listed goes `grace` seconds after it no longer was, leftovers of killed
    pushes so long after they were put. `dropped`: keys that have just gone from the list. `lease`: the caller's own."""
    backend = remote.backend
    there = {entry.key: entry for prefix in ("git/", "idx/", "packs/") for entry in backend.list(prefix)}
    # Read after the listing: what a push has listed meanwhile is seen.
    listed = listed_keys(remote.state())
    own = {lease.nonce} if lease is not None else set()
    old = condemned.read_all(backend)
    now = _now(remote, lease)
    rows = _rows(there, listed, old, frozenset(dropped), now)
    if dry_run:
        return _dry(remote, rows, there, listed, now, grace)
    if not rows and not old:
        return Swept(trimmed=_trim(remote, now, grace), writers=_cleared(remote, now, own))
    mine = keys.condemned(os.urandom(16).hex())
    backend.put(mine, condemned.dump(rows.values()))
    backend.delete([key for key in old if key != mine])
    looked = clock()
    leases = find(backend, now, without=own)
    listed = listed_keys(remote.state())
    going = [row for row in rows.values() if _may_go(row, there, listed, leases.kept, leases.began, now, grace)]
    deleted: list[Condemned] = []
    for first in range(0, len(going), _BATCH):
        if clock() - looked > _LOOKED_SECONDS:
            break
        some = going[first : first + _BATCH]
        backend.delete([row.key for row in some])
        deleted += some
    gone = {row.key for row in deleted}
    left = {key: row for key, row in rows.items() if key not in listed}
    left |= {key: replace(left[key], gone=True, since=int(now)) for key in gone}
    backend.put(mine, condemned.dump(left.values()))
    backend.delete(leases.dead)
    waiting = [row for row in left.values() if not row.gone]
    return Swept(
        tuple((row.key, row.size) for row in deleted),
        len(waiting),
        sum(row.size for row in waiting),
        leases.count,
        _trim(remote, now, grace),
    )


def listed_keys(state: State) -> set[str]:
    """The keys of all that a state lists."""
    found = {keys.chunk_pack(pack.id) for pack in state.chunk_packs}
    found |= {keys.chunk_idx(pack.idx_id) for pack in state.chunk_packs}
    return found | {key(pack.id) for pack in state.git_packs for key in (keys.git_pack, keys.git_idx)}


def _now(remote: Remote, lease: Lease | None) -> float:
    """The store's clock: the time of the newest sign that somebody gave, ours among them."""
    if lease is not None:
        lease.beat()
    times = [entry.modified for entry in remote.backend.list(keys.LEASES) if entry.modified is not None]
    times += [entry.modified for entry in remote.backend.list(keys.LATEST) if entry.modified is not None]
    return max(times, default=0.0)


def _rows(
    there: dict[str, Entry],
    listed: set[str],
    old: dict[str, list[Condemned]],
    dropped: frozenset[str],
    now: float,
) -> dict[str, Condemned]:
    """What is on the lists, and what is to come on one."""
    rows: dict[str, Condemned] = {}
    for row in (row for some in old.values() for row in some):
        if row.key in listed:
            continue
        if row.key not in there:
            row = row if row.gone else replace(row, gone=True, since=int(now))
            if row.since < now - DAY:
                continue
        elif row.gone:
            row = replace(row, gone=False)  # it was deleted, and is there: by a store that is late
        before = rows.get(row.key)
        if before is None or (before.gone and not row.gone) or row.since > before.since:
            rows[row.key] = row
    for key, entry in there.items():
        if key not in listed and key not in rows:
            since = now if key in dropped else min(now, entry.modified or now)
            rows[key] = Condemned(key, entry.size, int(since))
    return rows


def _may_go(
    row: Condemned,
    there: dict[str, Entry],
    listed: set[str],
    kept: frozenset[str],
    began: float | None,
    now: float,
    grace: float,
) -> bool:
    entry = there.get(row.key)
    if row.gone or entry is None or row.key in listed or row.key in kept or row.since > now - grace:
        return False
    return began is None or (entry.modified is not None and entry.modified < began - DAY)


def _dry(
    remote: Remote,
    rows: dict[str, Condemned],
    there: dict[str, Entry],
    listed: set[str],
    now: float,
    grace: float,
) -> Swept:
    leases = find(remote.backend, now or None)
    going = [row for row in rows.values() if _may_go(row, there, listed, leases.kept, leases.began, now, grace)]
    waiting = [row for row in rows.values() if not row.gone and row not in going]
    return Swept(
        tuple((row.key, row.size) for row in going), len(waiting), sum(row.size for row in waiting), leases.count
    )


def _cleared(remote: Remote, now: float, own: set[str]) -> int:
    leases = find(remote.backend, now, without=own)
    remote.backend.delete(leases.dead)
    return leases.count


def _trim(remote: Remote, now: float, grace: float) -> int:
    """Empty the entries that nobody needs to read the newest; their numbers stay taken. Returns how many."""
    backend = remote.backend
    newest, floor = remote.state().seq, remote.log.floor()
    last = min(floor - 1, newest - _KEPT_ENTRIES)
    if last < 1:
        return 0
    try:
        hint = backend.get(keys.LATEST, 0, 32)
    except NotFound:
        hint = b""
    if not hint.rstrip(b"\n").isdigit() or int(hint) <= last:
        backend.put(keys.LATEST, b"%d\n" % newest)
    old: list[str] = []
    for entry in backend.list(keys.LOG):
        if entry.key > keys.entry(last):
            break
        if entry.size > len(TRIMMED) and entry.modified is not None and entry.modified <= now - grace:
            old.append(entry.key)
    with ThreadPoolExecutor(max(1, backend.capabilities.parallel)) as pool:
        list(pool.map(lambda key: backend.put(key, TRIMMED), old))
    return len(old)
