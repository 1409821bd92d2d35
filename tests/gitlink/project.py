"""A Git project with mvc in it, real git around it, and mvc as the hooks start it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mvc.cli.program import run

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ran:
    """What a command did; text, odd names as surrogate escapes."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Outer:
    """A Git worktree. Commands run in it with a home, an author and a path of the test's own."""

    top: Path
    home: Path
    path: str = os.environ["PATH"]

    @property
    def environment(self) -> dict[str, str]:
        who = {f"{kind}_{what}": value for kind in ("GIT_AUTHOR", "GIT_COMMITTER") for what, value in _WHO.items()}
        return {
            "PATH": self.path,
            "HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "GIT_CONFIG_NOSYSTEM": "1",
            "MVC_AUTHOR_NAME": "Ann Other",
            "MVC_AUTHOR_EMAIL": "ann@example.org",
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "protocol.file.allow",
            "GIT_CONFIG_VALUE_0": "always",
            **who,
        }

    def at(self, top: Path) -> Outer:
        return Outer(top, self.home, self.path)

    def git(self, *arguments: str, code: int | None = 0, **environment: str) -> Ran:
        return self.run("git", *arguments, code=code, **environment)

    def mvc(self, *arguments: str, code: int | None = 0, **environment: str) -> Ran:
        """mvc in this process, which is ten times faster than one of its own: the hooks start those."""
        out, err = io.BytesIO(), io.BytesIO()
        before = os.getcwd()
        with pytest.MonkeyPatch.context() as patch:
            for name in set(os.environ) - {"COVERAGE_PROCESS_START"}:
                patch.delenv(name)
            for name, value in {**self.environment, **environment}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="utf-8", newline="\n"))
            patch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding="utf-8", newline="\n"))
            os.chdir(self.top)
            try:
                got = run(arguments)
            finally:
                os.chdir(before)
            sys.stdout.flush()
            sys.stderr.flush()
            text, errors = (stream.getvalue().decode("utf-8", "surrogateescape") for stream in (out, err))
        assert "Traceback" not in errors, errors
        assert code is None or got == code, f"mvc {arguments}: {got}\n{text}{errors}"
        return Ran(got, text, errors)

    def run(self, *command: str, code: int | None = 0, data: str = "", **environment: str) -> Ran:
        done = subprocess.run(
            command,
            cwd=self.top,
            env={**self.environment, **environment},
            input=data.encode("utf-8", "surrogateescape"),
            capture_output=True,
            check=False,
        )
        out, err = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
        assert "Traceback" not in err, err
        assert code is None or done.returncode == code, f"{command}: {done.returncode}\n{out}{err}"
        return Ran(done.returncode, out, err)

    def write(self, **files: str | bytes) -> None:
        """Files by name, "__" for a dot."""
        for name, data in files.items():
            path = self.top / name.replace("__", ".")
            path.write_bytes(data.encode() if isinstance(data, str) else data)

    def models(self, text: str, message: str = "models") -> str:
        """Commit a model to mvc, and its lock to Git; returns the mvc commit."""
        self.write(model__bin=text * 70_000)
        self.mvc("add", "model.bin")
        self.mvc("commit", "-q", "-m", message, "--no-environment")
        self.git("add", ".gitignore")
        self.git("commit", "-q", "--no-verify", "-m", message)
        return self.head()

    def read(self) -> str:
        """The first character of the model."""
        return (self.top / "model.bin").read_text()[0]

    def head(self, revision: str = "HEAD") -> str:
        """An mvc commit, as plain git reads it."""
        return self.git(f"--git-dir={self._inner()}", "rev-parse", revision).out.strip()

    def branch(self) -> str | None:
        """The branch that mvc is on."""
        return (
            self.git(f"--git-dir={self._inner()}", "symbolic-ref", "-q", "--short", "HEAD", code=None).out.strip()
            or None
        )

    def _inner(self) -> Path:
        found = self.top / ".mvc"
        if found.is_file():
            return Path(found.read_text().removeprefix("mvcdir: ").strip())
        return found

    def hooks(self) -> dict[str, bytes]:
        """What stands in the folder of hooks, with its modes."""
        folder = self.top / self.git("rev-parse", "--git-path", "hooks").out.strip()
        return {
            f"{path.name} {path.lstat().st_mode:o}": os.readlink(path).encode()
            if path.is_symlink()
            else path.read_bytes()
            for path in folder.iterdir()
            if not path.name.endswith(".sample")
        }


_WHO = {"NAME": "Ann Other", "EMAIL": "ann@example.org"}


def new_project(tmp_path: Path, name: str = "project") -> Outer:
    """A Git project with some code, and an empty mvc repository in it."""
    top, home = tmp_path / name, tmp_path / "home"
    top.mkdir()
    home.mkdir(exist_ok=True)
    made = Outer(top, home)
    made.git("init", "-q", "-b", "main")
    made.write(train__py="code\n")
    made.git("add", ".")
    made.git("commit", "-q", "-m", "code")
    made.mvc("init", "-q")
    return made
