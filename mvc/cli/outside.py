"""What verbs that reach a remote need of a session."""

from __future__ import annotations

from mvc.cli.session import Session
from mvc.ops.connect import Outside


def outside(session: Session) -> Outside:
    """The environment, for credentials, and the current folder."""
    return Outside(session.environment, session.cwd)
