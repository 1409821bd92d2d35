"""`mvc bisect`: the commit that made it worse, by halving. State files and refs as Git's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from mvc.errors import NotFound, Refused, UsageError
from mvc.objects.ancestry import is_ancestor, merge_bases
from mvc.objects.model import Commit
from mvc.objects.refs import RefChange
from mvc.objects.revparse import parse_range, resolve_commit
from mvc.objects.walk import Selection, walk
from mvc.ops.bisect_choice import choose
from mvc.ops.branch_use import branch_tip
from mvc.ops.caller import Caller
from mvc.ops.record import require_head
from mvc.ops.switch import Destination, SwitchResult, switch
from mvc.repo import inprogress
from mvc.repo.repository import Repository

_STATE = (
    "BISECT_START",
    "BISECT_LOG",
    "BISECT_NAMES",
    "BISECT_TERMS",
    "BISECT_EXPECTED_REV",
    "BISECT_ANCESTORS_OK",
)
_PREFIX = "refs/bisect/"
CANNOT_TEST = 125
"""The exit code by which a command of `bisect run` says: skip this commit."""
_LAST_BAD = 127
_NOT_RUN = (126, 127)
"""How a shell ends that could not run the command, or did not find it."""


class Verdict(Enum):
    """What was found of a commit."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class BisectStep:
    """Where the search is.

    `testing`: the commit that was checked out to be tested, about `steps` tests before the end, with
    `left` commits after it. `first_bad`: found. `undecided`: all that is left was skipped, one of them
    is it. `missing`: verdicts that are lacking before the search can begin.
    """

    testing: Commit | None = None
    left: int = 0
    steps: int = 0
    first_bad: Commit | None = None
    undecided: tuple[Commit, ...] = ()
    missing: tuple[Verdict, ...] = ()
    merge_base: bool = False
    """It is tested since a good commit is no ancestor of the bad one."""


def start(repo: Repository, bad: str | None = None, good: Sequence[str] = (), *, caller: Caller) -> BisectStep:
    """Begin; where HEAD is now is remembered for `reset`. The revisions may be given later."""
    require_head(repo)
    bad_id = resolve_commit(repo.objects, repo.refs, bad) if bad is not None else None
    good_ids = [resolve_commit(repo.objects, repo.refs, spec) for spec in good]
    if _is_on(repo):
        reset(repo, caller=caller)
    head = repo.refs.head()
    words = " ".join(f"'{spec}'" for spec in (*([bad] if bad else []), *good))
    inprogress.write(
        repo,
        {
            "BISECT_TERMS": "bad\ngood\n",
            "BISECT_NAMES": "\n",
            "BISECT_LOG": f"git bisect start {words}".rstrip() + "\n",
            "BISECT_START": f"{head.short or head.id}\n",
        },
    )
    if bad_id is not None:
        _mark(repo, Verdict.BAD, bad_id, caller)
    for commit in good_ids:
        _mark(repo, Verdict.GOOD, commit, caller)
    return _next(repo, caller)


def mark(repo: Repository, verdict: Verdict, revisions: Sequence[str] = (), *, caller: Caller) -> BisectStep:
    """Give a verdict on commits (HEAD's, if none is named; `skip` takes ranges too), and go on."""
    _require_on(repo)
    if verdict is Verdict.BAD and len(revisions) > 1:
        raise UsageError("one bad commit at a time")
    for commit in _named(repo, verdict, revisions or ("HEAD",)):
        _mark(repo, verdict, commit, caller)
    return _next(repo, caller)


def run(repo: Repository, judge: Callable[[Commit], int], *, caller: Caller) -> Iterator[BisectStep]:
    """Test by `judge`, which tells a command's exit code for the commit that is checked out: 0 good, 125
    skip, 1 to 127 bad. Yields each step; raises Refused for any other code, and for 126 or 127 where a commit
    that is known to be good ends so, too: then the command was not run at all, and would judge all of them bad."""
    step = _next(repo, caller)
    yield step
    ran = False
    while step.testing is not None:
        code = judge(step.testing)
        if code < 0 or code > _LAST_BAD:
            raise Refused(f"the command ended with {code}: the search stops here", hint="mvc bisect good, bad or skip")
        if code in _NOT_RUN and not ran:
            _require_good(repo, step.testing, code, judge, caller)
        ran = True
        verdict = Verdict.GOOD if code == 0 else Verdict.SKIP if code == CANNOT_TEST else Verdict.BAD
        step = mark(repo, verdict, caller=caller)
        yield step


def _require_good(repo: Repository, testing: Commit, code: int, judge: Callable[[Commit], int], caller: Caller) -> None:
    """Hold an exit code against a good commit: one that means bad there, too, says nothing of `testing`."""
    refs = repo.refs.list(_PREFIX)
    good = next(commit for name, commit in refs.items() if name.startswith(_PREFIX + "good-"))
    switch(repo, Destination(good), caller=caller)
    answer = judge(repo.objects.commit(good))
    switch(repo, Destination(testing.id), caller=caller)
    if answer in _NOT_RUN:
        raise Refused(
            f"the command ended with {code}, and with {answer} for {good[:10]}, which is good: can it be run?",
            hint="mvc bisect run COMMAND, once it can",
        )


