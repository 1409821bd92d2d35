from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ops.world import World


def test_the_first_commit_and_what_it_says(world: World) -> None:
    world.write("a.txt", "one\n")
    world.write("b/c.bin", b"x" * 200_000)
    world.mvc("add", ".")
    ran = world.mvc("commit", "-m", "first")
    lines = ran.out.splitlines()
    assert lines[0] == f"[main (root-commit) {world.head()[:7]}] first"
    assert lines[1] == " 2 files: 2 added"
    assert lines[-1].startswith("stored ") and "for 200 kB" in lines[-1]
    assert world.subjects() == ["first"]
    assert world.git("log", "--format=%an <%ae>", "-1") == "A U Thor <author@example.org>"
    assert world.git("cat-file", "-p", "HEAD:a.txt") == "one"
    assert world.status() == []


def test_stored_bytes_tell_what_the_change_cost(world: World) -> None:
    world.write("m.bin", b"abc" * 100_000)
    world.mvc("add", ".")
    first = world.mvc("commit", "-m", "1", "--json").json
    assert 0 < first["stored_bytes"] < first["raw_bytes"] == 300_000
    world.write("copy.bin", b"abc" * 100_000)
    world.mvc("add", ".")
    copied = world.mvc("commit", "-m", "2", "--json").json
    assert copied["stored_bytes"] == 0
    assert copied["raw_bytes"] == 300_000


def test_nothing_to_commit(world: World) -> None:
    world.commit("1", a="1")
    ran = world.mvc("commit", "-m", "again", code=5)
    assert "nothing to commit" in ran.err
    told = world.mvc("commit", "-m", "x", "--metric", "acc=1", code=5).err
    assert "nothing to commit" in told and "to record params or metrics alone" in told
    assert "mvc commit -a" in world.mvc("commit", "-m", "x", code=5).err  # the environment alone is no metadata of note
    assert "stored" not in world.mvc("commit", "-m", "empty", "--allow-empty").out
    assert world.subjects() == ["empty", "1"]


def test_metadata_lies_in_the_commit_and_is_not_inherited(world: World) -> None:
    world.write("a", "1")
    world.mvc("add", ".")
    world.mvc("commit", "-m", "1", "--param", "lr=0.1", "--metric", "acc=0.9")
    names = world.git("ls-tree", "--name-only", "HEAD:.mvcmeta").split()
    assert names == ["environment.yaml", "metrics.yaml", "params.yaml"]
    assert "lr: 0.1" in world.git("show", "HEAD:.mvcmeta/params.yaml")
    world.write("a", "2")
    world.mvc("commit", "-a", "-m", "2", "--no-environment")
    assert ".mvcmeta" not in world.git("ls-tree", "--name-only", "HEAD")
    assert world.status() == []
    assert set(world.files()) == {"a"}


def test_amend_keeps_metadata_unless_new_values_are_given(world: World) -> None:
    world.write("a", "1")
    world.mvc("add", ".")
    world.mvc("commit", "-m", "one", "--param", "lr=0.1", "--param", "seed=1")
    parent_count = len(world.subjects())
    world.mvc("commit", "--amend", "-m", "better")
    assert world.subjects() == ["better"] and parent_count == 1
    assert "lr: 0.1" in world.git("show", "HEAD:.mvcmeta/params.yaml")
    world.mvc("commit", "--amend", "--no-edit", "--param", "lr=0.2")
    text = world.git("show", "HEAD:.mvcmeta/params.yaml")
    assert "lr: 0.2" in text and "seed: 1" in text
    assert world.subjects() == ["better"]


def test_amend_takes_what_is_staged_and_keeps_the_author(world: World) -> None:
    world.write("a", "1")
    world.mvc("add", ".")
    world.mvc("commit", "-m", "one", "--author", "Else <else@example.org>")
    world.write("b", "2")
    world.mvc("add", "b")
    world.mvc("commit", "--amend", "--no-edit")
    assert world.git("log", "--format=%an|%cn|%s") == "Else|A U Thor|one"
    assert world.git("ls-tree", "--name-only", "HEAD").split()[-2:] == ["a", "b"]


