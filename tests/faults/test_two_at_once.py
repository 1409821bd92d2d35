"""Two processes commit at the same moment: each has its commit in the log, or one clean error and changed nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mvc.ops.fsck import fsck
from mvc.repo.repository import Repository
from tests.models import fine_tuned, layers, write_model

REFUSED = 5
TOP = Path(__file__).parents[2]


def _environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "HOME": str(home),
        "PYTHONPATH": str(TOP),
        "MVC_AUTHOR_NAME": "A U Thor",
        "MVC_AUTHOR_EMAIL": "author@example.org",
    }


def _start(work: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mvc", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=work, env=_environment(work.parent), stdout=pipe, stderr=pipe, text=True)


def _mvc(work: Path, *arguments: str) -> str:
    process = _start(work, *arguments)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def _git(work: Path, *arguments: str) -> str:
    git = ["git", f"--git-dir={work / '.mvc'}", *arguments]
    return subprocess.run(git, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
@pytest.mark.parametrize(("wait", "rounds"), [(False, 8), (True, 20)])
def test_two_commits_at_once(tmp_path: Path, wait: bool, rounds: int) -> None:
    work = tmp_path / "work"
    work.mkdir()
    _mvc(work, "init", "-q")
    weights = layers(count=1)
    write_model(work / "model.safetensors", weights)
    _mvc(work, "add", ".")
    _mvc(work, "commit", "-q", "-m", "begin")
    expected = {"begin"}
    for number in range(rounds):
        weights = fine_tuned(weights, seed=number)
        write_model(work / "model.safetensors", weights)
        (work / f"{number}.txt").write_text("text")
        waiting = ["--wait-for-lock", "300"] if wait else []
        verb = ["commit", "-q", "-a", "--allow-empty", "--no-environment", "-m"]
        both = {f"{number}{side}": _start(work, *waiting, *verb, f"{number}{side}") for side in "ab"}
        done = 0
        for subject, process in both.items():
            _, err = process.communicate(timeout=300)
            assert process.returncode in (0, REFUSED), err
            assert "Traceback" not in err and err.count("error:") == (process.returncode == REFUSED), err
            if process.returncode == 0:
                expected.add(subject)
                done += 1
            else:
                assert "another process moved it" in err or ("holds the lock" in err and not wait), err
        assert done, "one of them always comes through"
    assert expected == set(_git(work, "log", "--format=%s").split())
    assert not fsck(Repository.discover(work)).findings
    assert not list((work / ".mvc/locks").glob("*.lock*"))
    assert _mvc(work, "status", "--porcelain", "--untracked-files=no") == ""
    _git(work, "fsck", "--strict")


def test_a_commit_waits_for_the_lock(tmp_path: Path) -> None:
    """As long as it was told to, then one line says who holds it."""
    work = tmp_path / "work"
    work.mkdir()
    _mvc(work, "init", "-q")
    (work / "a").write_text("a")
    _mvc(work, "add", "a")
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from mvc.repo.locking import edit_stage\n"
        "from mvc.repo.repository import Repository\n"
        "with edit_stage(Repository.discover(Path('.')), what='hold it'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=work, env=_environment(tmp_path), stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        refused = _start(work, "commit", "-m", "x")
        _, err = refused.communicate(timeout=300)
        assert refused.returncode == REFUSED and "hold it" in err and f"process {holder.pid}" in err, err
        waits = _start(work, "--wait-for-lock", "300", "commit", "-q", "-m", "x")
        with pytest.raises(subprocess.TimeoutExpired):
            waits.wait(1.0)
        holder.stdin.close()
        _, err = waits.communicate(timeout=300)
        assert waits.returncode == 0, err
    assert _git(work, "log", "--format=%s").split() == ["x"]
