from __future__ import annotations

import multiprocessing
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.errors import ParseError, UnsupportedFormat, UsageError
from mvc.objects import configtext
from mvc.objects.config import Config, ConfigFile
from mvc.objects.gitdir import init_git_dir, is_git_dir
from mvc.objects.options import check_format, resolve
from mvc.settings import Author

SAMPLE = """# a comment
; another
[core]
\tbare = true ; yes
\tThreads=4
\tflag
[Remote "ori\\"gin.X"] url = "a # b\\\\" \\
   more
[user]
\tname = A  U Thor   # said so
\temail = \\"quoted\\" \\t tab \\n line
[section.SUB]
\tkey = 1
[core]
\tthreads = 8
"""


def git_list(path: Path) -> list[tuple[str, str]]:
    done = subprocess.run(
        ["git", "config", "--no-includes", "-z", "-f", path, "--list"], capture_output=True, check=True
    )
    rows = [row.partition("\n") for row in done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]]
    return [(key, value if found else "true") for key, found, value in rows]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config"
    path.write_text(text)
    return path


def test_reads_as_git_does(tmp_path: Path) -> None:
    path = written(tmp_path, SAMPLE)
    config = ConfigFile(path)
    assert config.items() == git_list(path)
    assert config.get("CORE.threads") == "8" and config.get_all("core.Threads") == ["4", "8"]
    assert config.get('remote.ori"gin.X.url') == "a # b\\    more"
    assert config.get('remote.ori"gin.x.url') is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[core\n", 1),
        ('[core]\nkey = "open\n', 2),
        ("[a]\n\n1key = 1\n", 3),
        ("[a]\nkey = \\x\n", 2),
        ("[a]\nk y\n", 2),
    ],
)
def test_what_git_refuses_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ParseError, match=f"line {line} "):
        ConfigFile(path)
    with pytest.raises(subprocess.CalledProcessError):
        git_list(path)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["core.a", "core.b", "remote.x.url", "remote.y z.url", 'remote."q\\.url', "new.Key"]),
            st.text(st.characters(blacklist_characters="\0\r", blacklist_categories=["Cs"]), max_size=15),
            st.sampled_from(["set", "add", "unset"]),
        ),
        max_size=5,
    )
)
def test_edits_are_what_git_reads(tmp_path: Path, edits: list[tuple[str, str, str]]) -> None:
    path = written(tmp_path, "[core]\n\ta = 1 # kept\n# last words")
    config = ConfigFile(path)
    expected = {"core.a": ["1"]}
    for key, value, verb in edits:
        normal = configtext.normal_key(key)
        if verb == "set":
            config.set(key, value)
            expected[normal] = [*expected.get(normal, [])[:-1], value]
        elif verb == "add":
            config.add(key, value)
            expected.setdefault(normal, []).append(value)
        else:
            assert config.unset(key) == bool(expected.pop(normal, None))
    config.save()
    found: dict[str, list[str]] = {}
    for key, value in git_list(path):
        found.setdefault(key, []).append(value)
    assert found == expected
    assert ConfigFile(path).items() == git_list(path)


def test_an_edit_leaves_the_rest_as_it_stands(tmp_path: Path) -> None:
    path = written(tmp_path, SAMPLE)
    config = ConfigFile(path)
    config.set("user.name", "New")
    config.save()
    assert path.read_text() == SAMPLE.replace("name = A  U Thor   # said so", "name = New")
    config.remove_section('remote.ori"gin.X')
    config.add("core.more", "x")
    config.save()
    assert "Remote" not in path.read_text()
    assert path.read_text().endswith("[core]\n\tthreads = 8\n\tmore = x\n")
    assert not path.with_name("config.lock").exists()


@settings(max_examples=200)
@given(st.text(st.sampled_from('[]"\\=#;\n\t ab.-x1'), max_size=30))
def test_any_text_parses_to_itself_or_is_refused(text: str) -> None:
    try:
        parts = configtext.parse(text)
    except ParseError:
        return
    assert "".join(part.text for part in parts) == text


def _set(path: Path, number: int) -> None:
    config = ConfigFile(path)
    config.set(f"core.key{number}", str(number))
    config.save()


def test_processes_that_edit_at_once_lose_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_set, args=(path, number)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(ConfigFile(path).items()) == [(f"core.key{number}", str(number)) for number in range(8)]


