"""`mvc serve token`: parse, call `mvc.hub.tokens`, render."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import click

from mvc.cli.command import json_flag, noun, yes_flag
from mvc.cli.session import Session
from mvc.cli.tables import table
from mvc.cli.text import printable
from mvc.errors import NotFound, UsageError
from mvc.lazy import load

if TYPE_CHECKING:
    from mvc.hub.tokens import Token, Tokens

LATE = {
    "open": "mvc.hub.tokens:open_tokens",
    "grant": "mvc.hub.grants:Grant",
    "right": "mvc.hub.messages:Right",
    "local": "mvc.backends.open:is_local",
}

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_AGE = re.compile(r"([1-9][0-9]{0,5})([mhdwy])")
_RIGHTS = ("read", "append", "write", "admin")
_PLACE = click.argument("place", metavar="FOLDER|URL")


@noun()
def token(session: Session) -> None:
    """Who may do what on a server: tokens, kept beside its repositories."""


@token.verb
@_PLACE
@click.argument("name")
@click.option("--read", "read", metavar="PATTERN", multiple=True, help="May read these repositories.")
@click.option("--append", "append", metavar="PATTERN", multiple=True, help="May add, neither rewrite nor delete.")
@click.option("--write", "write", metavar="PATTERN", multiple=True, help="May rewrite and delete, too.")
@click.option("--admin", "admin", metavar="PATTERN", multiple=True, help="May clean up, too.")
@click.option("--expires", metavar="TIME", help="Ends after 90d, 12h, 1y ...; without it, never.")
@json_flag
def create(session: Session, place: str, name: str, expires: str | None, as_json: bool, **rights: Any) -> None:
    """Make a token, and print it: it cannot be shown again.

    PATTERN is a repository's name, in which * stands for any letters but a slash, ** for any: 'team/*'.
    """
    kind, right = load(LATE["grant"]), load(LATE["right"])
    grants = [kind(right[one.upper()], pattern) for one in _RIGHTS for pattern in rights[one]]
    until = None if expires is None else int(time.time()) + _seconds(expires)
    made, text = _tokens(session, place).create(name, grants, expires=until)
    if as_json:
        session.emit_json("token", {**_json(made), "token": text})
    else:
        session.emit_text(text)


@token.verb
@_PLACE
@json_flag
def list_(session: Session, place: str, as_json: bool) -> None:
    """All tokens, without their secrets."""
    found = _tokens(session, place).every()
    if as_json:
        session.emit_json("tokens", {"tokens": [_json(one) for one in found]})
    else:
        session.emit_text("\n".join(table([_row(one) for one in found])), end="\n" if found else "")


@token.verb
@_PLACE
@click.argument("which", metavar="ID|NAME")
@yes_flag
def revoke(session: Session, place: str, which: str, yes: bool) -> None:
    """End a token. Servers know within ten seconds."""
    tokens = _tokens(session, place)
    found = [one for one in tokens.every() if which in (one.id, one.name)]
    if not found:
        raise NotFound(f"there is no token '{printable(which)}'", hint=f"mvc serve token list {place}")
    if len(found) > 1:
        ids = ", ".join(one.id for one in found)
        raise UsageError(f"several tokens have that name: {ids}", hint="say which by its id")
    session.confirm(f"Revoke the token {found[0].id} ({printable(found[0].name)})?", yes=yes)
    tokens.revoke(found[0].id)


def _tokens(session: Session, place: str) -> Tokens:
    if load(LATE["local"])(place) and "://" not in place:
        place = str(session.cwd / place)
    opened: Tokens = load(LATE["open"])(place, session.environment)
    return opened


def _seconds(age: str) -> int:
    found = _AGE.fullmatch(age)
    if found is None:
        raise UsageError(f"not a time: '{printable(age)}'", hint="a number and m, h, d, w or y, as in 90d")
    return int(found[1]) * _UNITS[found[2]]


def _row(one: Token) -> tuple[str, ...]:
    grants = " ".join(f"{grant.right.name.lower()}:{grant.pattern}" for grant in one.grants)
    return one.id, printable(one.name), _day(one.created), _ends(one), grants


def _ends(one: Token) -> str:
    if one.expires is None:
        return "never ends"
    return f"{'ends' if one.live(time.time()) else 'ended'} {_day(one.expires)}"


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _json(one: Token) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "grants": [{"right": grant.right.name.lower(), "pattern": grant.pattern} for grant in one.grants],
        "created": one.created,
        "expires": one.expires,
    }
