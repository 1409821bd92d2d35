"""`mvc approve` and `mvc reject`: one declaration for both."""

from __future__ import annotations

from mvc.cli.dates import iso_date
from mvc.cli.names import short_id
from mvc.cli.session import Session
from mvc.cli.text import printable_path
from mvc.objects.reviews import Review, Verdict
from mvc.ops.review import review


def record(session: Session, revision: str, verdict: Verdict, alias: str | None, why: str, as_json: bool) -> None:
    """Record a verdict, and say so."""
    made = review(session.repo(), revision, verdict, session.caller(), alias=alias, why=why)
    if as_json:
        session.emit_json("review", review_json(made))
        return
    done = {"approve": "approved", "reject": "rejected"}[verdict]
    session.note(f"{short_id(session, made.target)} {done} for {printable_path(made.alias)}; mvc push tells others")


def review_json(one: Review) -> dict[str, object]:
    """The fields of a review."""
    return {
        "id": one.id,
        "alias": one.alias,
        "verdict": one.verdict,
        "target": one.target,
        "who": {"name": one.who.name, "email": one.who.email, "date": iso_date(one.who)},
        "why": one.why or None,
    }
