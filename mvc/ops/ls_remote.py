"""`mvc ls-remote`: the refs of a remote, as they are now. Nothing is stored."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from mvc.ops.connect import Outside, connect, find_remote
from mvc.repo.create import init
from mvc.repo.repository import Repository
from mvc.sync.remotes import Remote
from mvc.sync.state import State
from mvc.sync.viewobjects import RemoteObjects


@dataclass(frozen=True, slots=True)
class RemoteRefs:
    """What a remote has. `refs`: (full name, id), HEAD first, then by name; behind an annotated tag, as `NAME^{}`, what
    it stands for. `head`: the branch that its HEAD is on."""

    url: str
    head: str | None
    refs: tuple[tuple[str, str], ...]


def ls_remote(
    repo: Repository,
    name_or_url: str | None,
    patterns: Sequence[str] = (),
    *,
    heads: bool = False,
    tags: bool = False,
    bare_refs: bool = False,
    outside: Outside,
) -> RemoteRefs:
    """The refs whose names end in one of `patterns`. `heads`, `tags`: only those; `bare_refs`: without HEAD,
    and without what tags stand for.

    Raises NotFound where nothing was ever pushed.
    """
    config = find_remote(repo, name_or_url, outside)
    kinds = [kind for kind, wanted in (("refs/heads/", heads), ("refs/tags/", tags)) if wanted]
    with connect(repo, config, outside) as remote:
        state = remote.state()
        chosen = {ref: target for ref, target in all_refs(state).items() if not kinds or ref.startswith(tuple(kinds))}
        peeled = {} if bare_refs else _peeled(repo, remote, state, chosen)
        url = remote.backend.url
    refs: list[tuple[str, str]] = []
    for ref, target in chosen.items():
        refs += [(ref, target)] if not (bare_refs and ref == "HEAD") else []
        refs += [(f"{ref}^{{}}", peeled[target])] if target in peeled else []
    return RemoteRefs(url, state.head or None, tuple((ref, target) for ref, target in refs if _fits(ref, patterns)))


def _peeled(repo: Repository, remote: Remote, state: State, refs: Mapping[str, str]) -> dict[str, str]:
    """What annotated tags stand for, by their ids. Of a tag that is not here its object comes."""
    tags = {target for ref, target in refs.items() if ref.startswith("refs/tags/")}
    far = {tag for tag in tags if not repo.objects.contains(tag)}
    found = {tag: repo.objects.peel(tag) for tag in tags - far}
    if far:
        with tempfile.TemporaryDirectory(prefix="mvc-") as folder:
            there = RemoteObjects(remote.backend, Path(folder))
            there.set_state(state)
            there.bring(far)
            found.update({tag: there.objects.peel(tag) for tag in far})
            there.objects.close()
    return {tag: target for tag, target in found.items() if tag != target}


@contextmanager
def nowhere(configs: Sequence[Path]) -> Iterator[Repository]:
    """An empty repository, to ask a remote from outside of any."""
    with tempfile.TemporaryDirectory(prefix="mvc-") as folder:
        repo, _ = init(Path(folder), bare=True, global_configs=configs)
        yield repo
        repo.objects.close()


def all_refs(state: State) -> dict[str, str]:
    """The refs by name, HEAD first where its branch is there."""
    head = state.refs.get(state.head)
    return {**({"HEAD": head} if head is not None else {}), **dict(sorted(state.refs.items()))}


def _fits(ref: str, patterns: Sequence[str]) -> bool:
    # As Git: a pattern stands for whole components at the end.
    return not patterns or any(fnmatchcase(f"/{ref}", f"*/{pattern}") for pattern in patterns)
