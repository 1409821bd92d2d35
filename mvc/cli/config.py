"""`mvc config`: parse, call `mvc.ops.config`, render."""

from __future__ import annotations

from pathlib import Path

import click

from mvc.cli.command import json_flag, verb
from mvc.cli.session import Session
from mvc.cli.text import printable
from mvc.errors import NotARepository, UsageError
from mvc.objects.config import Config, ConfigFile
from mvc.ops.config import (
    config_path,
    list_settings,
    read_all,
    read_setting,
    settings_like,
    unset_setting,
    write_setting,
)


@verb
@click.argument("key", required=False)
@click.argument("value", required=False)
@click.option("--global", "is_global", is_flag=True, help="The user's own settings, for all repositories.")
@click.option("--local", "is_local", is_flag=True, help="This repository's settings alone.")
@click.option("-l", "--list", "list_all", is_flag=True, help="All settings that hold here.")
@click.option("--get", is_flag=True, help="The value of KEY, as without it.")
@click.option("--get-regexp", metavar="REGEX", help="All keys that fit, with their values.")
@click.option("--get-all", is_flag=True, help="All values of KEY, the one that holds last.")
@click.option("--add", is_flag=True, help="One more value of KEY, beside those it has.")
@click.option("--unset", "--unset-all", "unset", is_flag=True, help="Take KEY out.")
@json_flag
def command(
    session: Session,
    key: str | None,
    value: str | None,
    is_global: bool,
    is_local: bool,
    list_all: bool,
    get: bool,
    get_regexp: str | None,
    get_all: bool,
    add: bool,
    unset: bool,
    as_json: bool,
) -> int | None:
    """Read and write settings.

    With KEY alone: prints its value. With KEY and VALUE: sets it. Settings are in Git's syntax, in
    the repository's .mvc/config and the user's ~/.config/mvc/config; docs/commands/config.md lists them.
    """
    if is_global and is_local:
        raise UsageError("--global or --local, not both")
    if get_regexp is not None:
        found = settings_like(_readable(session, is_global, is_local), get_regexp)
        _list(session, found, as_json, between=" ")
        return None if found else 1
    if list_all or (key is None and as_json):
        _list(session, list_settings(_readable(session, is_global, is_local)), as_json)
        return None
    if key is None:
        raise UsageError("of which key?", hint="mvc config --list")
    if get and value is not None:
        raise UsageError("--get takes no value", hint=f"mvc config {printable(key)} VALUE sets it")
    if unset:
        unset_setting(_file(session, is_global), key)
    elif value is not None:
        write_setting(_file(session, is_global), key, value, add=add, globals=session.global_configs)
    else:
        return _read(session, _readable(session, is_global, is_local), key, get_all, as_json)
    return None


def _file(session: Session, is_global: bool) -> Path:
    if is_global:
        return session.global_config
    try:
        return session.repo().common_dir / "config"
    except UsageError:
        # A value that somebody wrote by hand makes no sense: this verb must be able to mend it.
        found = config_path(session.cwd)
        if found is None:
            raise
        return found


def _readable(session: Session, is_global: bool, is_local: bool) -> Config | ConfigFile:
    if is_global or is_local:
        return ConfigFile(_file(session, is_global))
    try:
        return session.repo().config
    except NotARepository:
        return Config(None, globals=session.global_configs)


def _read(session: Session, config: Config | ConfigFile, key: str, get_all: bool, as_json: bool) -> int | None:
    found = read_setting(config, key)
    values = read_all(config, key) if get_all else () if found is None else (found,)
    if as_json:
        session.emit_json("config", {"key": key, "value": found, "values": list(values)})
    else:
        session.emit_text("".join(f"{printable(value)}\n" for value in values), end="")
    # As Git: a key that is not set is an answer, not an error.
    return None if values else 1


def _list(session: Session, settings: tuple[tuple[str, str], ...], as_json: bool, between: str = "=") -> None:
    if as_json:
        session.emit_json("config", {"settings": [{"key": key, "value": value} for key, value in settings]})
    else:
        session.emit_text("".join(f"{printable(key)}{between}{printable(value)}\n" for key, value in settings), end="")
