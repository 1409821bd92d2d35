"""`mvc serve`: parse, start `mvc.hub`. What it needs is loaded when the command is known: not all of it is installed
everywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mvc.cli.command import noun, quiet_flag
from mvc.cli.serve_protect import protect
from mvc.cli.serve_token import token
from mvc.cli.session import Session
from mvc.cli.text import printable
from mvc.errors import Unsupported
from mvc.lazy import load

LATE = {
    "stdio": "mvc.hub.stdio:serve_folder",
    "serve": "mvc.hub.serving:serve",
    "listen": "mvc.hub.serving:Listen",
    "options": "mvc.hub.options:ServerOptions",
    "patience": "mvc.hub.options:Patience",
    "crowds": "mvc.hub.options:Crowds",
    "limits": "mvc.hub.limits:DEFAULT",
    "right": "mvc.hub.messages:Right",
    "tokens": "mvc.hub.tokens:open_tokens",
    "local": "mvc.backends.open:is_local",
}

RIGHTS = ("none", "read", "append", "write", "admin")
DEFAULT_PORT = 8950


@noun(default="run")
def command(session: Session) -> None:
    """Serve repositories over HTTP.

    `mvc serve FOLDER` is `mvc serve run FOLDER`.
    """


command.add_command(token, "token")
command.add_command(protect, "protect")


@command.verb
@click.argument("place", default=".", metavar="[FOLDER|URL]")
@click.option("--stdio", is_flag=True, help="One repository over standard input and output, as ssh starts it.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", help="Listen there; 0.0.0.0 is everywhere.")
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    help="Listen there; 0: one that is free.",
)
@click.option("--workers", metavar="N", type=click.IntRange(1, 64), default=1, help="So many processes.")
@click.option("--tls-cert", metavar="FILE", type=click.Path(exists=True, path_type=Path), help="Certificates, PEM.")
@click.option("--tls-key", metavar="FILE", type=click.Path(exists=True, path_type=Path), help="Their key, PKCS#8.")
@click.option(
    "--anonymous",
    metavar="RIGHT",
    type=click.Choice(RIGHTS),
    default="none",
    help="What those without a token may do: none, read ...",
)
@click.option("--access-log", metavar="FILE", default="-", help="A line a request; '-' is stdout, '' is none.")
@click.option("--cache", metavar="FOLDER", type=click.Path(path_type=Path), help="For derived data, over a URL.")
@click.option("--max-requests", metavar="N", type=click.IntRange(1), default=512, help="So many at once, a process.")
@click.option("--max-client", metavar="N", type=click.IntRange(1), default=256, help="So many at once of one client.")
@click.option("--max-pack", metavar="MB", type=click.IntRange(1), default=16384, help="A body has so many at most.")
@click.option("--stall", metavar="SECONDS", type=click.FloatRange(0.1), default=30.0, help="End a silent body.")
@click.option("--grace", metavar="SECONDS", type=click.FloatRange(1), default=60.0, help="For what runs at the end.")
@quiet_flag
def run(session: Session, place: str, stdio: bool, **given: Any) -> None:
    """Serve what lies under FOLDER, or in a store, until a signal ends it.

    FOLDER is one of repositories, which clients make by their first push; or a URL, as of a remote. Who may do what is
    told by tokens: mvc serve token create.
    """
    if stdio:
        load(LATE["stdio"])(place, session.cwd, session.environment, lambda line: session.note(printable(line)))
        return
    serve, listen = _serving()
    options = _options(session, place, given)
    if not load(LATE["tokens"])(options.place, session.environment).every() and given["anonymous"] == "none":
        session.note("no token is made yet, so nobody may do anything: mvc serve token create")
    where = listen(
        host=given["host"],
        port=given["port"],
        workers=given["workers"],
        certificate=given["tls_cert"],
        key=given["tls_key"],
        grace=given["grace"],
    )
    serve(options, where, lambda url: session.note(f"Serving {printable(place)} at {url}"))


def _options(session: Session, place: str, given: dict[str, Any]) -> Any:
    local = load(LATE["local"])(place)
    cache, log = given["cache"], given["access_log"]
    limits = load(LATE["limits"])
    most = given["max_pack"] << 20
    return load(LATE["options"])(
        place=str(session.cwd / place) if local and "://" not in place else place,
        environment=dict(session.environment),
        memory=session.cwd / cache if cache else None if local else session.home / "serve",
        anonymous=load(LATE["right"])[given["anonymous"].upper()],
        access_log=log if log in ("", "-") else str(session.cwd / log),
        limits=replace(limits, pack=most, git_pack=min(most, limits.git_pack), idx=min(most, limits.idx)),
        patience=load(LATE["patience"])(stall=given["stall"]),
        crowds=load(LATE["crowds"])(requests=given["max_requests"], client=given["max_client"]),
    )


def _serving() -> tuple[Any, Any]:
    try:
        return load(LATE["serve"]), load(LATE["listen"])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("mvc"):
            raise
        raise Unsupported(f"a server needs the package {error.name}", hint="pip install 'mvc-models[server]'") from None