def reset(repo: Repository, revision: str | None = None, *, caller: Caller) -> SwitchResult | None:
    """End the search, and go back to where it began (or to a revision). None if there was none."""
    begun = inprogress.read(repo, "BISECT_START")
    if begun is None:
        return None
    target = revision or begun
    commit = branch_tip(repo, target)
    if commit is not None:
        destination = Destination(commit, f"refs/heads/{target}")
    else:
        destination = Destination(resolve_commit(repo.objects, repo.refs, target))
    result = switch(repo, destination, caller=caller)
    changes = [RefChange(name, value, None) for name, value in repo.refs.list(_PREFIX).items()]
    if changes:
        repo.refs.update(changes, message="bisect reset", author=caller.who)
    inprogress.clear(repo, *_STATE)
    return result


def log(repo: Repository) -> str:
    """What was done so far, as `git bisect log` (and `git bisect replay`) have it."""
    _require_on(repo)
    return (inprogress.read(repo, "BISECT_LOG") or "") + "\n"


def _is_on(repo: Repository) -> bool:
    return inprogress.read(repo, "BISECT_START") is not None


def _require_on(repo: Repository) -> None:
    if not _is_on(repo):
        raise Refused("no bisect is in progress", hint="mvc bisect start BAD GOOD")


def _named(repo: Repository, verdict: Verdict, revisions: Sequence[str]) -> list[str]:
    commits: list[str] = []
    for spec in revisions:
        chosen = parse_range(repo.objects, repo.refs, spec)
        if not chosen.exclude:
            commits.append(chosen.right)
        elif verdict is Verdict.SKIP:
            commits += [one.id for one in walk(repo.objects, Selection(chosen.include, chosen.exclude))]
        else:
            raise UsageError(f"{spec}: only skip takes a range")
    return commits


def _mark(repo: Repository, verdict: Verdict, commit_id: str, caller: Caller) -> None:
    name = "bad" if verdict is Verdict.BAD else f"{verdict.value}-{commit_id}"
    ref = _PREFIX + name
    standing = repo.refs.read(ref)
    if standing != commit_id:
        change = RefChange(ref, standing, commit_id)
        repo.refs.update([change], message=f"bisect {verdict.value}", author=caller.who)
    commit = repo.objects.commit(commit_id)
    _note(repo, f"# {verdict.value}: [{commit.id}] {commit.summary}\ngit bisect {verdict.value} {commit.id}\n")


def _note(repo: Repository, lines: str) -> None:
    before = inprogress.read(repo, "BISECT_LOG")
    inprogress.write(repo, {"BISECT_LOG": (f"{before}\n" if before else "") + lines})


def _next(repo: Repository, caller: Caller) -> BisectStep:
    _require_on(repo)
    refs = repo.refs.list(_PREFIX)
    bad = refs.get(_PREFIX + "bad")
    good = [commit for name, commit in refs.items() if name.startswith(_PREFIX + "good-")]
    skipped = {commit for name, commit in refs.items() if name.startswith(_PREFIX + "skip-")}
    missing = tuple(v for v, there in ((Verdict.BAD, bad), (Verdict.GOOD, good)) if not there)
    if bad is None or missing:
        return BisectStep(missing=missing)
    if (base := _untested_base(repo, bad, good, skipped)) is not None:
        return _check_out(repo, BisectStep(repo.objects.commit(base), merge_base=True), caller)
    graph = {one.id: one.parents for one in walk(repo.objects, Selection([bad], good))}
    if bad not in graph:
        raise Refused("a good commit comes after the bad one, or is it", hint="mvc bisect reset, and begin again")
    parents = {commit: tuple(p for p in before if p in graph) for commit, before in graph.items()}
    choice = choose(parents, bad, (), skipped)
    if choice.commit is not None:
        found = BisectStep(repo.objects.commit(choice.commit), left=choice.left, steps=choice.steps)
        return _check_out(repo, found, caller)
    return _finish(repo, [repo.objects.commit(commit) for commit in choice.suspects])


def _finish(repo: Repository, suspects: Sequence[Commit]) -> BisectStep:
    if len(suspects) == 1:
        only = suspects[0]
        _note(repo, f"# first bad commit: [{only.id}] {only.summary}\n")
        return BisectStep(first_bad=only)
    _note(repo, "# only skipped commits left to test\n")
    _note(repo, "".join(f"# possible first bad commit: [{one.id}] {one.summary}\n" for one in suspects))
    return BisectStep(undecided=tuple(suspects))


def _untested_base(repo: Repository, bad: str, good: Sequence[str], skipped: set[str]) -> str | None:
    """Where a good commit is no ancestor of the bad one, their merge base must be good as well."""
    if inprogress.read(repo, "BISECT_ANCESTORS_OK") is not None:
        return None
    for commit in good:
        if is_ancestor(repo.objects, commit, bad):
            continue
        bases = merge_bases(repo.objects, bad, [commit])
        if not bases:
            raise NotFound("the good commit and the bad one have no commit in common", hint="mvc bisect reset")
        for base in bases:
            if base == bad:
                raise Refused(
                    f"the merge base {base[:10]} is bad: what made it worse was mended on the way to {commit[:10]}",
                    hint="mvc bisect reset",
                )
            if base not in good and base not in skipped:
                return base
    inprogress.write(repo, {"BISECT_ANCESTORS_OK": ""})
    return None


def _check_out(repo: Repository, step: BisectStep, caller: Caller) -> BisectStep:
    assert step.testing is not None  # the callers give one
    inprogress.write(repo, {"BISECT_EXPECTED_REV": f"{step.testing.id}\n"})
    switch(repo, Destination(step.testing.id), caller=caller)
    return step
