"""`mvc fetch`: history from a remote. Remote-tracking branches move; nothing else of the repository does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mvc import fsio
from mvc.errors import NotFound, UsageError
from mvc.lazy import load
from mvc.metadata.model import NOTES
from mvc.objects.refspec import Refspec, expand_tags, mapped, parse_fetch, tracking_ref
from mvc.objects.upstream import HERE, upstream
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside, connect, find_remote
from mvc.ops.ls_remote import all_refs
from mvc.repo.repository import Repository
from mvc.sync import fetch as engine
from mvc.sync.fetch import FetchResult, Names, Tags
from mvc.sync.remotes import Remote, RemoteConfig, configured
from mvc.sync.state import State

if TYPE_CHECKING:
    from mvc.ops.fetch_data import BroughtData

FETCH_HEAD = "FETCH_HEAD"
_BRING_NOTES = "mvc.ops.carry_notes:bring_notes"
"""Loaded where a remote has annotations that are not here."""

REMEMBER = "mvc.ops.remember_fetched:remember_fetched"
"""Loaded when something was fetched."""

_DATA = "mvc.ops.fetch_data:bring_matching"
"""Loaded where chunks are asked for, too."""


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """How to fetch. `tags`: "follow" takes those whose commit is here afterwards. `prune` None: as the config says."""

    prune: bool | None = None
    tags: Tags = "follow"
    force: bool = False
    dry_run: bool = False
    depth: int | None = None
    """So many commits of each ref, behind which the history here ends from then on."""
    unshallow: bool = False
    """All the history behind where it ends now."""
    include: tuple[str, ...] = ()
    """Patterns: chunks of files and tensors that match come, too, of what HEAD's branch follows or was asked for."""


@dataclass(frozen=True, slots=True)
class FetchHead:
    """A ref that was fetched: `source` is its full name there, or "HEAD". `merge`: `pull` merges it."""

    id: str
    source: str
    merge: bool

    def describe(self, url: str) -> str:
        """As in FETCH_HEAD and in the message of a merge: "branch 'main' of URL", or without URL if it is here."""
        of = "" if url == HERE else f" of {url}"
        for prefix, kind in (
            ("refs/heads/", "branch"),
            ("refs/tags/", "tag"),
            ("refs/remotes/", "remote-tracking branch"),
        ):
            if self.source.startswith(prefix):
                return f"{kind} '{self.source.removeprefix(prefix)}'{of}"
        return url if self.source == "HEAD" else f"'{self.source}' of {url}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came from a remote; `name` is "" for one that has only a URL."""

    name: str
    url: str
    result: FetchResult
    heads: tuple[FetchHead, ...]
    """What FETCH_HEAD tells: that which `pull` merges first."""
    data: BroughtData | None = None
    """What `include` brought."""


def fetch(
    repo: Repository,
    name_or_url: str | None = None,
    specs: Sequence[str] = (),
    options: FetchOptions = FetchOptions(),
    *,
    outside: Outside,
    caller: Caller,
) -> Fetched:
    """Fetch from a remote (None: the one that HEAD's branch follows): what `specs` name, else what its settings say.

    Raises NotFound (no such remote, no such ref there), UsageError for a refspec that is none, NetworkError, AuthError.
    """
    repo.require_writable()
    if (here := _from_here(repo, name_or_url, specs)) is not None:
        return here
    return _fetch(repo, find_remote(repo, name_or_url, outside), specs, options, outside, caller)


def _from_here(repo: Repository, name: str | None, specs: Sequence[str]) -> Fetched | None:
    """Of a branch that follows another one of this repository ("." is its remote): nothing has to come."""
    branch = repo.refs.head().branch
    follows = upstream(repo.config, branch) if branch is not None else None
    if name not in (None, HERE) or specs or follows is None or follows.remote != HERE:
        return None
    tip = repo.refs.read(follows.merge)
    heads = (FetchHead(tip, follows.merge, merge=True),) if tip is not None else ()
    return Fetched(HERE, HERE, FetchResult((), 0, 0, State()), heads)


def fetch_all(repo: Repository, options: FetchOptions, *, outside: Outside, caller: Caller) -> tuple[Fetched, ...]:
    """Fetch from every remote, by name, what its settings say."""
    repo.require_writable()
    return tuple(_fetch(repo, one, (), options, outside, caller) for one in configured(repo.config))


def _fetch(
    repo: Repository,
    config: RemoteConfig,
    specs: Sequence[str],
    options: FetchOptions,
    outside: Outside,
    caller: Caller,
) -> Fetched:
    if options.depth is not None and options.depth < 1:
        raise UsageError(f"depth {options.depth} is not a positive number")
    if options.unshallow and options.depth is not None:
        raise UsageError("options '--depth' and '--unshallow' cannot be used together")
    if options.unshallow and not repo.objects.shallow:
        raise UsageError("--unshallow on a complete repository does not make sense")
    given = [_forced(parse_fetch(text), options.force) for text in expand_tags(specs)]
    prune = options.prune if options.prune is not None else _prunes(repo, config.name)
    with connect(repo, config, outside) as remote:
        wanted = _wanted(remote, given)
        result = engine.fetch(
            remote,
            wanted,
            who=caller.who,
            prune=prune and not given,
            tags=_tags(options, given, config),
            names=_names(options, given, config),
            force_tags=options.force,
            dry_run=options.dry_run,
            depth=options.depth,
            unshallow=options.unshallow,
            jobs=outside.jobs,
            progress=caller.progress,
        )
        if config.name and not options.dry_run and options.tags != "none":
            _bring_notes(repo, remote, result, outside.jobs, caller)
        url = remote.backend.url
        heads = _heads(repo, config.name, result, asked=bool(given) or not config.name)
        data = None
        if not options.dry_run:
            _write_fetch_head(repo, heads, url)
            load(REMEMBER)(repo, result)
            if options.include:
                data = _data(remote, heads, options, outside.jobs, caller)
    return Fetched(config.name, url, result, heads, data)


