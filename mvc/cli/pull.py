"""`mvc pull`: parse, call `mvc.ops.fetch` and `mvc.ops.pull`, render."""

from __future__ import annotations

import click

from mvc.cli.command import complete, json_flag, quiet_flag, verb
from mvc.cli.fetched_text import fetch_json, tell_fetch
from mvc.cli.merged_text import merge_json, merge_lines
from mvc.cli.outside import outside, transfer_flags
from mvc.cli.pushed_text import moved_line
from mvc.cli.rebased_text import rebase_json, tell_rebase
from mvc.cli.session import Session
from mvc.ops.fetch import FetchOptions, fetch
from mvc.ops.pull import Join, Pulled, PullOptions, check_pull, pull


@verb
@click.argument("remote", required=False, shell_complete=complete("remotes"))
@click.argument("refspecs", nargs=-1, metavar="[REFSPEC]...", shell_complete=complete("remote_branches"))
@click.option("--ff-only", "join", flag_value="ff-only", help="Only move the branch forward; refuse all else.")
@click.option("-r", "--rebase", "join", flag_value="rebase", help="Put your commits on top of what came.")
@click.option("--no-rebase", "join", flag_value="merge", help="Merge what came.")
@click.option("--no-ff", is_flag=True, help="Make a merge commit in any case.")
@click.option("-p", "--prune/--no-prune", default=None, help="Delete remote-tracking branches that are gone there.")
@click.option("-t", "--tags", "tags", flag_value="all", help="All tags, too; else those whose commits come.")
@click.option("--no-tags", "tags", flag_value="none", help="No tags.")
@click.option("--no-store", is_flag=True, help="The bytes go into the files alone, and are not kept in the store, too.")
@transfer_flags
@json_flag
@quiet_flag
def command(
    session: Session,
    remote: str | None,
    refspecs: tuple[str, ...],
    join: str | None,
    no_ff: bool,
    prune: bool | None,
    tags: str | None,
    no_store: bool,
    as_json: bool,
) -> int | None:
    """Fetch from a remote, then merge or rebase.

    What the present branch follows is joined into it. Where both sides have commits of their own, say how: --rebase,
    --no-rebase or --ff-only, once, or for good by pull.rebase and pull.ff.
    """
    repo = session.repo()
    check_pull(repo, remote, refspecs)
    caller = session.caller(commits=join != "ff-only")
    options = FetchOptions(prune, tags or "follow")  # type: ignore[arg-type]  # one of three flags
    beyond = outside(session)
    fetched = fetch(repo, remote, refspecs, options, outside=beyond, caller=caller)
    if not as_json:
        tell_fetch(session, fetched, moved=False)
    how = PullOptions(Join(join) if join else None, no_ff, not no_store)
    pulled = pull(repo, fetched, how, outside=beyond, caller=caller)
    if as_json:
        session.emit_json("pull", {"fetch": fetch_json(fetched), **_document(pulled)})
    elif pulled.rebased is not None:
        tell_rebase(session, pulled.rebased)
    elif pulled.merged is not None and (not session.quiet or pulled.merged.conflicts):
        session.emit_text("\n".join(merge_lines(session, pulled.merged)))
    if not as_json and (moved := fetched.result.bytes + pulled.chunks):
        session.note(moved_line(moved, pulled.size))
    stopped = pulled.rebased is not None and pulled.rebased.stopped is not None
    return 1 if stopped or (pulled.merged is not None and pulled.merged.conflicts) else None


def _document(pulled: Pulled) -> dict[str, object]:
    return {
        "merge": merge_json(pulled.merged) if pulled.merged else None,
        "rebase": rebase_json(pulled.rebased) if pulled.rebased else None,
        "bytes_of_chunks": pulled.chunks,
        "bytes_of_model": pulled.size,
    }
