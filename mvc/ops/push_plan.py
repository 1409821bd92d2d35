"""Which refs a push is to move: refspecs and `push.default`, by the rules of Git's remote.c (`match_push_refs`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mvc.errors import NotFound, Refused, UsageError
from mvc.objects.refnames import ALIASES, short
from mvc.objects.refspec import Refspec, parse_push
from mvc.objects.revparse import resolve, resolve_ref
from mvc.objects.upstream import HEADS, default_remote, push_default, push_refspecs, seen_as, upstream
from mvc.repo.repository import Repository
from mvc.sync.verdicts import ANY, RefUpdate

TAGS = "refs/tags/"
_PLACES = ("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}")


@dataclass(frozen=True, slots=True)
class Lease:
    """`--force-with-lease[=REF[:EXPECT]]`. `ref` None: all refs. `expect` None: what was seen of it here last;
    "": that it does not exist."""

    ref: str | None = None
    expect: str | None = None


@dataclass(frozen=True, slots=True)
class PushOptions:
    """What to push, and how."""

    force: bool = False
    leases: tuple[Lease, ...] = ()
    all: bool = False
    """All branches."""
    tags: bool = False
    """All tags, too."""
    aliases: bool | None = None
    """Aliases and reviews, too. None: if no refs are named, and `push.aliases` does not say no."""
    delete: bool = False
    """The refspecs are names of refs there, to be deleted."""
    atomic: bool = False
    dry_run: bool = False
    set_upstream: bool = False
    jobs: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """One ref to move. `source`: what it is here, a full name, or a revision as typed; "" for a deletion.
    `shown`: the same for people, who typed HEAD."""

    source: str
    update: RefUpdate
    shown: str


def plan(
    repo: Repository, remote: str, specs: Sequence[str], options: PushOptions, there: Mapping[str, str]
) -> list[Planned]:
    """What a push to `remote` (a name, or a URL) is to move. `there`: the refs of the remote.

    Raises NotFound for what does not exist here or there, UsageError for what makes no sense, Refused where nothing
    says what to push.
    """
    parsed = _refspecs(repo, remote, specs, options)
    left_out = [spec for spec in parsed if spec.negative]
    found: dict[str, Planned] = {}
    for spec in parsed:
        for source, target, force in () if spec.negative else _pairs(repo, remote, spec, there, mapped=bool(specs)):
            if any(one.covers(source) for one in left_out):
                continue
            new = resolve(repo.objects, repo.refs, _meant(source, target)) if source else None
            if new is not None and target.startswith(HEADS) and repo.objects.kind(new) != "commit":
                raise UsageError(f"{target} can only be moved to a commit, '{short(source)}' is none")
            if target in found and found[target].source != source:
                raise UsageError(f"dst ref {target} receives from more than one src")
            # As with Git, who forces does not ask what stands there.
            forced = force or options.force
            expected = ANY if forced else _expected(repo, remote, target, options.leases)
            found[target] = Planned(
                source, RefUpdate(new, target, expected, forced), "HEAD" if spec.source == "HEAD" else source
            )
    return list(found.values())


def _meant(source: str, target: str) -> str:
    """An alias goes as its steps where it stays one; a branch or tag gets what it stands for."""
    return source.removeprefix("refs/") if source.startswith(ALIASES) and not target.startswith(ALIASES) else source


def _refspecs(repo: Repository, remote: str, specs: Sequence[str], options: PushOptions) -> list[Refspec]:
    if options.delete:
        if not specs or options.all or options.tags:
            raise UsageError("--delete wants names of refs, and nothing else", hint="mvc push REMOTE --delete BRANCH")
        if any(":" in spec or spec.startswith("+") for spec in specs):
            raise UsageError("--delete only accepts plain target ref names")
        return [parse_push(f":{spec}") for spec in specs]
    if options.all and specs:
        raise UsageError("--all can't be combined with refspecs")
    found = [parse_push(text) for text in specs]
    if options.all:
        found.append(parse_push("refs/heads/*:refs/heads/*"))
    if options.tags:
        found.append(parse_push("refs/tags/*:refs/tags/*"))
    if found:
        return found
    return push_refspecs(repo.config, remote) or [_by_default(repo, remote, options)]


def _by_default(repo: Repository, remote: str, options: PushOptions) -> Refspec:
    way = push_default(repo.config)
    if way == "nothing":
        raise Refused('You didn\'t specify any refspecs to push, and push.default is "nothing".')
    if way == "matching":
        return Refspec("", "")
    branch = repo.refs.head().branch
    if branch is None:
        hint = f"mvc push {remote} HEAD:<name-of-remote-branch>"
        raise Refused("You are not currently on a branch.", hint=hint)
    name = branch.removeprefix(HEADS)
    triangular = remote != default_remote(repo.config, branch)
    if way == "current" or (way == "simple" and triangular) or options.set_upstream:
        return Refspec(branch, branch)
    if triangular:
        raise Refused(
            f"You are pushing to remote '{remote}', which is not the upstream of your current branch '{name}'.",
            hint=f"mvc push {remote} {name}",
        )
    follows = upstream(repo.config, branch)
    if follows is None:
        if sets_up(repo):
            return Refspec(branch, branch)
        raise Refused(
            f"The current branch {name} has no upstream branch.", hint=f"mvc push --set-upstream {remote} {name}"
        )
    if way == "simple" and follows.merge != branch:
        raise Refused(
            "The upstream branch of your current branch does not match the name of your current branch.",
            hint=f"mvc push {remote} HEAD:{short(follows.merge)} (the upstream), or HEAD (the same name)",
        )
    return Refspec(branch, follows.merge)


def sets_up(repo: Repository) -> bool:
    """Whether the first plain push of a branch makes it follow what it pushed (`push.autoSetupRemote`)."""
    return repo.config.get_bool("push.autosetupremote", False)


def _pairs(
    repo: Repository, remote: str, spec: Refspec, there: Mapping[str, str], *, mapped: bool
) -> Iterator[tuple[str, str, bool]]:
    """(source here, full target there, force) of a refspec. `mapped`: it came from the command line."""
    if spec.is_matching:
        yield from ((ref, ref, spec.force) for ref in repo.refs.list(HEADS) if ref in there)
    elif spec.is_pattern:
        for ref in repo.refs.list():
            if spec.covers(ref):
                yield ref, spec.maps(ref) or ref, spec.force
    elif not spec.source:
        yield "", _there(spec.target, there) or _guess(spec.target, HEADS), spec.force
    else:
        source = _here(repo, spec.source)
        if spec.target:
            target = _there(spec.target, there) or _full_target(repo, spec, source)
        else:
            target = _same_name(repo, remote, spec, source) if mapped else source
        yield source, target, spec.force


def _here(repo: Repository, name: str) -> str:
    """The full name of the ref that a source is, else the revision as it was typed."""
    if name == "HEAD":
        return repo.refs.head().branch or name
    found = resolve_ref(repo.refs, name)
    if found is None:
        try:
            resolve(repo.objects, repo.refs, name)
        except NotFound as error:
            raise NotFound(f"src refspec {name} does not match any", hint=error.hint) from error
    return found or name


def _same_name(repo: Repository, remote: str, spec: Refspec, source: str) -> str:
    """Where a ref goes of which only the source was given: as the remote's settings say, else by its own name."""
    if not source.startswith("refs/"):
        hint = f"mvc push {remote} {spec.source}:refs/heads/NAME"
        raise UsageError(f"'{spec.source}' is no ref: where it goes must be said", hint=hint)
    settings = (one for one in push_refspecs(repo.config, remote) if not one.negative and not one.is_matching)
    target = next((one.maps(source) for one in settings if one.covers(source)), None)
    if target is not None:
        return target
    follows = upstream(repo.config, source) if push_default(repo.config) == "upstream" else None
    return follows.merge if follows is not None and follows.remote == remote else source