def test_commit_all_stages_changes_and_removals_but_nothing_new(world: World) -> None:
    world.commit("1", a="1", b="1")
    world.write("a", "2")
    (world.path / "b").unlink()
    world.write("new", "x")
    world.mvc("commit", "-a", "-m", "2", "--no-environment")
    assert world.git("ls-tree", "--name-only", "HEAD").split() == ["a"]
    assert world.git("show", "HEAD:a") == "2"
    assert world.status() == ["new new"]


def test_several_messages_are_paragraphs_and_comments_stay(world: World) -> None:
    world.write("a", "1")
    world.mvc("add", ".")
    world.mvc("commit", "-m", "title  ", "-m", "# body\n\n\n\nmore")
    assert world.git("log", "--format=%B") == "title\n\n# body\n\nmore"


def test_message_from_a_file(world: World) -> None:
    world.write("../message.txt", "from a file\n")
    world.write("a", "1")
    world.mvc("add", ".")
    world.mvc("commit", "-F", "../message.txt")
    assert world.subjects() == ["from a file"]


def test_an_empty_message_is_refused(world: World) -> None:
    world.write("a", "1")
    world.mvc("add", ".")
    assert "empty" in world.mvc("commit", "-m", "  ", code=2).err
    world.mvc("commit", "-m", "", "--allow-empty-message")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script is the editor")
def test_an_editor_opens_without_a_message(world: World, tmp_path: Path) -> None:
    script = tmp_path / "editor"
    script.write_text('#!/bin/sh\ncp "$1" "$1.seen"\nprintf "edited\\n# no\\n" > "$1"\n')
    script.chmod(0o755)
    world.environment["MVC_EDITOR"] = str(script)
    world.write("a", "1")
    world.mvc("add", ".")
    world.mvc("commit")
    assert world.git("log", "--format=%B") == "edited"
    seen = (world.path / ".mvc" / "COMMIT_EDITMSG.seen").read_text()
    assert "# On branch main" in seen and "new file:   a" in seen


def test_without_a_terminal_or_editor_it_asks_for_a_message(world: World) -> None:
    world.write("a", "1")
    world.mvc("add", ".")
    assert "-m" in world.mvc("commit", code=2).err


def test_the_reflog_is_gits(world: World) -> None:
    world.commit("1", a="1")
    world.commit("2", a="2")
    world.mvc("commit", "--amend", "-m", "two")
    assert world.git("reflog", "--format=%gs").split("\n") == [
        "commit (amend): two",
        "commit: 2",
        "commit (initial): 1",
    ]


def test_two_processes_that_commit_at_once(world: World) -> None:
    world.commit("0", a="0")
    script = (
        "import sys; from pathlib import Path; from tests.ops.world import World\n"
        "w = World(Path(sys.argv[1]), new=False)\n"
        "for n in range(4):\n"
        "    for _ in range(50):\n"
        "        ran = None\n"
        "        try:\n"
        "            ran = w.mvc('--wait-for-lock', '20', 'commit', '--allow-empty', '-m', sys.argv[2] + str(n))\n"
        "            break\n"
        "        except AssertionError as error:\n"
        "            assert 'code=5' in str(error), error\n"
        "    assert ran is not None\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(world.path), name]) for name in "xy"]
    assert [one.wait() for one in running] == [0, 0]
    assert sorted(world.subjects()) == sorted(["0", *(f"{name}{n}" for name in "xy" for n in range(4))])


def test_nothing_is_staged_for_the_first_commit(world: World) -> None:
    world.write("a", "1")
    told = world.mvc("commit", "-m", "x", code=5).err
    assert "nothing is staged" in told and "mvc add FILES" in told and "last commit" not in told
    assert "last commit" not in world.mvc("commit", "-m", "x", "--metric", "acc=1", code=5).err
