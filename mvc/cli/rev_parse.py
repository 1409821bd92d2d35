"""`mvc rev-parse`: parse, call `mvc.ops.rev_parse`, render."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from mvc.cli.command import Attached, json_flag, verb
from mvc.cli.session import Session
from mvc.errors import NotARepository, NotFound, UsageError
from mvc.ops.rev_parse import ref_names, rev_parse

_SHORTEST = 4


@verb
@click.argument("revisions", nargs=-1, metavar="[REVISION]...")
@click.option(
    "--short",
    cls=Attached,
    is_flag=False,
    flag_value=7,
    type=int,
    metavar="[=DIGITS]",
    help="The shortest id that is unique, of so many digits or more.",
)
@click.option("--verify", is_flag=True, help="Exactly one revision, which must exist.")
@click.option("-q", "--quiet", is_flag=True, help="With --verify: say nothing, but exit with 1.")
@click.option("--abbrev-ref", is_flag=True, help="The short name of the branch or tag.")
@click.option("--symbolic-full-name", is_flag=True, help="The full name of the branch or tag.")
@click.option("--show-toplevel", is_flag=True, help="The top folder of the worktree.")
@click.option("--show-prefix", is_flag=True, help="This folder, seen from the top of the worktree.")
@click.option("--git-dir", "--mvc-dir", "git_dir", is_flag=True, help="The .mvc folder of this worktree.")
@click.option("--is-inside-work-tree", is_flag=True, help="true or false.")
@json_flag
def command(
    session: Session,
    revisions: tuple[str, ...],
    short: int | None,
    verify: bool,
    quiet: bool,
    abbrev_ref: bool,
    symbolic_full_name: bool,
    show_toplevel: bool,
    show_prefix: bool,
    git_dir: bool,
    is_inside_work_tree: bool,
    as_json: bool,
) -> int | None:
    """What a revision's name stands for: its full id.

    A..B prints B and ^A, as Git does. For scripts.
    """
    asked = {"toplevel": show_toplevel, "prefix": show_prefix, "git-dir": git_dir, "inside": is_inside_work_tree}
    lines = [_place(session, name) for name, wanted in asked.items() if wanted]
    if verify and len(revisions) != 1:
        raise UsageError("--verify takes exactly one revision")
    try:
        lines += _names(session, revisions, short, abbrev_ref or symbolic_full_name, abbrev_ref)
    except NotFound:
        if verify and quiet:
            return 1
        raise
    if as_json:
        session.emit_json("rev-parse", {"lines": lines})
    else:
        session.emit_text("".join(line + "\n" for line in lines), end="")
    return None


def _names(
    session: Session, specs: Sequence[str], short: int | None, by_name: bool, abbreviated: bool
) -> Sequence[str]:
    if not specs:
        return ()
    if by_name:
        return ref_names(session.repo(), specs, short=abbreviated)
    return rev_parse(session.repo(), specs, short=None if short is None else max(short, _SHORTEST))


def _place(session: Session, name: str) -> str:
    if name == "inside":
        try:
            session.repo().locate(session.cwd)
        except (NotARepository, UsageError):
            return "false"
        return "true"
    repo = session.repo()
    if name == "git-dir":
        return os.fspath(repo.git_dir)
    if name == "toplevel":
        return os.fspath(repo.require_worktree())
    prefix = repo.locate(session.cwd)
    return f"{prefix}/" if prefix else ""
