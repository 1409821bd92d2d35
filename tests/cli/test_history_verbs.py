"""`log` and `show`: as typed, held against real git where both say the same."""

from __future__ import annotations

import io
import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from mvc.objects.database import Objects
from mvc.objects.model import Kind
from tests.cli.world import History, Mvc, git

META = {
    ".mvcmeta/params.yaml": "lr: 3.0e-05\noptimizer:\n  name: adamw\n",
    ".mvcmeta/metrics.yaml": "acc: 0.91\nloss: .nan\n",
    ".mvcmeta/environment.yaml": "python: 3.11.7\n",
}


def safetensors(**tensors: bytes) -> bytes:
    """A small file of U8 tensors (names with "." for "_")."""
    header, data = {}, b""
    for name, content in tensors.items():
        header[name.replace("_", ".")] = {
            "dtype": "U8",
            "shape": [len(content)],
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.fixture
def three(history: History) -> History:
    first = history.commit("base\n\nbody of it\n", {"m.txt": "1", **META}, author="Bob <bob@example.org>")
    second = history.commit("second\n", {"m.txt": "2", "dir/x": "x"}, parents=(first,))
    history.commit("third\n", {"dir/x": "y"}, parents=(second,))
    history.tag("v1", first)
    history.write()
    return history


@pytest.fixture
def merged(history: History) -> History:
    a = history.commit("a\n", {"f": "a"})
    t = history.commit("t\n", {"g": "t"}, parents=(a,), ref="refs/heads/topic")
    b = history.commit("b\n", {"f": "b"}, parents=(a,))
    history.commit("m\n", {"g": "t"}, parents=(b, t))
    history.write()
    return history


def test_log_is_gits_and_more(mvc: Mvc, three: History) -> None:
    mine = mvc("log", cwd=three.path).out
    assert mine.startswith(f"commit {git(three.path, 'rev-parse', 'HEAD').decode().strip()} (HEAD -> main)\n")
    assert mine.endswith(
        "    base\n    \n    body of it\n\n"
        "    params   lr=3e-05  optimizer.name=adamw\n    metrics  acc=0.91  loss=nan\n"
    )
    plain = re.sub(r"\n\n    params .*\n    metrics .*", "", mine)
    plain = re.sub(r" \((?:HEAD|tag)[^)]*\)", "", plain)
    theirs = git(three.path, "log", "--no-decorate").decode()
    # The metadata of the first commit is in its children's trees too here: fast-import inherits, mvc never does.
    assert plain == theirs


@pytest.mark.parametrize(
    "arguments",
    [
        ["-n", "2"],
        ["--skip", "1"],
        ["--skip", "1", "-n", "1"],
        ["-n", "0"],
        ["--all"],
        ["topic"],
        ["topic..main"],
        ["main..topic"],
        ["topic...main~1"],
        ["^topic", "main"],
        ["--first-parent"],
        ["--merges"],
        ["--no-merges"],
        ["--reverse"],
        ["--author", "Ann"],
        ["--author", "Bob"],
        ["--grep", "^[ab]$"],
        ["--since", "2023-11-14T22:15:30Z"],
        ["--until", "2023-11-14T22:15:30Z"],
        ["--after", "@1700000100", "--before", "@1700000200"],
        ["--", "f"],
        ["main", "--", "g"],
        ["HEAD~1", "--", "f", "g"],
    ],
)
def test_log_chooses_as_git_does(arguments: list[str], mvc: Mvc, merged: History) -> None:
    mine = mvc("log", "--oneline", *arguments, cwd=merged.path).lines
    theirs = git(merged.path, "log", "--oneline", "--no-decorate", *arguments).decode().splitlines()
    assert [re.sub(r" \(.*\)", "", line) for line in mine] == theirs


def test_log_takes_a_bare_number_as_git_does(mvc: Mvc, merged: History) -> None:
    assert mvc("log", "-2", "--oneline", cwd=merged.path).out == mvc("log", "-n2", "--oneline", cwd=merged.path).out
    assert len(mvc("log", "-2", "--oneline", cwd=merged.path).lines) == 2
    assert mvc("log", "--", "-2", cwd=merged.path).out == ""  # behind "--" it is a path


def test_log_with_a_graph(mvc: Mvc, merged: History) -> None:
    lines = mvc("log", "--graph", "--oneline", cwd=merged.path).lines
    expected = ["*   m", "|\\", "| * t", "* | b", "|/", "* a"]
    assert [re.sub(r"[0-9a-f]{7}( \(.*\))? ", "", line) for line in lines] == expected
    lines = mvc("log", "--graph", cwd=merged.path).lines
    assert (
        lines[0].startswith("*   commit ")
        and lines[1].startswith("|\\  Merge: ")
        and lines[2].startswith("| | Author: ")
    )
    assert lines[-1] == "      a"
    assert mvc("log", "--graph", "--reverse", cwd=merged.path, code=2)


def test_log_as_json(mvc: Mvc, three: History) -> None:
    document = json.loads(mvc("log", "--json", cwd=three.path).out)
    assert (document["schema"], document["kind"]) == (1, "log")
    newest, _, oldest = document["commits"]
    assert newest["refs"] == [{"kind": "branch", "name": "main", "head": True}]
    assert oldest["refs"] == [{"kind": "tag", "name": "v1", "head": False}]
    assert oldest["params"] == {"lr": 3e-05, "optimizer.name": "adamw"}
    assert oldest["metrics"] == {"acc": 0.91, "loss": "NaN"}
    assert oldest["environment"] == {"python": "3.11.7"}
    assert oldest["author"] == {"name": "Bob", "email": "bob@example.org", "date": "2023-11-14T23:14:20+01:00"}
    assert oldest["message"] == "base\n\nbody of it\n" and oldest["summary"] == "base" and oldest["parents"] == []


def test_log_of_paths_told_from_revisions(mvc: Mvc, three: History) -> None:
    assert [line[8:] for line in mvc("log", "--oneline", "v1..", "--", "dir", cwd=three.path).lines] == [
        "(HEAD -> main) third",
        "second",
    ]
    (three.path / "dir").mkdir()
    (three.path / "dir/x").write_text("y")
    assert len(mvc("log", "--oneline", "dir/x", cwd=three.path).lines) == 2
    assert len(mvc("log", "--oneline", "x", cwd=three.path / "dir").lines) == 2
    (three.path / "v1").write_text("")
    assert "both a revision and a file" in mvc("log", "v1", cwd=three.path, code=2).err
    assert mvc("log", "nope", cwd=three.path, code=4).err.startswith("error: 'nope'")
    assert "mvc log -- gone" in mvc("log", "dir", "gone", cwd=three.path, code=4).err
    assert mvc("log", "--oneline", "--", "../elsewhere", cwd=three.path, code=2).err.startswith("error: ")


def test_log_of_nothing(mvc: Mvc, repo: Path) -> None:
    ran = mvc("log", cwd=repo, code=4)
    assert ran.err.startswith("error: the branch 'main' has no commit yet\nhint:  ")


@pytest.mark.parametrize("bad", [["--since", "gestern"], ["--author", "("], ["-n", "-1"], ["--grep", "["]])
def test_log_of_what_makes_no_sense(bad: list[str], mvc: Mvc, three: History) -> None:
    mvc("log", *bad, cwd=three.path, code=2)


def test_metadata_that_cannot_be_read_hides_no_commit(mvc: Mvc, history: History) -> None:
    history.commit("one\n", {"a": "1", ".mvcmeta/params.yaml": "a: !!python/object:os.system\n"})
    history.write()
    out = mvc("log", cwd=history.path).out
    assert "    one\n" in out and "metadata cannot be read: .mvcmeta/params.yaml: line 1: the tag" in out
    assert "metadata cannot be read" in mvc("show", cwd=history.path).out


def test_what_a_hostile_commit_says_steers_no_terminal(mvc: Mvc, history: History) -> None:
    history.commit(
        "\x1b]0;owned\x07 \x1b[2J text\n",
        {"a": "1", ".mvcmeta/params.yaml": '"k\\u001b[2J": "\\u001b[31m"\n'},
        author="E\x1b[1m <e@x>",
    )
    history.commit("second\n", {"odd\x1b[1mname": "x"}, parents=(1,))
    history.write()
    for arguments in (
        ["log"],
        ["log", "--oneline"],
        ["log", "--graph"],
        ["show"],
        ["show", "HEAD~"],
        ["log", "--json"],
        ["show", "HEAD:"],
    ):
        assert "\x1b" not in mvc(*arguments, cwd=history.path).out
        assert "\x07" not in mvc(*arguments, cwd=history.path).out


def test_log_of_tensors(mvc: Mvc, history: History) -> None:
    first = history.commit(
        "base\n", {"m.safetensors": safetensors(encoder_0_w=b"a" * 8, encoder_1_w=b"b" * 8, head=b"c")}
    )
    second = history.commit(
        "layer 1\n",
        {"m.safetensors": safetensors(encoder_0_w=b"a" * 8, encoder_1_w=b"x" * 8, head=b"c")},
        parents=(first,),
    )
    third = history.commit(
        "reordered\n",
        {"m.safetensors": safetensors(head=b"c", encoder_1_w=b"x" * 8, encoder_0_w=b"a" * 8)},
        parents=(second,),
    )
    fourth = history.commit(
        "shape\n",
        {"m.safetensors": safetensors(head=b"cc", encoder_1_w=b"x" * 8, encoder_0_w=b"a" * 8)},
        parents=(third,),
    )
    history.commit("no model\n", {"notes.txt": "x"}, parents=(fourth,))
    history.write()

    def found(*arguments: str) -> list[str]:
        return [
            line[8:].removeprefix("(HEAD -> main) ")
            for line in mvc("log", "--oneline", *arguments, cwd=history.path).lines
        ]

    assert found("--tensor", "encoder.1.*") == ["layer 1", "base"]
    assert found("--tensor", "encoder.*") == ["layer 1", "base"]
    assert found("--tensor", "head") == ["shape", "base"]
    assert found("--tensor", "head", "--tensor", "encoder.1.w") == ["shape", "layer 1", "base"]
    assert found("--tensor", "HEAD") == []
    assert found("--tensor", "head", "-n", "1") == ["shape"]
    assert found("--tensor", "head", "--", "other") == []


def test_show_of_a_commit(mvc: Mvc, three: History) -> None:
    lines = mvc("show", "v1", cwd=three.path).lines
    assert lines[0].endswith(" (tag: v1)") and lines[1] == "Author: Bob <bob@example.org>"
    text = "\n".join(lines)
    assert (
        "params\n    lr              3e-05\n    optimizer.name  adamw\nmetrics\n    acc   0.91\n    loss  nan\n" in text
    )
    assert text.endswith("environment\n    python  3.11.7\n\nA  m.txt  1 B\n1 file changed")
    assert mvc("show", "HEAD", "HEAD~", cwd=three.path).out.count("commit ") == 2
    assert mvc("show", cwd=three.path).out == mvc("show", "HEAD", cwd=three.path).out


def test_show_of_a_tag(mvc: Mvc, three: History) -> None:
    mvc("tag", "-m", "Release\n\nwith care", "r1", "v1", cwd=three.path)
    lines = mvc("show", "r1", cwd=three.path).lines
    assert lines[0] == "tag r1" and lines[1] == "Tagger: Ann Other <ann@example.org>" and "with care" in lines
    assert any(line.startswith("commit ") and "tag: r1" in line for line in lines)
    [found] = json.loads(mvc("show", "--json", "r1", cwd=three.path).out)["objects"]
    assert found["kind"] == "tag" and found["target"]["kind"] == "commit"


def test_show_of_files_and_folders(mvc: Mvc, three: History) -> None:
    assert mvc("show", "HEAD:dir/x", cwd=three.path).raw == b"y"
    assert mvc("show", "HEAD:", cwd=three.path).lines == ["tree HEAD:", "", ".mvcmeta/", "dir/", "m.txt"]
    assert mvc("show", "HEAD:dir", cwd=three.path).lines[-1] == "x"
    assert mvc("show", "HEAD^{tree}", cwd=three.path).lines[-1] == "m.txt"
    [found] = json.loads(mvc("show", "--json", "HEAD:dir/x", cwd=three.path).out)["objects"]
    assert found["text"] == "y" and found["size"] == 1
    assert mvc("show", "HEAD:gone", cwd=three.path, code=4).err.startswith("error: ")


def test_show_of_a_merge_shows_what_it_brought(mvc: Mvc, merged: History) -> None:
    out = mvc("show", cwd=merged.path).out
    assert re.search(r"^Merge: [0-9a-f]{7} [0-9a-f]{7}$", out, re.MULTILINE)
    assert out.endswith("A  g  1 B\n1 file changed\n")


def test_show_of_a_small_model(mvc: Mvc, history: History) -> None:
    history.commit("m\n", {"a.safetensors": safetensors(one=b"12345678", two=b"1")})
    history.write()
    lines = mvc("show", "HEAD:a.safetensors", cwd=history.path).lines
    assert lines[0].startswith("a.safetensors  safetensors, ") and "2 tensors, 9 parameters" in lines[0]
    assert [line.split() for line in lines[2:]][-2:] == [
        ["one", "U8", "8", "8", "8", "B", "blob"],
        ["two", "U8", "1", "1", "1", "B", "blob"],
    ]
    [found] = json.loads(mvc("show", "--json", "HEAD:a.safetensors", cwd=history.path).out)["objects"]
    assert found["parameters"] == 9 and found["segments"][-1]["name"] == "two"


def test_show_of_a_model_with_a_header_a_tensor(mvc: Mvc, history: History) -> None:
    """They take one row, above the tensors."""
    data = io.BytesIO()
    np.savez(data, one=np.zeros(4, np.float32), two=np.zeros(2, np.float32))
    history.commit("m\n", {"a.npz": data.getvalue()})
    history.write()
    rows = [line.split() for line in mvc("show", "HEAD:a.npz", cwd=history.path).lines[3:]]
    assert [row[0] for row in rows] == ["(5", "one", "two"]
    assert rows[0][1:2] == ["headers)"] and rows[0][2:4] == [str(len(data.getvalue()) - 24), "B"]


def test_a_long_history_begins_at_once(mvc: Mvc, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3000):
        history.commit(f"number {number}\n", {f"f{number % 7}": str(number)}, parents=(number,) if number else ())
    history.write()
    asked: list[str] = []
    raw = Objects.raw

    def counted(self: Objects, object_id: str) -> tuple[Kind, bytes]:
        asked.append(object_id)
        return raw(self, object_id)

    monkeypatch.setattr(Objects, "raw", counted)
    assert len(mvc("log", "--oneline", "-n", "30", cwd=history.path).lines) == 30
    assert 30 <= len(asked) < 100
    assert len(mvc("log", "--oneline", cwd=history.path).lines) == 3000
    assert len(asked) > 3000


@pytest.mark.parametrize(
    "arguments", [[], ["--first-parent"], ["--all"], ["topic"], ["--reverse"], ["--", "f"], ["--no-merges"]]
)
def test_log_tells_the_files_that_git_tells(mvc: Mvc, merged: History, arguments: list[str]) -> None:
    theirs = git(merged.path, "log", "--name-status", "--format=commit %H", *arguments).decode().split("commit ")[1:]
    expected = {one.split("\n")[0]: [line.split("\t") for line in one.split("\n")[1:] if line] for one in theirs}
    words = {"added": "A", "modified": "M", "deleted": "D"}
    told = mvc("log", "--stat", "--json", *arguments, cwd=merged.path).out
    found = {
        one["id"]: [[words[file["status"]], file["path"]] for file in one["files"]]
        for one in json.loads(told)["commits"]
    }
    assert list(found.items()) == list(expected.items())


def test_log_shows_files_below_each_commit(mvc: Mvc, three: History) -> None:
    assert mvc("log", "--stat", "--oneline", "--no-decorate", "-n", "2", cwd=three.path).lines[1:4] == [
        "M  dir/x  1 B",
        "1 file changed",
        mvc("log", "--oneline", "--no-decorate", "-n", "2", cwd=three.path).lines[1],
    ]
    plain = mvc("log", "-n", "1", "v1", cwd=three.path).out
    assert mvc("log", "--stat", "-n", "1", "v1", cwd=three.path).out == plain + "\nA  m.txt  1 B\n1 file changed\n"
    drawn = mvc("log", "--stat", "--graph", "-n", "1", cwd=three.path).lines
    assert drawn[-1].endswith("1 file changed") and drawn[-1].startswith("| ")


FORMATS = [
    *("%H %h %T %t", "%P|%p", "%an %ae %al %aN|%cn %ce", "%at %ct|%ad|%cd", "%aD|%ai|%aI|%as", "%s|%f", "%b", "%B"),
    *("x%ny%%%x41%z", "format:%h %s", "tformat:%h", "%Cred%h%Creset%C(bold blue)", "", "reference", "format:%b"),
]


@pytest.mark.parametrize("form", FORMATS)
def test_formats_are_gits(mvc: Mvc, three: History, form: str) -> None:
    option, where = f"--format={form}", three.path
    for arguments in (
        ["log", option],
        ["log", option, "-1"],
        ["log", option, "--reverse", "--name-only", "--", "dir"],
        ["show", "-s", option, "HEAD~1"],
        ["show", "--name-only", option, "HEAD~1"],
    ):
        assert mvc(*arguments, cwd=where).raw == git(where, *arguments), arguments


def test_formats_with_names_and_none(mvc: Mvc, three: History) -> None:
    assert mvc("log", "--format=%h%d", cwd=three.path).lines[-1].endswith(" (tag: v1)")
    assert mvc("log", "--pretty=%D", cwd=three.path).lines == ["HEAD -> main", "", "tag: v1"]
    assert mvc("log", "--pretty=medium", cwd=three.path).raw == mvc("log", cwd=three.path).raw
    assert "is no format" in mvc("log", "--format=nonsense", cwd=three.path, code=2).err
    assert "--json" in mvc("show", "--format=%h", "--json", cwd=three.path, code=2).err
    colours = mvc("log", "-1", "--format=%C(yellow)%s%Creset", cwd=three.path, FORCE_COLOR="1").out
    assert colours == "\x1b[33mthird\x1b[0m\n"


def test_what_each_commit_changed(mvc: Mvc, three: History) -> None:
    letters = mvc("log", "--name-status", "--format=%s", cwd=three.path).lines
    assert letters == ["third", "", "M\tdir/x", "second", "", "A\tdir/x", "M\tm.txt", "base", "", "A\tm.txt"]
    assert mvc("show", "--name-only", "--format=", "HEAD~1", cwd=three.path).lines == ["dir/x", "m.txt"]
    for ran in (mvc("log", "-p", "-1", cwd=three.path), mvc("show", "-p", cwd=three.path)):
        assert "    -x" in ran.lines and "    +y" in ran.lines
