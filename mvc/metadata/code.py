"""The Git commit of the code that a model was made with."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from mvc.metadata.secrets import without_credentials

_SECONDS = 20
_NO_CODE = (":(top,exclude,glob)**/mvc.lock", ":(top,exclude,glob)**/.gitignore")


def describe_code(folder: Path) -> dict[str, Any]:
    """`commit`, `branch`, `dirty`, `remote` of the Git worktree that `folder` lies in; empty where there is none.

    `dirty`: a file that Git tracks differs from the commit; not counted are `mvc.lock` and `.gitignore`, which mvc
    writes itself and which are no code. No optional lock is taken, so that a `git` beside it is not disturbed; Git's
    own fsmonitor and hooks are kept from running.
    """
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no", "--", ":/", *_NO_CODE)
    if status is None:
        return {}
    lines = status.splitlines()
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    commit = heads.get("branch.oid", "(initial)")
    if commit.startswith("("):
        return {}
    found: dict[str, Any] = {"commit": commit}
    if not (branch := heads.get("branch.head", "(detached)")).startswith("("):
        found["branch"] = branch
    found["dirty"] = any(not line.startswith("#") for line in lines)
    if remote := _git(folder, "config", "--get", "remote.origin.url"):
        found["remote"] = without_credentials(remote)
    return found


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None