def _bring_notes(repo: Repository, remote: Remote, result: FetchResult, jobs: int, caller: Caller) -> None:
    """What was said of commits there, joined with what was said here."""
    refs = result.state.refs
    if refs.get(NOTES) not in (None, repo.refs.read(NOTES)):
        load(_BRING_NOTES)(remote, refs, caller, jobs=jobs)


def _tags(options: FetchOptions, given: Sequence[Refspec], config: RemoteConfig) -> Tags:
    """As with Git, tags follow where something is kept up to date here: not what goes to FETCH_HEAD alone."""
    if options.tags == "follow" and not any(one.target for one in given or config.fetch):
        return "none"
    return options.tags


def _names(options: FetchOptions, given: Sequence[Refspec], config: RemoteConfig) -> Names:
    """Aliases and reviews come with branches by a pattern. Where one branch comes alone (`--single-branch`) others do
    not come, but those that are here are kept up to date: a push that is refused says to fetch first."""
    if given or not config.fetch or options.tags == "none":
        return "none"
    return "all" if any(one.is_pattern and not one.negative for one in config.fetch) else "here"


def _data(remote: Remote, heads: Sequence[FetchHead], options: FetchOptions, jobs: int, caller: Caller) -> BroughtData:
    wanted = [one for one in heads if one.merge] or heads
    commits = dict.fromkeys(remote.repo.objects.peel(one.id, "commit") for one in wanted)
    done: BroughtData = load(_DATA)(remote, list(commits), options.include, jobs=jobs, progress=caller.progress)
    return done


def _wanted(remote: Remote, given: Sequence[Refspec]) -> list[Refspec] | None:
    """The refspecs with full names. Those of the command line bring what the settings keep up to date, as in Git.

    None: as the settings say.
    """
    settings = remote.config.fetch
    if not given and settings:
        return None
    state = remote.state()
    names = all_refs(state)
    found: list[Refspec] = []
    for spec in given or [Refspec("HEAD")]:
        pairs = mapped([spec, *(one for one in given if one.negative)], names)
        if not pairs and not spec.is_pattern and not spec.negative:
            raise NotFound(
                f"couldn't find remote ref {spec.source}", hint=f"mvc ls-remote {remote.config.name}".rstrip()
            )
        for source, target, force in pairs:
            real = state.head if source == "HEAD" else source
            found.append(Refspec(real, target or "", force))
            seen = tracking_ref(settings, real)
            if seen is not None and seen != target:
                found.append(Refspec(real, seen, True))
    return list(dict.fromkeys(found))


def _heads(repo: Repository, name: str, result: FetchResult, *, asked: bool) -> tuple[FetchHead, ...]:
    """What FETCH_HEAD is to hold. `asked`: all that came without a place of its own is to be merged."""
    branch = repo.refs.head().branch
    follows = upstream(repo.config, branch) if branch else None
    merge = follows.merge if follows is not None and follows.remote == name else None
    found: dict[str, FetchHead] = {}
    for ref in result.refs:
        if ref.new is None or not ref.source or (ref.source.startswith("refs/tags/") and not asked):
            continue
        wanted = _is_asked(ref.target, result, ref.source) if asked else ref.source == merge
        before = found.get(ref.source)
        found[ref.source] = FetchHead(ref.new, ref.source, wanted or (before is not None and before.merge))
    return tuple(sorted(found.values(), key=lambda one: not one.merge))


def _is_asked(target: str, result: FetchResult, source: str) -> bool:
    """Whether a ref came for its own sake: not only as a tag that follows, or to keep a remote-tracking branch new."""
    if not target:
        return True
    alone = sum(1 for ref in result.refs if ref.source == source) == 1
    return alone and not target.startswith("refs/tags/")


def _write_fetch_head(repo: Repository, heads: Sequence[FetchHead], url: str) -> None:
    lines = [f"{one.id}\t{'' if one.merge else 'not-for-merge'}\t{one.describe(url)}\n" for one in heads]
    data = "".join(lines).encode("utf-8", "surrogateescape")
    fsio.write_atomic(repo.git_dir / FETCH_HEAD, data, sync=False)


def _forced(spec: Refspec, force: bool) -> Refspec:
    return spec._replace(force=True) if force and not spec.negative else spec


def _prunes(repo: Repository, name: str) -> bool:
    general = repo.config.get_bool("fetch.prune", False)
    return repo.config.get_bool(f"remote.{name}.prune", general) if name else general
