"""A repository that a test drives by the command line, in this process, and that real git reads."""

from __future__ import annotations

import io
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvc.cli.errors import report
from mvc.cli.program import program
from mvc.cli.session import Session
from mvc.repo.create import init
from mvc.repo.repository import Repository


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class World:
    """A worktree. `mvc("commit", "-m", "x")` must succeed; `mvc(..., code=5)` must end with that code."""

    def __init__(self, path: Path, *, new: bool = True) -> None:
        self.path = path
        self.home = path.parent
        if new:
            path.mkdir()
            init(path)
        self._opened: Repository | None = None
        self.environment = {
            "HOME": str(self.home),
            "MVC_AUTHOR_NAME": "A U Thor",
            "MVC_AUTHOR_EMAIL": "author@example.org",
        }

    @property
    def repo(self) -> Repository:
        """Opened anew: what another process would see. It is closed when the next one is."""
        self.close()
        self._opened = Repository.discover(self.path)
        return self._opened

    def close(self) -> None:
        if self._opened is not None:
            self._opened.objects.close()
            self._opened = None

    def mvc(self, *arguments: str, code: int = 0, cwd: str = "") -> Ran:
        """Run a command line, which must end with `code`."""
        ran = self.run(*arguments, cwd=cwd)
        assert ran.code == code, f"mvc {' '.join(arguments)}: {ran}"
        return ran

    def run(self, *arguments: str, cwd: str = "") -> Ran:
        """Run a command line."""
        out, err = io.StringIO(), io.StringIO()
        session = Session(self.path / cwd, self.environment, out=out, err=err, arguments=arguments)
        try:
            result = program.main(args=list(arguments), prog_name="mvc", obj=session, standalone_mode=False)
            ended = result if isinstance(result, int) else 0
        except Exception as error:
            ended = report(error, session)
            if ended == 70:
                raise
        finally:
            if session._repo is not None:
                session._repo.objects.close()
        return Ran(ended, out.getvalue(), err.getvalue())

    def git(self, *arguments: str) -> str:
        """Real git on the repository."""
        command = ["git", f"--git-dir={self.repo.git_dir}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={"HOME": str(self.home)})
        return done.stdout.rstrip("\n")

    def write(self, name: str, content: str | bytes) -> None:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def read(self, name: str) -> str:
        return (self.path / name).read_text()

    def files(self) -> dict[str, str]:
        """All files of the worktree."""
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes().decode("utf-8", "replace")
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and ".mvc" not in path.relative_to(self.path).parts
        }

    def commit(self, message: str, /, **files: str | None) -> str:
        """Write files ("__" stands for "/", "_" for "."; None removes), stage everything and commit."""
        for key, content in files.items():
            name = key.replace("__", "/").replace("_", ".")
            if content is None:
                (self.path / name).unlink()
            else:
                self.write(name, content)
        self.mvc("add", "-A")
        self.mvc("commit", "-m", message, "--no-environment")
        return self.head()

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def subjects(self, revision: str = "HEAD") -> list[str]:
        """The first lines of the messages, the newest first."""
        return self.git("log", "--format=%s", revision).split("\n")

    def status(self) -> list[str]:
        """What differs: "staged x", "changed x", "new x", "conflict x"."""
        repo = self.repo
        from mvc.ops.differences import changed_paths, staged_differences
        from mvc.repo.locking import read_stage
        from mvc.repo.scan import scan

        stage = read_stage(repo)
        head = repo.refs.head().id
        found = scan(repo, stage)
        rows = [
            f"staged {path}"
            for path in staged_differences(repo, stage, repo.objects.commit(head).tree if head else None)
        ]
        rows += [f"changed {path}" for path in changed_paths(found)]
        rows += [f"new {path}" for path in found.untracked]
        return rows + [f"conflict {path}" for path in stage.conflicts()]

    def check(self) -> None:
        """Nothing is wrong with what real git can see."""
        self.git("fsck", "--strict", "--no-dangling")
