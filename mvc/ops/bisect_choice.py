"""Which commit to test next: pure, on a graph of parents.

Of the commits that may have made it worse, one is tested that halves them best: Git's algorithm
(Documentation/git-bisect-lk2009.txt), with its way of stepping aside from commits that cannot
be tested.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt

Parents = Mapping[str, Sequence[str]]
"""Commit id to its parents' ids, for all ancestors of the bad commit. Parents outside are left out."""

_PRN_MODULO = 32768


@dataclass(frozen=True, slots=True)
class Choice:
    """What to test next.

    `commit`: the one to test; None when the search is over. `suspects`: what is left, the bad
    commit included (one: it is the first bad one; several with `commit` None: all others were
    skipped). `left` and `steps`: commits to test after this one, and roughly how many tests.
    """

    commit: str | None
    suspects: tuple[str, ...]
    left: int = 0
    steps: int = 0


def choose(parents: Parents, bad: str, good: Collection[str], skipped: Collection[str] = ()) -> Choice:
    """The next commit to test: reachable from `bad` (whose ancestors `parents` holds), not from any of `good`."""
    suspects = candidates(parents, bad, good)
    if len(suspects) == 1:
        return Choice(None, (bad,))
    weight = weights(parents, suspects)
    total = len(suspects)
    order = {commit: number for number, commit in enumerate(suspects)}
    # The best first; of equals the older one, as `git rev-list --bisect`.
    ranked = sorted(suspects, key=lambda commit: (-min(weight[commit], total - weight[commit]), order[commit]))
    testable = [commit for commit in ranked if commit not in skipped and commit != bad]
    if not testable:
        return Choice(None, (bad, *(commit for commit in reversed(suspects) if commit != bad)))
    chosen = testable[0] if ranked[0] not in skipped else _aside(testable)
    return Choice(chosen, tuple(suspects), left=total - weight[chosen] - 1, steps=estimate_steps(total))


def candidates(parents: Parents, bad: str, good: Collection[str]) -> list[str]:
    """The commits reachable from `bad` and from none of `good`, parents before children."""
    cleared = _reachable(parents, good)
    found: list[str] = []
    seen: set[str] = set(cleared)
    todo: list[tuple[str, bool]] = [(bad, False)]
    while todo:
        commit, expanded = todo.pop()
        if expanded:
            found.append(commit)
        elif commit not in seen:
            seen.add(commit)
            todo.append((commit, True))
            todo.extend((parent, False) for parent in reversed(parents.get(commit, ())) if parent not in seen)
    return found or [bad]


def weights(parents: Parents, suspects: Sequence[str]) -> dict[str, int]:
    """How many suspects each suspect reaches, itself included. `suspects`: parents before children."""
    inside = set(suspects)
    weight: dict[str, int] = {}
    for commit in suspects:
        above = {parent for parent in parents.get(commit, ()) if parent in inside}
        if len(above) > 1:
            weight[commit] = len(_reachable(parents, [commit], inside))
        else:
            weight[commit] = 1 + (weight[above.pop()] if above else 0)
    return weight


def estimate_steps(total: int) -> int:
    """About how many tests are left with `total` suspects."""
    if total < 3:
        return 0
    power = total.bit_length() - 1
    whole = 1 << power
    return power if whole < 3 * (total - whole) else power - 1


def _reachable(parents: Parents, starts: Collection[str], within: Collection[str] | None = None) -> set[str]:
    seen: set[str] = set()
    todo = [commit for commit in starts if within is None or commit in within]
    while todo:
        commit = todo.pop()
        if commit not in seen:
            seen.add(commit)
            todo.extend(p for p in parents.get(commit, ()) if p not in seen and (within is None or p in within))
    return seen


def _aside(testable: Sequence[str]) -> str:
    """One a way off from the best, for commits near one that cannot be tested often cannot be tested either.

    Git's `skip_away`: pseudo-random by the number of commits, leaning towards the better ones.
    """
    count = len(testable)
    number = ((count * 1103515245 + 12345) // 65536) % _PRN_MODULO
    return testable[count * number // _PRN_MODULO * isqrt(number) // isqrt(_PRN_MODULO)]
