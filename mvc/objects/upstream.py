"""Upstream branches: which branch of which remote a branch follows, from `[branch "x"]` of the config.

`remote` and `merge`, `pushRemote`, `remote.pushDefault`, `push.default` mean what they mean in git-config(1).
"""

from __future__ import annotations

from typing import NamedTuple

from mvc.errors import NotFound, UsageError
from mvc.objects import refnames
from mvc.objects.config import Config
from mvc.objects.refspec import Refspec, parse_fetch, parse_push, tracking_ref

HEADS = "refs/heads/"
HERE = "."
"""The name of this repository as a remote: a branch may follow another one here."""

_DEFAULTS = ("nothing", "matching", "current", "upstream", "tracking", "simple")


class Upstream(NamedTuple):
    """What a branch follows: the ref `merge` of `remote`, seen here as `tracking` (None: it is kept nowhere)."""

    remote: str
    merge: str
    tracking: str | None

    @property
    def name(self) -> str:
        """As people say it: "origin/main"."""
        return refnames.short(self.tracking or self.merge)


def upstream(config: Config, branch: str) -> Upstream | None:
    """The upstream of a branch (a full name), or None if it has none."""
    key = f"branch.{branch.removeprefix(HEADS)}"
    remote, merge = config.get(f"{key}.remote"), config.get(f"{key}.merge")
    if not remote or not merge:
        return None
    return Upstream(remote, merge, seen_as(config, remote, merge))


def seen_as(config: Config, remote: str, ref: str) -> str | None:
    """Under which name a remote's ref is kept here; None: nowhere."""
    if remote == HERE:
        return ref
    return tracking_ref(fetch_refspecs(config, remote), ref)


def fetch_refspecs(config: Config, remote: str) -> list[Refspec]:
    """`remote.NAME.fetch`. Raises UsageError for one that is none."""
    return [parse_fetch(text) for text in config.get_all(f"remote.{remote}.fetch")]


def push_refspecs(config: Config, remote: str) -> list[Refspec]:
    """`remote.NAME.push`. Raises UsageError for one that is none."""
    return [parse_push(text) for text in config.get_all(f"remote.{remote}.push")]


def remote_names(config: Config) -> list[str]:
    """The names of all remotes that have a URL, sorted."""
    found = {key[len("remote.") : -len(".url")] for key, _ in config.items() if _is_url(key)}
    return sorted(found)


def default_remote(config: Config, branch: str | None) -> str:
    """Where to fetch from if nothing is said: the branch's remote, else the only one, else origin."""
    if branch is not None and (set_remote := config.get(f"branch.{branch.removeprefix(HEADS)}.remote")):
        return set_remote
    names = remote_names(config)
    return names[0] if len(names) == 1 else "origin"


def push_remote(config: Config, branch: str | None) -> str:
    """Where to push to if nothing is said."""
    named = config.get(f"branch.{branch.removeprefix(HEADS)}.pushremote") if branch is not None else None
    return named or config.get("remote.pushdefault") or default_remote(config, branch)


def push_default(config: Config) -> str:
    """`push.default`: what a push without refspecs pushes. Raises UsageError for a value that Git does not know."""
    value = config.get("push.default") or "simple"
    if value not in _DEFAULTS:
        raise UsageError(f"push.default = {value} is none of: {', '.join(_DEFAULTS)}")
    return "upstream" if value == "tracking" else value


def require_upstream(config: Config, branch: str) -> str:
    """The ref that `BRANCH@{upstream}` stands for. Raises NotFound in Git's words."""
    found = upstream(config, branch)
    name = branch.removeprefix(HEADS)
    if found is None:
        raise NotFound(f"no upstream configured for branch '{name}'", hint=f"mvc branch -u REMOTE/BRANCH {name}")
    if found.tracking is None:
        raise NotFound(f"upstream branch '{found.merge}' not stored as a remote-tracking branch")
    return found.tracking


def require_push(config: Config, branch: str) -> str:
    """The ref that `BRANCH@{push}` stands for: where what a plain push moves is seen here. Raises NotFound."""
    remote = push_remote(config, branch)
    specs = push_refspecs(config, remote)
    way = push_default(config)
    if specs:
        target = next((spec.maps(branch) or branch for spec in specs if spec.covers(branch)), None)
        if target is None:
            raise NotFound(f"push refspecs for '{remote}' do not include '{branch.removeprefix(HEADS)}'")
        return _seen(config, remote, target)
    if way == "nothing":
        raise NotFound("push has no destination (push.default is 'nothing')")
    if way == "upstream":
        return require_upstream(config, branch)
    seen = _seen(config, remote, branch)
    if way == "simple" and seen != require_upstream(config, branch):
        raise NotFound("cannot resolve 'simple' push to a single destination")
    return seen


def _seen(config: Config, remote: str, ref: str) -> str:
    found = seen_as(config, remote, ref)
    if found is None:
        raise NotFound(f"push destination '{ref}' on remote '{remote}' has no local tracking branch")
    return found


def _is_url(key: str) -> bool:
    return key.startswith("remote.") and key.endswith(".url") and len(key) > len("remote..url")
