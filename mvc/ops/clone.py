"""`mvc clone`: a new repository with a remote's history, and the chunks of what is checked out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mvc import fsio
from mvc.backends.open import is_local, local_path
from mvc.errors import MvcError, NotFound, Refused, UsageError
from mvc.lazy import load
from mvc.metadata.model import NOTES
from mvc.objects import trees
from mvc.objects.aliases import read_step
from mvc.objects.config import ConfigFile
from mvc.objects.model import Commit
from mvc.objects.refnames import ALIASES
from mvc.objects.refs import RefChange
from mvc.objects.refspec import Refspec
from mvc.objects.upstream import HEADS
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside, absolute_url, connect, supplied
from mvc.ops.fetch import REMEMBER
from mvc.ops.init import init
from mvc.ops.project import note_head
from mvc.ops.remote import add_remote, check_url, require
from mvc.ops.tracking import follow
from mvc.repo.locking import edit_stage
from mvc.repo.materialize import content_identity, switch_tree
from mvc.repo.repository import Repository
from mvc.repo.selection import EXCLUDE, INCLUDE, is_left_out, selection_of
from mvc.sync import fetch as engine
from mvc.sync.chunks import bring_files
from mvc.sync.fetch import FetchResult, Tags
from mvc.sync.remotes import Remote
from mvc.sync.state import State

TAGS = "refs/tags/"

_BRING_NOTES = "mvc.ops.carry_notes:bring_notes"
"""Loaded where the remote has annotations."""


@dataclass(frozen=True, slots=True)
class CloneOptions:
    """How to clone. `branch`: a branch, or a tag or alias (then HEAD is on none); None: what HEAD there names."""

    origin: str = "origin"
    branch: str | None = None
    checkout: bool = True
    all_data: bool = False
    """All chunks of the whole history, too."""
    shared_store: str = ""
    """The folder of a shared store in place of the one that is set (`MVC_STORE`)."""
    include: tuple[str, ...] = ()
    """Patterns of the files in chunks that are wanted in the worktree; none: all of them. Remembered in the config."""
    exclude: tuple[str, ...] = ()
    """Patterns of those that are not."""
    depth: int | None = None
    """So many commits of the history alone."""
    single_branch: bool | None = None
    """Only the branch (or tag) that is checked out, now and later; None: with `depth`."""

    @property
    def single(self) -> bool:
        """Whether one branch comes alone."""
        return self.depth is not None if self.single_branch is None else self.single_branch


@dataclass(frozen=True, slots=True)
class Cloned:
    """What came. `branch` is the full name that HEAD is on, or None; `commit` is None for an empty remote."""

    repo: Repository
    url: str
    branch: str | None
    commit: Commit | None
    history: int
    """Bytes of history that came."""
    chunks: int
    """Bytes of chunks that came."""
    size: int
    """Bytes of the files that were checked out."""


def check_depth(depth: int | None) -> None:
    """Raises UsageError, as Git does."""
    if depth is not None and depth < 1:
        raise UsageError(f"depth {depth} is not a positive number")


def go_on(folder: Path) -> str:
    """What to do after a clone that ended while it checked out."""
    return f"the history is there; to go on: mvc -C {folder} reset --hard"


def folder_of(url: str) -> str:
    """The folder that a clone of `url` goes to: its last part. Raises UsageError where there is none."""
    path = url.split("?", maxsplit=1)[0].rstrip("/\\")
    if path.endswith("/.mvc"):
        path = path.removesuffix("/.mvc")
    name = path.replace("\\", "/").rpartition("/")[2].rpartition(":")[2]
    name = name.removesuffix(".bundle").removesuffix(".mvc").removesuffix(".git").strip()
    if not name or name in {".", ".."}:
        raise UsageError(f"no folder's name can be made of '{url}'", hint="mvc clone URL FOLDER")
    return name


def clone(
    url: str,
    folder: Path,
    options: CloneOptions,
    *,
    outside: Outside,
    caller: Caller,
    global_configs: Sequence[Path] = (),
) -> Cloned:
    """Make `folder` a clone.

    If it fails before the history is there, what was made is removed again; after that it stays, and the error's
    hint says how to go on. Raises Refused if the folder holds anything, NotFound, NetworkError, AuthError, UsageError
    for a depth that is none.
    """
    check_depth(options.depth)
    url = absolute_url(check_url(url), outside.cwd)
    was_there = folder.exists()
    if was_there and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"destination path '{folder}' already exists and is not an empty directory")
    if is_local(url) and folder == local_path(url):  # `clone nowhere`: what is made here would be asked
        raise NotFound(f"there is no mvc remote at {url}", hint="check the URL; the first push makes one")
    try:
        fsio.make_dirs(folder)
        made = init(folder, global_configs=global_configs).repo
        add_remote(made, options.origin, url)
        _remember(made, options)
        repo = Repository.open(folder, global_configs=global_configs).with_shared_store(options.shared_store)
        with connect(repo, require(repo.config, options.origin), outside) as remote:
            url = remote.backend.url
            result = _history_or_nothing(repo, remote, options, outside.jobs, caller)
            target = _target(options, result.state, url) or (None if result.state.refs else repo.refs.head().branch)
        if options.single and target is not None:
            _narrow(repo, options, target)
            repo = Repository.open(folder, global_configs=global_configs).with_shared_store(options.shared_store)
        commit = _refs(repo, target, options, result.state, url, caller)
    except BaseException:
        _remove(folder, keep=was_there)
        raise
    repo, source = supplied(repo, outside, caller.progress)
    with closing(source):
        try:
            size = _check_out(repo, commit, caller) if commit is not None and options.checkout else 0
        except MvcError as error:
            error.hint = go_on(folder)
            raise
    moved = source.moved
    if options.all_data:
        with connect(repo, require(repo.config, options.origin), outside) as remote:
            tips = list(result.state.refs.values())
            wants = selection_of(repo.config).wants
            moved += bring_files(remote, tips, wants=wants, jobs=outside.jobs, progress=caller.progress).moved
    return Cloned(repo, url, repo.refs.head().branch, commit, result.bytes, moved, size)


def _remember(repo: Repository, options: CloneOptions) -> None:
    """The patterns go into the config."""
    if options.include or options.exclude:
        file = ConfigFile(repo.common_dir / "config")
        for key, patterns in ((INCLUDE, options.include), (EXCLUDE, options.exclude)):
            for pattern in patterns:
                file.add(key, pattern)
        file.save()


def _history_or_nothing(
    repo: Repository, remote: Remote, options: CloneOptions, jobs: int, caller: Caller
) -> FetchResult:
    """As Git: a folder that is there, and holds nothing at all, is a remote to be. Raises NotFound for any other place:
    of a store or a server, nothing is also what a name that was mistyped, or that a token must not know of, holds."""
    try:
        return _history(repo, remote, options, jobs, caller)
    except NotFound:
        if not _is_empty_folder(remote.backend.url):
            raise
        return FetchResult((), 0, 0, State())


def _is_empty_folder(url: str) -> bool:
    if not is_local(url):
        return False
    path = local_path(url)
    return path.is_dir() and not any(path.iterdir())


def _history(repo: Repository, remote: Remote, options: CloneOptions, jobs: int, caller: Caller) -> FetchResult:
    specs = [*remote.config.fetch, Refspec("refs/tags/*", "refs/tags/*")]
    tags: Tags = "all"
    if options.single:
        state = remote.state()
        target = _target(options, state, remote.backend.url)
        specs, tags = ([_alone(options, target)] if target in state.refs else []), "follow"
    depth, progress = options.depth, caller.progress
    if depth is not None and specs and specs[0].source.startswith(ALIASES):
        depth += 1  # what an alias stands for is a parent of its newest step
    result = engine.fetch(
        remote,
        specs,
        who=caller.who,
        tags=tags,
        names="none" if options.single else "all",
        depth=depth,
        jobs=jobs,
        progress=progress,
    )
    state = result.state
    if NOTES in state.refs:
        load(_BRING_NOTES)(remote, state.refs, caller, jobs=jobs)
    if state.head.startswith(HEADS) and any(ref.source == state.head for ref in result.refs):
        name = state.head.removeprefix(HEADS)
        repo.refs.set_symbolic(f"refs/remotes/{options.origin}/HEAD", f"refs/remotes/{options.origin}/{name}")
    load(REMEMBER)(repo, result)
    return result


def _alone(options: CloneOptions, target: str | None) -> Refspec:
    """What brings one branch, one tag or one alias."""
    assert target is not None  # it is among the refs
    if target.startswith(TAGS):
        return Refspec(target, target, force=True)
    if target.startswith(ALIASES):
        # Of a shallow history the steps do not come, by which alone an alias is one.
        return Refspec(target, target if options.depth is None else "")
    return Refspec(target, f"refs/remotes/{options.origin}/{target.removeprefix(HEADS)}", force=True)


def _narrow(repo: Repository, options: CloneOptions, target: str) -> None:
    """Let later fetches bring nothing else, either."""
    file = ConfigFile(repo.common_dir / "config")
    file.set(f"remote.{options.origin}.fetch", str(_alone(options, target)))
    file.save()


def _target(options: CloneOptions, state: State, url: str) -> str | None:
    """The ref there to check out: full name; None: there is nothing."""
    if options.branch is not None:
        for prefix in (HEADS, TAGS, ALIASES):
            if prefix + options.branch in state.refs:
                return prefix + options.branch
        raise NotFound(
            f"Remote branch {options.branch} not found in upstream {options.origin}", hint=f"mvc ls-remote {url}"
        )
    return state.head or None


def _refs(
    repo: Repository, target: str | None, options: CloneOptions, state: State, url: str, caller: Caller
) -> Commit | None:
    """Make the branch, put HEAD there, and let it follow the remote's; returns the commit."""
    if target is None:
        return None
    found = state.refs.get(target)
    commit = _commit_of(repo, target, found) if found is not None else None
    message = f"clone: from {url}"
    if target.startswith(HEADS):
        follow(repo, target, options.origin, target)
        repo.refs.set_head(target, message=message, author=caller.who)
        if commit is not None:
            repo.refs.update([RefChange(target, None, commit)], message=message, author=caller.who)
    elif commit is not None:
        repo.refs.set_head(commit, message=message, author=caller.who)
    return repo.objects.commit(commit) if commit is not None else None


def _commit_of(repo: Repository, ref: str, value: str) -> str:
    """The commit that a ref of the remote stands for. Raises NotFound for an alias that stands for none."""
    if not ref.startswith(ALIASES):
        return repo.objects.peel(value, "commit")
    name = ref.removeprefix(ALIASES)
    target = read_step(repo.objects, value, name).target
    if target is None:
        raise NotFound(f"the alias '{name}' was removed", hint=f"mvc alias log {name}, in a clone of all")
    return target


def _check_out(repo: Repository, commit: Commit, caller: Caller) -> int:
    """Write the files; returns the sum of their sizes."""
    with edit_stage(repo, wait=caller.wait, what="clone") as stage:
        switch_tree(repo, stage, commit.tree, current_tree=None, progress=caller.progress)
        note_head(repo, stage)
    items = trees.flatten(repo.objects, commit.tree).items()
    return sum(content_identity(repo.objects, item)[0] for path, item in items if not is_left_out(repo, path, item))


def _remove(folder: Path, *, keep: bool) -> None:
    """Take away what was made; an empty folder that had been there stays."""
    for path in [*folder.iterdir()] if keep else [folder]:
        fsio.step("rmtree", path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
