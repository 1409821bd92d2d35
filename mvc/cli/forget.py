"""`mvc forget`: parse, call `mvc.ops.forget`, render."""

from __future__ import annotations

import re

import click

from mvc.cli.command import Attached, dry_run_flag, json_flag, quiet_flag, verb, yes_flag
from mvc.cli.outside import outside, transfer_flags
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.tables import table
from mvc.errors import UsageError
from mvc.ops.forget import Best, Forgotten, Rules, forget, forget_there

_AGE = re.compile(r"(\d+(?:\.\d+)?)(h|d|w)\Z", re.ASCII)
_SECONDS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_BEST = re.compile(r"(?P<metric>.+?)(?::(?P<way>min|max))?(?::(?P<most>[1-9]\d{0,8}))?\Z", re.ASCII | re.DOTALL)


@verb
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--keep-last", type=click.IntRange(1), metavar="N", help="Keep the N last.")
@click.option("--keep-every", type=click.IntRange(1), metavar="N", help="Keep steps that are multiples of N.")
@click.option(
    "--keep-best", multiple=True, metavar="METRIC[:min|max][:N]", help="Keep the N best by a metric, or the best."
)
@click.option("--keep-for", default="", metavar="AGE", help="Keep what is younger: 12h, 30d, 8w.")
@click.option("--all", "every", is_flag=True, help="Keep nothing: the run itself goes, too, with its log.")
@click.option(
    "--remote",
    cls=Attached,
    is_flag=False,
    flag_value="",
    metavar="NAME|URL",
    help="In a remote, too: --remote=NAME; without a name, that which HEAD's branch follows.",
)
@click.option("--not-here", is_flag=True, help="In the remote alone.")
@transfer_flags
@dry_run_flag
@yes_flag
@quiet_flag
@json_flag
def command(
    session: Session,
    runs: tuple[str, ...],
    keep_last: int | None,
    keep_every: int | None,
    keep_best: tuple[str, ...],
    keep_for: str,
    every: bool,
    remote: str | None,
    not_here: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int | None:
    """Drop checkpoints of runs, but for those that a rule keeps.

    RUN is a name, or a glob. What a branch, tag, alias or another ref holds stays. `mvc gc` then frees the bytes, and
    in a remote `mvc remote gc`.
    """
    rules = Rules(keep_last or 0, keep_every or 0, tuple(map(_best, keep_best)), _age(keep_for), every)
    if not_here and remote is None:
        raise UsageError("--not-here without --remote: there is nothing to do")
    if not dry_run and not yes:
        planned = _run(session, runs, rules, not not_here, remote, dry_run=True)
        going = sum(len(place.dropped) for place in planned)
        if going or every:
            _list(session, planned, rules)
            session.confirm(f"Drop {counted(going, 'checkpoint')}?", yes=False)
    done = _run(session, runs, rules, not not_here, remote, dry_run=dry_run)
    if as_json:
        session.emit_json("forget", {"dry_run": dry_run, "places": [_document(place) for place in done]})
    else:
        if dry_run or (yes and session.verbose):
            _list(session, done, rules)
        for place in done:
            session.note(_summary(place, dry_run))
    return 1 if any(one.status for place in done for one in place.checkpoints) else None


def _run(
    session: Session, runs: tuple[str, ...], rules: Rules, here: bool, remote: str | None, *, dry_run: bool
) -> list[Forgotten]:
    caller, repo = session.caller(commits=False), session.repo()
    done = []
    # The remote first: what is dropped there can be pushed again from here, if that should fail.
    if remote is not None:
        where = outside(session)
        done.append(forget_there(repo, remote or None, runs, rules, dry_run=dry_run, outside=where, caller=caller))
    if here:
        done.append(forget(repo, runs, rules, dry_run=dry_run, caller=caller))
    return done


def _best(text: str) -> Best:
    found = _BEST.match(text)
    if found is None:
        raise UsageError("--keep-best wants a metric", hint="--keep-best val_loss:min")
    return Best(found["metric"], found["way"], int(found["most"] or 1))


def _age(text: str) -> float:
    found = _AGE.match(text)
    if text and found is None:
        raise UsageError(f"'{text}' is no age", hint="--keep-for 12h, 30d or 8w")
    return float(found[1]) * _SECONDS[found[2]] if found else 0.0


def _list(session: Session, places: list[Forgotten], rules: Rules) -> None:
    for place in places:
        rows = []
        for one in place.checkpoints:
            why = ", ".join(one.reasons) or one.status
            size = human_bytes(one.size) if why else human_bytes(one.frees)
            rows.append(("keep" if why else "drop", one.run, str(one.step), "" if why else size, why))
        if place.url:
            session.emit_text(f"{place.url}:")
        if rows:
            session.emit_text("\n".join(table(rows, align="<<>><")))
    for best in rules.best:
        if best.way is None:
            session.note(f"of {best.metric} the {'least' if best.less else 'greatest'} counts as best (:min, :max)")


def _summary(place: Forgotten, dry_run: bool) -> str:
    where = f"{place.url}: " if place.url else ""
    text = f"{where}{'would drop' if dry_run else 'dropped'} {counted(len(place.dropped), 'checkpoint')}"
    text += f", kept {counted(len(place.kept), 'checkpoint')}"
    frees = sum(one.frees for one in place.dropped)
    if frees:
        free = "mvc remote gc" if place.url else "mvc gc"
        text += f"; {free} frees {'' if place.exact else 'up to '}{human_bytes(frees)}"
    for one in place.checkpoints:
        if one.status:
            text += f"\n{where}{one.run}/{one.step} stays: {one.status}"
    return text


def _document(place: Forgotten) -> dict[str, object]:
    return {
        "url": place.url or None,
        "exact": place.exact,
        "runs_removed": list(place.runs),
        "frees": sum(one.frees for one in place.dropped),
        "checkpoints": [
            {
                "run": one.run,
                "step": one.step,
                "commit": one.commit,
                "kept": bool(one.reasons or one.status),
                "reasons": [*one.reasons, *([one.status] if one.status else [])],
                "size": one.size,
                "frees": 0 if one.reasons else one.frees,
            }
            for one in place.checkpoints
        ],
    }