def test_layers(tmp_path: Path) -> None:
    gits = tmp_path / ".gitconfig"
    gits.write_text("[user]\nname = Git\nemail = git@x\n[core]\nthreads = 3\nautocrlf = true\n[include]\npath = more\n")
    (tmp_path / "more").write_text("[user]\nemail = included@x\n")
    ours = tmp_path / "mvc" / "config"
    ours.parent.mkdir()
    ours.write_text("[core]\nthreads = 5\nwindow = 7\n")
    local = written(tmp_path, "[core]\nwindow = 2k\nverifyWrites\n")
    config = Config(local, globals=(gits, ours))
    assert config.get("core.autocrlf") is None
    assert config.get_all("core.window") == ["7", "2k"]
    found = resolve(config)
    assert found.author == Author("Git", "included@x")
    assert (found.store.threads, found.store.window, found.store.verify_writes) == (5, 2048, True)
    gits.write_text("[broken")
    assert resolve(Config(local, globals=(gits, ours))).author is None
    with pytest.raises(ParseError):
        Config(gits)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("[core]\nthreads = many", "core.threads"),
        ("[core]\nthreads = -1", "core.threads"),
        ("[core]\nfileMode = maybe", "core.fileMode"),
        ("[core]\ndeltaDepth = 9", "core.deltaDepth"),
        ("[gc]\npruneExpire = soon", "gc.pruneExpire"),
        ("[mvc]\nchunkKey = 12", "mvc.chunkKey"),
    ],
)
def test_values_that_make_no_sense_are_named(tmp_path: Path, line: str, key: str) -> None:
    with pytest.raises(UsageError, match=key):
        resolve(Config(written(tmp_path, line + "\n")))


@pytest.mark.parametrize(
    ("text", "days"),
    [("30", 30), ("2.weeks.ago", 14), ("3 months", 90), ("now", 0), ("never", 36500), ("1 year ago", 365)],
)
def test_spans(tmp_path: Path, text: str, days: int) -> None:
    assert resolve(Config(written(tmp_path, f"[gc]\nreflogExpire = {text}\n"))).gc_reflog_expire_days == days


@pytest.mark.parametrize(
    ("text", "reading", "writing"),
    [
        ("[mvc]\nformat = 1\n", True, True),
        ("[mvc]\nformat = 2\n", False, False),
        ("[mvc]\nformat = x\n", False, False),
        ("", False, False),
        ("[mvc]\nformat = 1\nrequires = warp\n", False, False),
        ("[mvc]\nformat = 1\nrequires = chunk-key\n", True, True),
        ("[mvc]\nformat = 1\nreadonlyRequires = warp, drive\n", True, False),
        ("[mvc]\nformat = 1\n[core]\nrepositoryFormatVersion = 1\n[extensions]\nobjectFormat = sha1\n", True, True),
        ("[mvc]\nformat = 1\n[core]\nrepositoryFormatVersion = 1\n[extensions]\nobjectFormat = sha256\n", False, False),
        ("[mvc]\nformat = 1\n[core]\nrepositoryFormatVersion = 1\n[extensions]\nrefStorage = reftable\n", False, False),
        ("[mvc]\nformat = 1\n[core]\nrepositoryFormatVersion = 2\n", False, False),
    ],
)
def test_formats(tmp_path: Path, text: str, reading: bool, writing: bool) -> None:
    config = Config(written(tmp_path, text))
    for is_writing, fine in ((False, reading), (True, writing)):
        if fine:
            check_format(config, writing=is_writing)
        else:
            with pytest.raises(UnsupportedFormat):
                check_format(config, writing=is_writing)


def test_init(tmp_path: Path) -> None:
    path = tmp_path / ".mvc"
    assert init_git_dir(path, branch="trunk", entries={"core.symlinks": "false"})
    assert is_git_dir(path)
    before = (path / "config").read_bytes()
    assert not init_git_dir(path, branch="other")
    assert (path / "config").read_bytes() == before
    check_format(Config(path / "config"), writing=True)
    assert not resolve(Config(path / "config")).symlinks
    ran = subprocess.run(["git", f"--git-dir={path}", "symbolic-ref", "HEAD"], capture_output=True, check=True)
    assert ran.stdout == b"refs/heads/trunk\n"
    assert dict(git_list(path / "config"))["gc.auto"] == "0"
    (path / "HEAD").unlink()
    assert init_git_dir(path, branch="again")
    with pytest.raises(UsageError):
        init_git_dir(tmp_path / "other", branch="a..b")
    assert not is_git_dir(tmp_path / "other")
