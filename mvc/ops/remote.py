"""`mvc remote`: the remotes that `.mvc/config` names, in Git's keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from mvc.backends.open import check_kept
from mvc.errors import NotFound, Refused, UsageError
from mvc.lazy import load
from mvc.objects.config import Config, ConfigFile
from mvc.objects.refs import LOCK_WAIT, RefChange
from mvc.objects.upstream import fetch_refspecs
from mvc.ops.caller import Caller
from mvc.repo.repository import Repository
from mvc.sync import remotes
from mvc.sync.remotes import RemoteConfig
from mvc.sync.stepped import seen_folder

KEEPING = {"own": "mvc.ops.gc:keep_own"}
"""Loaded where there is a shared store."""

_BRANCH_KEYS = ("remote", "pushremote")


@dataclass(frozen=True, slots=True)
class RemoteUrls:
    """A remote, where it is fetched from, and where pushed to."""

    name: str
    fetch: str
    push: str


def list_remotes(repo: Repository) -> tuple[RemoteUrls, ...]:
    """All remotes, by name."""
    return tuple(_urls(one) for one in remotes.configured(repo.config))


def get_urls(repo: Repository, name: str) -> RemoteUrls:
    """One remote. Raises NotFound."""
    return _urls(require(repo.config, name))


def require(config: Config, name: str) -> RemoteConfig:
    """The remote of that name. Raises NotFound."""
    found = next((one for one in remotes.configured(config) if one.name == name), None)
    if found is None:
        raise NotFound(f"No such remote: '{name}'", hint="mvc remote -v")
    return found


def add_remote(repo: Repository, name: str, url: str, *, branches: Sequence[str] = ()) -> RemoteConfig:
    """Name a remote. `branches`: only these are fetched. Nothing is asked of it.

    Raises Refused if there is one of that name, UsageError for a name that Git forbids, or a URL with a password.
    """
    repo.require_writable()
    remotes.check_remote_name(name)
    check_url(url)
    if _exists(repo.config, name):
        raise Refused(f"remote {name} already exists", hint=f"mvc remote set-url {name} {url}")
    specs = [f"+refs/heads/{one}:refs/remotes/{name}/{one}" for one in branches] or [str(remotes.default_fetch(name))]

    def change(file: ConfigFile) -> None:
        file.set(f"remote.{name}.url", url)
        for spec in specs:
            file.add(f"remote.{name}.fetch", spec)

    _edit(repo, change)
    return remotes.remote_config(Config(repo.common_dir / "config"), name)


def rename_remote(repo: Repository, old: str, new: str, caller: Caller) -> tuple[str, ...]:
    """Give a remote another name: its settings, its refs with their logs, and the branches that follow it.

    Returns fetch refspecs that were left, since they do not map to `refs/remotes/OLD/`. Raises NotFound, Refused.
    """
    repo.require_writable()
    require(repo.config, old)
    remotes.check_remote_name(new)
    if old == new:
        return ()
    if _exists(repo.config, new):
        raise Refused(f"remote {new} already exists")
    left: list[str] = []
    before, after = f":refs/remotes/{old}/", f":refs/remotes/{new}/"

    def change(file: ConfigFile) -> None:
        specs = file.get_all(f"remote.{old}.fetch")
        file.rename_section(f"remote.{old}", f"remote.{new}")
        file.unset(f"remote.{new}.fetch")
        for spec in specs:
            file.add(f"remote.{new}.fetch", spec.replace(before, after))
            if before not in spec:
                left.append(spec)
        _point(file, old, new)

    # The refs first: killed in between, it is repeated.
    _rename_refs(repo, f"refs/remotes/{old}/", f"refs/remotes/{new}/", caller)
    _rename_refs(repo, seen_folder(old), seen_folder(new), caller)
    remotes.rename(repo, old, new)
    _edit(repo, change)
    return tuple(left)


def remove_remote(repo: Repository, name: str, caller: Caller) -> tuple[str, ...]:
    """Forget a remote: its settings, its remote-tracking branches (returned), what is remembered of it.

    Nothing is deleted there. Branches that followed it follow none. Raises NotFound.
    """
    repo.require_writable()
    require(repo.config, name)
    specs = fetch_refspecs(repo.config, name)
    gone = [ref for ref in repo.refs.list("refs/") if any(spec.unmaps(ref) is not None for spec in specs)]
    head = f"refs/remotes/{name}/HEAD"
    seen = repo.refs.list(seen_folder(name))
    delete_refs(repo, [*gone, *([] if head in gone else [head]), *seen], "remote: remove", caller)

    def change(file: ConfigFile) -> None:
        file.remove_section(f"remote.{name}")
        _point(file, name, None)

    _edit(repo, change)
    remotes.forget(repo, name)
    if repo.settings.shared.path:
        load(KEEPING["own"])(repo, caller)  # what only that remote held must not be left to the shared store
    return tuple(ref for ref in gone if ref != head)


def set_url(repo: Repository, name: str, url: str, *, push: bool = False) -> None:
    """Put `url` in the place of what was; with `push` only for pushing. Raises NotFound, Refused for a password."""
    repo.require_writable()
    require(repo.config, name)
    check_url(url)
    key = f"remote.{name}.{'pushurl' if push else 'url'}"

    def change(file: ConfigFile) -> None:
        file.unset(key)
        file.add(key, url)

    _edit(repo, change)


def check_url(url: str) -> str:
    """`url`, unless it holds a password, a token or a key: those would lie open in the config. Raises UsageError,
    Refused."""
    if not url.strip() or any(char < " " or char == "\x7f" for char in url):
        raise UsageError("a URL is text without control characters")
    try:
        secret = urlsplit(url).password if "://" in url else None
    except ValueError as error:
        raise UsageError(f"'{url}' is no URL") from error
    if secret is not None:
        raise Refused(
            "the URL holds a password, which would lie open in the config",
            hint="leave it out: credentials come from the environment, profile files, netrc or the ssh agent",
        )
    check_kept(url)
    return url


def delete_refs(repo: Repository, refs: Sequence[str], message: str, caller: Caller) -> None:
    """Delete refs, whatever they hold; a symbolic one itself, not what it points to."""
    changes = []
    for ref in refs:
        if repo.refs.symbolic(ref) is not None:
            repo.refs.set_symbolic(ref, None, wait=max(caller.wait, LOCK_WAIT))
        elif (standing := repo.refs.read(ref)) is not None:
            changes.append(RefChange(ref, standing, None))
    wait = max(caller.wait, LOCK_WAIT)
    repo.refs.update(changes, message=message, author=caller.who, head_follows=False, wait=wait)


def _rename_refs(repo: Repository, old: str, new: str, caller: Caller) -> None:
    wait = max(caller.wait, LOCK_WAIT)
    for ref in repo.refs.list(old):
        renamed = new + ref.removeprefix(old)
        target = repo.refs.symbolic(ref)
        if target is not None:
            delete_refs(repo, [ref], "remote: renamed", caller)
            repo.refs.set_symbolic(renamed, target.replace(old, new, 1), wait=wait)
        else:
            message = f"remote: renamed {ref} to {renamed}"
            repo.refs.rename(ref, renamed, message=message, author=caller.who, force=True, wait=wait)


def _point(file: ConfigFile, old: str, new: str | None) -> None:
    """What names the remote `old` names `new`; None: the branches follow none."""
    for key, value in file.items():
        section, _, last = key.rpartition(".")
        is_branch = section.startswith("branch.") and last in _BRANCH_KEYS
        if value != old or not (is_branch or key == "remote.pushdefault"):
            continue
        if new is not None:
            file.set(key, new)
            continue
        file.unset(key)
        if last == "remote":
            file.unset(f"{section}.merge")


def _urls(one: RemoteConfig) -> RemoteUrls:
    return RemoteUrls(one.name, one.url, one.push_url)


def _exists(config: Config, name: str) -> bool:
    return any(one.name == name for one in remotes.configured(config))


def _edit(repo: Repository, edit: Callable[[ConfigFile], object]) -> None:
    file = ConfigFile(repo.common_dir / "config")
    edit(file)
    file.save()
