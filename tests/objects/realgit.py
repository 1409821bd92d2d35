"""Real git, run on a repository that mvc made (or the other way round): the judge of these tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from mvc.objects.database import Objects
from mvc.objects.gitdir import init_git_dir
from mvc.objects.model import FILE, Signature, TreeEntry
from mvc.objects.refs import Refs

WHO = Signature("A U Thor", "author@example.org", 1_700_000_000, 330)
_CLEAN = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Git",
    "GIT_AUTHOR_EMAIL": "git@example.org",
    "GIT_COMMITTER_NAME": "Git",
    "GIT_COMMITTER_EMAIL": "git@example.org",
    "LC_ALL": "C",
}


class RealGit:
    """A repository, seen by git (`run`) and by mvc (`objects`, `refs`)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        init_git_dir(path)
        self.reopen()

    def reopen(self) -> None:
        self.objects = Objects(self.path / "objects")
        self.refs = Refs(self.path, self.path)

    def raw(self, *arguments: str, data: bytes | None = None, check: bool = True, **env: str) -> bytes:
        done = subprocess.run(
            ["git", f"--git-dir={self.path}", *arguments],
            input=data,
            capture_output=True,
            env={**_CLEAN, **env},
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"git {arguments} says: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def run(self, *arguments: str, data: bytes | None = None, **env: str) -> str:
        return self.raw(*arguments, data=data, **env).decode("utf-8", "surrogateescape").rstrip("\n")

    def fsck(self, *arguments: str) -> str:
        """What `git fsck --strict` has to say: it must be nothing."""
        done = subprocess.run(
            ["git", f"--git-dir={self.path}", "fsck", "--strict", "--no-progress", *arguments],
            capture_output=True,
            env=_CLEAN,
            check=False,
        )
        said = (done.stdout.decode() + done.stderr.decode()).splitlines()
        return "\n".join(line for line in said if not line.startswith("notice: HEAD points to an unborn branch"))

    def commit(
        self, *parents: str, message: str = "text", time: int = WHO.time, files: dict[str, bytes] | None = None
    ) -> str:
        """A commit that mvc writes, with files at the root."""
        who = Signature(WHO.name, WHO.email, time, WHO.offset_minutes)
        with self.objects.batch() as batch:
            entries = [TreeEntry(n, FILE, batch.blob(d)) for n, d in (files or {"file": message.encode()}).items()]
            new = batch.commit(batch.tree(entries, root=True), parents, who, who, message)
            batch.seal()
        return new
