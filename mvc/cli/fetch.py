"""`mvc fetch`: parse, call `mvc.ops.fetch`, render."""

from __future__ import annotations

import click

from mvc.cli.command import complete, dry_run_flag, json_flag, quiet_flag, verb
from mvc.cli.fetched_text import fetch_json, tell_fetch
from mvc.cli.outside import outside, transfer_flags
from mvc.cli.session import Session
from mvc.errors import NotFastForward, UsageError
from mvc.ops.fetch import FetchOptions, fetch, fetch_all
from mvc.repo.selection import split_patterns
from mvc.sync.fetch import Tags


@verb
@click.argument("remote", required=False, shell_complete=complete("remotes"))
@click.argument("refspecs", nargs=-1, metavar="[REFSPEC]...", shell_complete=complete("remote_branches"))
@click.option("-p", "--prune/--no-prune", default=None, help="Delete remote-tracking branches that are gone there.")
@click.option("-t", "--tags", "tags", flag_value="all", help="All tags, too; else those whose commits come.")
@click.option("--no-tags", "tags", flag_value="none", help="No tags.")
@click.option("-a", "--all", "every", is_flag=True, help="From every remote.")
@click.option("-f", "--force", is_flag=True, help="Move local branches that REFSPEC names backwards, too.")
@click.option("-v", "--verbose", is_flag=True, help="Tell of refs that are up to date, too.")
@click.option(
    "--depth", type=int, metavar="N", help="So many commits of each ref; the history ends there from then on."
)
@click.option("--unshallow", is_flag=True, help="All the history behind where it ends now.")
@click.option(
    "-I",
    "--include",
    multiple=True,
    metavar="PATTERN",
    help="Also the bytes of tensors, or files, whose name matches: 'encoder.*'.",
)
@transfer_flags
@dry_run_flag
@json_flag
@quiet_flag
def command(
    session: Session,
    remote: str | None,
    refspecs: tuple[str, ...],
    prune: bool | None,
    tags: str | None,
    every: bool,
    force: bool,
    verbose: bool,
    depth: int | None,
    unshallow: bool,
    include: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring history from a remote.

    Commits, trees, small files and the lists of what models hold come; the bytes of models come when they are checked
    out or read. Remote-tracking branches (origin/main) move, your own do not: `mvc merge` or `mvc pull` does that.
    """
    repo, caller = session.repo(), session.caller(commits=False)
    which: Tags = tags or "follow"  # type: ignore[assignment]  # one of three flags
    options = FetchOptions(prune, which, force, dry_run, depth, unshallow, split_patterns(include))
    if every:
        if remote is not None:
            raise UsageError("--all takes no remote and no refspecs")
        found = fetch_all(repo, options, outside=outside(session), caller=caller)
    else:
        found = (fetch(repo, remote, refspecs, options, outside=outside(session), caller=caller),)
    if as_json:
        session.emit_json("fetch", {"dry_run": dry_run, "remotes": [fetch_json(one) for one in found]})
        rejected = any(ref.status == "rejected" for one in found for ref in one.result.refs)
    else:
        rejected = any([tell_fetch(session, one, verbose=verbose or session.verbose > 0) for one in found])
    if rejected:
        raise NotFastForward("some local refs could not be updated", hint="mvc fetch --force moves them anyway")
