"""What the shell offers behind the Tab key: files, revisions, their paths, branches, tags. Quiet about any trouble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from mvc.cli.session import Session
from mvc.errors import MvcError
from mvc.objects.model import METADATA_DIR, TREE, TreeEntry, TreeItem, is_tree
from mvc.objects.reader import ObjectReader
from mvc.objects.revparse import resolve_tree
from mvc.objects.trees import entry_at
from mvc.objects.upstream import remote_names


def complete_revisions(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Branches, tags, aliases, remote branches and HEAD; behind "A.." the other end; behind "REV:" the paths there."""
    if ":" in incomplete:
        return [CompletionItem(path) for path in _paths(ctx, incomplete)]
    before, dots, ending = incomplete.rpartition("..")
    names = ["HEAD", *_names(ctx, "refs/heads/", "refs/tags/", "refs/aliases/", "refs/remotes/")]
    return [CompletionItem(before + dots + name) for name in names if name.startswith(ending)]


def complete_branches(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The names of branches."""
    return [CompletionItem(name) for name in _names(ctx, "refs/heads/") if name.startswith(incomplete)]


def complete_tags(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The names of tags."""
    return [CompletionItem(name) for name in _names(ctx, "refs/tags/") if name.startswith(incomplete)]


def complete_aliases(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The names of aliases."""
    return [CompletionItem(name) for name in _names(ctx, "refs/aliases/") if name.startswith(incomplete)]


def complete_runs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The names of runs."""
    names = {name.rpartition("/")[0] for name in _names(ctx, "refs/runs/")}
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def complete_remotes(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The names of remotes."""
    try:
        names = remote_names(_session(ctx).repo().config)
    except (MvcError, OSError):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_remote_branches(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The branches of the remote that stands before, as they were seen last."""
    remote = ctx.params.get("remote") or ""
    sign = "+" if incomplete.startswith("+") else ""
    return [
        CompletionItem(sign + name)
        for name in _names(ctx, f"refs/remotes/{remote}/")
        if name != "HEAD" and name.startswith(incomplete.removeprefix("+"))
    ]


def complete_pushed(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Branches and tags here."""
    sign = "+" if incomplete.startswith("+") else ""
    names = _names(ctx, "refs/heads/", "refs/tags/")
    return [CompletionItem(sign + name) for name in names if name.startswith(incomplete.removeprefix("+"))]


def complete_files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Files: the shell finds them by itself."""
    return [CompletionItem(incomplete, type="file")]


def complete_either(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Revisions; files where none fits."""
    return complete_revisions(ctx, param, incomplete) or complete_files(ctx, param, incomplete)


def _session(ctx: click.Context) -> Session:
    session: Session = ctx.find_root().obj
    # Completion parses the line without running the program, so that -C has not been followed.
    folders: Any = ctx.find_root().params.get("folder") or ()
    for part in folders:
        session.cwd = session.cwd / Path(part)
    return session


def _paths(ctx: click.Context, incomplete: str) -> list[str]:
    """What `REV:PATH` may go on with. A folder that is the only choice is entered: the shell would end the word."""
    revision, _, path = incomplete.partition(":")
    folder, slash, start = path.rpartition("/")
    prefix = f"{revision}:{folder}{slash}"
    try:
        repo = _session(ctx).repo()
        root = resolve_tree(repo.objects, repo.refs, revision)
        item = entry_at(repo.objects, root, folder) if folder else TreeItem(TREE, root)
        while item is not None and is_tree(item.mode):
            found = [entry for entry in _entries(repo.objects, item.id) if entry.name.startswith(start)]
            if len(found) != 1 or not is_tree(found[0].mode):
                return [f"{prefix}{entry.name}{'/' if is_tree(entry.mode) else ''}" for entry in found]
            item, start, prefix = TreeItem(TREE, found[0].id), "", f"{prefix}{found[0].name}/"
    except (MvcError, OSError):
        pass
    return []


def _entries(objects: ObjectReader, tree: str) -> list[TreeEntry]:
    """Of a folder; not what the shell could not take, nor the params and metrics that mvc keeps in the tree."""
    return [entry for entry in objects.tree(tree) if entry.name.isprintable() and entry.name != METADATA_DIR]


def _names(ctx: click.Context, *prefixes: str) -> list[str]:
    try:
        refs = _session(ctx).repo().refs
        names = [ref.removeprefix(prefix) for prefix in prefixes for ref in refs.list(prefix)]
        return [name for name in names if name.isprintable()]  # a surrogate escape is not
    except (MvcError, OSError):
        return []
