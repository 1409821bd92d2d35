"""`mvc push`: parse, call `mvc.ops.push`, render."""

from __future__ import annotations

import click

from mvc.cli.command import Attached, complete, dry_run_flag, json_flag, quiet_flag, verb
from mvc.cli.outside import outside, transfer_flags
from mvc.cli.pushed_text import push_json, rejection, tell_push
from mvc.cli.ref_table import kind_of
from mvc.cli.session import Session
from mvc.cli.text import printable, printable_path
from mvc.cli.tracking_text import followed_line
from mvc.errors import UsageError
from mvc.objects.refnames import short
from mvc.ops.push import Pushed, push
from mvc.ops.push_plan import Lease, PushOptions

_EVERY = "\0"


@verb
@click.argument("remote", required=False, shell_complete=complete("remotes"))
@click.argument("refspecs", nargs=-1, metavar="[REFSPEC]...", shell_complete=complete("pushed"))
@click.option("-u", "--set-upstream", is_flag=True, help="The branches follow what they are pushed to.")
@click.option("-a", "--all", "every", is_flag=True, help="All branches.")
@click.option("--tags", is_flag=True, help="All tags, too.")
@click.option("--aliases/--no-aliases", default=None, help="Aliases and reviews, too: so by default, or not.")
@click.option("-d", "--delete", is_flag=True, help="Delete the refs REFSPEC there.")
@click.option("-f", "--force", is_flag=True, help="Move branches backwards, too; what they alone had there is lost.")
@click.option(
    "--force-with-lease",
    "leases",
    cls=Attached,
    is_flag=False,
    flag_value=_EVERY,
    multiple=True,
    metavar="[=REF[:EXPECTED]]",
    help="The same, but only where the ref is as it was seen last, or at EXPECTED.",
)
@click.option("--atomic", is_flag=True, help="All refs, or none.")
@transfer_flags
@click.option("-v", "--verbose", is_flag=True, help="Tell of refs that are up to date, too.")
@dry_run_flag
@json_flag
@quiet_flag
def command(
    session: Session,
    remote: str | None,
    refspecs: tuple[str, ...],
    set_upstream: bool,
    every: bool,
    tags: bool,
    aliases: bool | None,
    delete: bool,
    force: bool,
    leases: tuple[str, ...],
    atomic: bool,
    verbose: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring commits and models to a remote.

    REMOTE is a name or a URL, else the one that the branch follows. REFSPEC is [+]SOURCE[:TARGET]; without one the
    present branch goes, as push.default says. Only chunks that the remote lacks move, as they are stored.
    """
    options = PushOptions(
        force=force,
        leases=tuple(map(_lease, leases)),
        all=every,
        tags=tags,
        aliases=aliases,
        delete=delete,
        atomic=atomic,
        dry_run=dry_run,
        set_upstream=set_upstream,
        jobs=session.jobs,
    )
    if delete and remote is None:
        raise UsageError("--delete wants a remote and names of refs", hint="mvc push REMOTE --delete BRANCH")
    caller = session.caller(commits=False)
    done = push(session.repo(), remote, refspecs, options, outside=outside(session), caller=caller)
    if as_json:
        session.emit_json("push", push_json(done, dry_run=dry_run))
    else:
        tell_push(session, done, dry_run=dry_run, verbose=verbose or session.verbose > 0)
        _tell_followed(session, done, dry_run)
        for ref in done.stay:
            why = "its commit is in no branch that is pushed"
            session.note(f"{kind_of(ref)} {printable_path(short(ref))} stays here: {why} (mvc push REMOTE {ref})")
    if done.result is not None and done.result.rejected:
        raise rejection(done)


def _lease(text: str) -> Lease:
    if text == _EVERY:
        return Lease()
    ref, colon, expect = text.partition(":")
    return Lease(ref, expect if colon else None)


def _tell_followed(session: Session, done: Pushed, dry_run: bool) -> None:
    for one in () if session.quiet else done.followed:
        if dry_run:
            there = f"'{printable_path(one.there)}' of '{printable(one.remote)}'"
            session.emit_text(f"Would set upstream of '{printable_path(one.branch)}' to {there}")
        else:
            session.emit_text(followed_line(one))
