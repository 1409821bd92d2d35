"""`mvc clone`: parse, call `mvc.ops.clone`, render."""

from __future__ import annotations

from dataclasses import replace

import click

from mvc.cli.command import json_flag, quiet_flag, verb
from mvc.cli.outside import outside, transfer_flags
from mvc.cli.pushed_text import moved_line
from mvc.cli.session import Session
from mvc.cli.sizes import human_bytes
from mvc.cli.text import printable, printable_path
from mvc.ops.clone import CloneOptions, clone, folder_of, go_on
from mvc.repo.selection import split_patterns


@verb
@click.argument("url")
@click.argument("folder", required=False)
@click.option(
    "-b", "--branch", metavar="NAME", help="Check out this branch, tag or alias; else the branch of the remote's HEAD."
)
@click.option("-n", "--no-checkout", is_flag=True, help="No files; the history alone.")
@click.option("-o", "--origin", metavar="NAME", default="origin", help="What the remote is called here. [origin]")
@click.option("--all-data", is_flag=True, help="The bytes of every version, too; else they come when they are needed.")
@click.option("--depth", type=int, metavar="N", help="So many commits of the history alone; of one branch, then.")
@click.option(
    "--single-branch/--no-single-branch",
    "single_branch",
    default=None,
    help="Only the branch that is checked out, now and later.",
)
@click.option(
    "-I",
    "--include",
    multiple=True,
    metavar="PATTERN",
    help="Of files in chunks only those that match; remembered (checkout.include).",
)
@click.option(
    "-X", "--exclude", multiple=True, metavar="PATTERN", help="None that match; remembered (checkout.exclude)."
)
@transfer_flags
@json_flag
@quiet_flag
def command(
    session: Session,
    url: str,
    folder: str | None,
    branch: str | None,
    no_checkout: bool,
    origin: str,
    all_data: bool,
    depth: int | None,
    single_branch: bool | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a copy of a remote in FOLDER.

    All history comes, and of models what is checked out; what an older version needs comes when it is checked out or
    read.
    """
    path = session.cwd / (folder or folder_of(url))
    session.note(f"Cloning into '{printable_path(str(folder or path.name))}'...")
    options = CloneOptions(origin, branch, not no_checkout, all_data, shared_store=session.shared_store)
    options = replace(options, include=split_patterns(include), exclude=split_patterns(exclude))
    options = replace(options, depth=depth, single_branch=single_branch)
    caller = session.caller(commits=False)
    configs = session.global_configs
    try:
        done = clone(url, path, options, outside=outside(session), caller=caller, global_configs=configs)
    except KeyboardInterrupt:
        if (path / ".mvc").is_dir():
            session.note(f"\n{go_on(path)}")
        raise
    if as_json:
        document = {
            "path": str(path),
            "url": done.url,
            "branch": done.branch,
            "commit": done.commit.id if done.commit else None,
            "bytes_of_history": done.history,
            "bytes_of_chunks": done.chunks,
            "bytes_of_model": done.size,
        }
        session.emit_json("clone", document)
        return
    if done.commit is None:
        session.warn("You appear to have cloned an empty repository.")
        return
    if done.branch is None:
        session.note(f"HEAD is now at {done.commit.id[:7]} {printable(done.commit.summary)}, on no branch")
    moved = done.history + done.chunks
    session.note(moved_line(moved, done.size) if done.size else f"moved {human_bytes(moved)} of history")
