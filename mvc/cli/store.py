"""`mvc store`: parse, call `mvc.ops.shared_store`, render."""

from __future__ import annotations

import time
from pathlib import Path

import click

from mvc.cli.command import dry_run_flag, json_flag, noun, quiet_flag
from mvc.cli.outside import outside
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.store_text import listed_json, listed_lines, pack_json, pack_line
from mvc.cli.text import printable, printable_path
from mvc.errors import NotARepository, UsageError
from mvc.objects.config import Config
from mvc.objects.options import resolve
from mvc.ops.shared_store import Proofs, list_store, prune_store, verify_store
from mvc.repo.repository import Repository
from mvc.settings import Settings, SharedStoreSettings

_DAMAGED = 6
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@noun()
def command(session: Session) -> None:
    """The store of chunks that all repositories of this machine share.

    Which one that is, core.sharedStore says, or MVC_STORE. It is a cache of what remotes hold.
    """


@command.verb
@click.option("--packs", "with_packs", is_flag=True, help="Each pack, too, the least recently used first.")
@json_flag
def ls(session: Session, with_packs: bool, as_json: bool) -> None:
    """What is in it, and which repositories lean on it."""
    shared = _settings(session)[1]
    found = list_store(Path(shared.path), shared.limit, progress=session.progress)
    if as_json:
        session.emit_json("store-ls", listed_json(found))
    else:
        session.emit_text("\n".join(listed_lines(found, time.time(), with_packs=with_packs)))


@command.verb
@click.option("--repair", is_flag=True, help="Take out damaged packs, if remotes hold what was in them.")
@quiet_flag
@json_flag
def verify(session: Session, repair: bool, as_json: bool) -> int | None:
    """Read every byte of it.

    What is damaged there harms nobody: it is noticed when it is read, and fetched anew. The exit code is 6 if
    something is.
    """
    settings, shared = _settings(session)
    proofs = _proofs(session) if repair else None
    found = verify_store(Path(shared.path), settings.store, repair=proofs, progress=session.progress)
    if as_json:
        rows = [
            {"space": space, "file": one.path.name, "offset": one.offset, "message": one.message}
            for space, one in found.damage
        ]
        removed = [pack_json(pack) for pack in found.removed]
        session.emit_json("store-verify", {"packs": found.packs, "damage": rows, "removed": removed})
    else:
        for space, one in found.damage:
            name = printable_path(f"{space}/{one.path.name}")
            session.emit_text(f"{session.paint('error:', 'red bold')} {name}: {printable(one.message)}")
        text = counted(len(found.damage), "error") if found.damage else "all sound"
        if found.removed:
            text += f"; took out {counted(len(found.removed), 'pack')}"
        session.note(f"checked {counted(found.packs, 'pack')}: {text}")
    return _DAMAGED if found.damage else None


@command.verb
@click.option("--to", "goal", metavar="SIZE", help="Down to so many bytes (k, m, g, t); else core.sharedStoreLimit.")
@click.option("--unused-for", metavar="AGE", default="1h", help="Only what was not used for so long (s, m, h, d). [1h]")
@dry_run_flag
@quiet_flag
@json_flag
def prune(session: Session, goal: str | None, unused_for: str, dry_run: bool, as_json: bool) -> None:
    """Make room: whole packs go, the least recently used first.

    Only those that a remote says it holds, asked now: remotes of this repository, and of your own others that lean
    on the store. Whoever needs them later fetches them again.
    """
    shared = _settings(session)[1]
    if goal is None and not shared.limit:
        raise UsageError("down to how much?", hint="mvc store prune --to 100g, or set core.sharedStoreLimit")
    done = prune_store(
        Path(shared.path),
        shared.limit if goal is None else int(_number(goal, _BYTES, "size")),
        _proofs(session),
        unused_seconds=_number(unused_for, _SECONDS, "age"),
        dry_run=dry_run,
        progress=session.progress,
    )
    if as_json:
        packs = [pack_json(pack) for pack in done.removed]
        document = {"dry_run": dry_run, "size": done.size, "goal": done.goal, "freed": done.freed, "removed": packs}
        session.emit_json("store-prune", {**document, "unproven": done.unproven, "in_use": done.in_use})
        return
    for pack in done.removed if dry_run or session.verbose else ():
        session.emit_text(pack_line(pack, time.time()))
    text = f"{'would free' if dry_run else 'freed'} {human_bytes(done.freed)} of {human_bytes(done.size)}"
    text += f": {counted(len(done.removed), 'pack')}"
    if done.unproven:
        text += f"; {human_bytes(done.unproven)} stay, as no remote says that it holds them"
    if done.in_use:
        text += f"; {human_bytes(done.in_use)} were used a short while ago"
    session.note(text)


def _settings(session: Session) -> tuple[Settings, SharedStoreSettings]:
    """The settings that hold here, and those of the store. Raises UsageError where none is set."""
    repo = _repo(session)
    settings = repo.settings if repo is not None else resolve(Config(None, globals=session.global_configs))
    path = session.shared_store or settings.shared.path
    if not path:
        raise UsageError("no shared store is set", hint="mvc config --global core.sharedStore /srv/mvc-store")
    return settings, SharedStoreSettings(path, settings.shared.limit)


def _proofs(session: Session) -> Proofs:
    return Proofs(_repo(session), outside(session), session.global_configs)


def _repo(session: Session) -> Repository | None:
    try:
        return session.repo()
    except NotARepository:
        return None


def _number(text: str, units: dict[str, float] | dict[str, int], what: str) -> float:
    digits, unit = (text[:-1], units[text[-1].lower()]) if text[-1:].lower() in units else (text, 1)
    try:
        value = float(digits) * unit
    except ValueError:
        value = -1.0
    if not 0 <= value < 2**62:
        raise UsageError(f"'{text}' is no {what}", hint="as in: 100g" if what == "size" else "as in: 30m, 12h, 7d")
    return value
