"""Repositories for tests, and real git beside them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from mvc.objects import trees
from mvc.objects.model import EXEC, FILE, LINK, Signature
from mvc.objects.refs import RefChange
from mvc.repo.locking import edit_stage
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.stage import Stage, StageEntry, stat_of

WHO = Signature("a", "a@example.org", 1_700_000_000)
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "LC_ALL": "C.UTF-8",
}


def git(folder: Path, *arguments: str, check: bool = True) -> bytes:
    """Run git and return what it prints."""
    done = subprocess.run(["git", *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"git {arguments} says: {done.stderr.decode(errors='replace')}")
    return done.stdout


def write(top: Path, files: dict[str, bytes]) -> None:
    """Make files, and folders for them."""
    for path, data in files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(data)


def stage_file(repo: Repository, stage: Stage, path: str) -> None:
    """What add does, for small files."""
    target = os.path.join(os.fsencode(repo.require_worktree()), path.encode("utf-8", "surrogateescape"))
    found = os.lstat(target)
    is_link = os.path.islink(target)
    data = os.readlink(target) if is_link else Path(os.fsdecode(target)).read_bytes()
    with repo.objects.batch(keep="test") as batch:
        blob = batch.blob(data)
        batch.seal()
    mode = LINK if is_link else EXEC if found.st_mode & 0o100 else FILE
    stage.put(StageEntry(path, mode, blob, len(data), None, stat_of(found)))


def stage_all(repo: Repository) -> None:
    """What `add -A` does."""
    with edit_stage(repo) as stage:
        found = scan(repo, stage, untracked=Untracked.ALL)
        for path in found.deleted:
            stage.remove(path)
        for path in (*found.modified, *found.typechanged, *found.untracked):
            stage_file(repo, stage, path)


def commit_stage(repo: Repository) -> str:
    """What commit does; the new commit."""
    with edit_stage(repo) as stage:
        head = repo.refs.head().id
        with repo.objects.batch() as batch:
            tree = trees.build(batch, stage.items())
            new = batch.commit(tree, [head] if head else [], WHO, WHO, "m")
            batch.seal()
        repo.refs.update([RefChange("HEAD", head, new)], message="commit: m", author=WHO)
        stage.tree = tree
    return new