def _full_target(repo: Repository, spec: Refspec, source: str) -> str:
    """The full name of a target that the remote does not have: by the kind of the source."""
    if spec.target.startswith("refs/"):
        return spec.target
    for prefix in (HEADS, TAGS):
        if source.startswith(prefix):
            return _guess(spec.target, prefix)
    raise UsageError(
        f"The destination you provided is not a full refname: '{spec.target}'",
        hint=f"mvc push REMOTE {spec.source}:refs/heads/{spec.target}",
    )


def _guess(name: str, prefix: str) -> str:
    return name if name.startswith("refs/") else prefix + name


def _there(name: str, there: Mapping[str, str]) -> str | None:
    found = [full for place in _PLACES if (full := place.format(name)) in there]
    if len(found) > 1 and found[0] != name:
        raise UsageError(f"dst refspec {name} matches more than one", hint=f"one of: {', '.join(found)}")
    return found[0] if found else None


def _expected(repo: Repository, remote: str, target: str, leases: Sequence[Lease]) -> str | None:
    """What must stand there: what the lease says, else what was seen of it here. The last lease that fits counts."""
    fitting = [one for one in leases if one.ref is None or target in {one.ref, HEADS + one.ref, TAGS + one.ref}]
    if not fitting:
        return ANY
    # One that names the ref goes before one for all.
    lease = next((one for one in reversed(fitting) if one.ref is not None), fitting[-1])
    if lease.expect is not None:
        return resolve(repo.objects, repo.refs, lease.expect) if lease.expect else None
    seen = seen_as(repo.config, remote, target)
    return repo.refs.read(seen) if seen is not None else None
