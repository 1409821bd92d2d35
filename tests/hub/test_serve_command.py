"""`mvc serve` as a command: tokens made, listed, revoked; what it refuses to start with."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mvc.hub.messages import Right
from mvc.hub.tokens import TokenCache, open_tokens
from tests.cli.conftest import mvc, own_world
from tests.cli.world import Mvc

__all__ = ["mvc", "own_world"]


def test_tokens(mvc: Mvc, tmp_path: Path) -> None:
    place, before = str(tmp_path), int(time.time())
    text = mvc("serve", "token", "create", place, "ann", "--write", "team/*", "--read", "**", "--expires", "90d").out
    bearer = TokenCache(open_tokens(place, {}), 0).bearer(text.strip())
    assert bearer is not None
    assert (bearer.right("team/a"), bearer.right("x/y")) == (Right.WRITE, Right.READ)
    assert before <= (bearer.token.expires or 0) - 90 * 86400 <= time.time()
    made = json.loads(mvc("serve", "token", "create", place, "ci", "--append", "a", "--json").out)
    assert made["kind"] == "token" and made["grants"] == [{"right": "append", "pattern": "a"}]
    listed = mvc("serve", "token", "list", place)
    assert [line.split()[:2] for line in listed.lines] == [[bearer.token.id, "ann"], [made["id"], "ci"]]
    assert "read:** write:team/*" in listed.lines[0] and "never ends" in listed.lines[1]
    assert made["token"].split("_", 2)[2] not in listed.out
    mvc("serve", "token", "revoke", place, "ann", code=2)
    mvc("serve", "token", "revoke", place, "ann", "--yes")
    found = json.loads(mvc("serve", "token", "list", place, "--json").out)["tokens"]
    assert [one["name"] for one in found] == ["ci"]
    mvc("serve", "token", "revoke", place, "ann", "--yes", code=4)


def test_a_name_that_two_have_does_not_say_which(mvc: Mvc, tmp_path: Path) -> None:
    for _ in range(2):
        mvc("serve", "token", "create", str(tmp_path), "ci", "--read", "**")
    one, other = (line.split()[0] for line in mvc("serve", "token", "list", str(tmp_path)).lines)
    assert one in mvc("serve", "token", "revoke", str(tmp_path), "ci", "--yes", code=2).err
    mvc("serve", "token", "revoke", str(tmp_path), one, "--yes")
    assert mvc("serve", "token", "list", str(tmp_path)).lines[0].startswith(other)


@pytest.mark.parametrize(
    "words",
    [
        ("create", ".", "ci"),
        ("create", ".", "ci", "--read", "../x"),
        ("create", ".", "ci", "--read", "**", "--expires", "soon"),
        ("create", ".", "", "--read", "**"),
    ],
)
def test_what_is_no_token(mvc: Mvc, tmp_path: Path, words: tuple[str, ...]) -> None:
    mvc("serve", "token", *words, cwd=tmp_path, code=2)
    assert not list(tmp_path.rglob("tokens/*"))


def test_what_it_does_not_start_with(mvc: Mvc, tmp_path: Path) -> None:
    mvc("serve", str(tmp_path / "gone"), code=4)
    mvc("serve", str(tmp_path), "--tls-cert", __file__, code=2)
    mvc("serve", str(tmp_path), "--tls-cert", __file__, "--tls-key", __file__, code=2)
    key = tmp_path / "key"
    key.write_text("-----BEGIN PRIVATE KEY-----\n")
    mvc("serve", str(tmp_path), "--tls-cert", __file__, "--tls-key", str(key), code=2)
    mvc("serve", str(tmp_path), "--access-log", str(tmp_path / "gone" / "log"), "--port", "0", code=4)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = mvc("serve", str(tmp_path), "--port", str(taken.getsockname()[1]), code=5)
        assert "cannot listen" in ran.err
    mvc("serve", str(tmp_path), "--host", "192.0.2.1", "--port", "0", code=5)


def test_without_its_packages_it_says_what_to_install(tmp_path: Path) -> None:
    start = "import sys; sys.modules['granian'] = None; from mvc.cli.main import main"
    code = f"{start}; sys.exit(main(['serve', {str(tmp_path)!r}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 5
    assert "mvc-models[server]" in done.stderr


def test_help_loads_no_server(tmp_path: Path) -> None:
    code = (
        "import sys; from mvc.cli.main import main\n"
        "try: main(['serve', 'token', 'list', '--help'])\n"
        "finally: assert not {'granian', 'starlette', 'prometheus_client', 'numpy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=os.environ)
