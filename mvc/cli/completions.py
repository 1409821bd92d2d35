"""What the shell offers behind the Tab key: files, revisions, branches, tags. Quiet about any trouble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from mvc.cli.session import Session
from mvc.errors import MvcError


def complete_revisions(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Branches, tags, remote branches and HEAD; behind "A.." the other end."""
    before, dots, ending = incomplete.rpartition("..")
    names = ["HEAD", *_names(ctx, "refs/heads/", "refs/tags/", "refs/remotes/")]
    return [CompletionItem(before + dots + name) for name in names if name.startswith(ending)]


def complete_branches(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The names of branches."""
    return [CompletionItem(name) for name in _names(ctx, "refs/heads/") if name.startswith(incomplete)]


def complete_tags(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The names of tags."""
    return [CompletionItem(name) for name in _names(ctx, "refs/tags/") if name.startswith(incomplete)]


def complete_files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Files: the shell finds them by itself."""
    return [CompletionItem(incomplete, type="file")]


def complete_either(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Revisions; files where none fits."""
    return complete_revisions(ctx, param, incomplete) or complete_files(ctx, param, incomplete)


def _names(ctx: click.Context, *prefixes: str) -> list[str]:
    session: Session = ctx.find_root().obj
    # Completion parses the line without running the program, so that -C has not been followed.
    folders: Any = ctx.find_root().params.get("folder") or ()
    for part in folders:
        session.cwd = session.cwd / Path(part)
    try:
        refs = session.repo().refs
        return [ref.removeprefix(prefix) for prefix in prefixes for ref in refs.list(prefix)]
    except (MvcError, OSError):
        return []
