"""Which mvc commits the Git commits need that are about to be pushed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mvc.errors import MvcError, ParseError
from mvc.gitlink.lockfile import parse
from mvc.gitlink.outer import ask, run
from mvc.objects.outergit import LOCK_FILE

_HEADS = "refs/heads/"


class PushedRef(NamedTuple):
    """A line of what Git tells its hook pre-push: `local` and `remote` are names, `new` and `old` Git commits."""

    local: str
    new: str
    remote: str
    old: str


@dataclass(frozen=True, slots=True)
class Needed:
    """What one Git ref needs. `branch`: the branch that it goes to there, None for a tag or anything else."""

    branch: str | None
    tip: str | None
    """The mvc commit of the last Git commit; None: that one has no lock."""
    older: tuple[str, ...]
    """Those of the other Git commits that are pushed, newest first."""
    forced: bool
    """Git's ref there does not come before this one: history is rewritten."""


def parse_refs(text: str) -> list[PushedRef]:
    """What Git writes to the hook's stdin; deletions are left out. Raises ParseError."""
    found = []
    for line in text.splitlines():
        words = line.split(" ")
        if len(words) != 4:
            raise ParseError("this is not what Git tells the hook pre-push")
        if words[1].strip("0"):
            found.append(PushedRef(*words))
    return found


def needed(top: Path, folders: Sequence[str], refs: Sequence[PushedRef], remote: str) -> Mapping[str, list[Needed]]:
    """For each folder with a lock: what each ref needs. `remote`: Git's name of it, or a URL.

    Commits that Git's remote-tracking branches hold already are taken to have been looked at when they were pushed,
    but for the last one of each ref.
    """
    found: dict[str, list[Needed]] = {folder: [] for folder in folders}
    for ref in refs:
        commits = _pushed(top, ref, remote)
        forced = bool(ref.old.strip("0")) and ask(top, "merge-base", "--is-ancestor", ref.old, ref.new) is None
        branch = ref.remote.removeprefix(_HEADS) if ref.remote.startswith(_HEADS) else None
        for folder in folders:
            locks = _locks(top, commits, f"{folder}/{LOCK_FILE}" if folder else LOCK_FILE)
            tip = locks.get(commits[0]) if commits else None
            older = tuple(dict.fromkeys(lock for lock in locks.values() if lock != tip))
            if tip is not None or older:
                found[folder].append(Needed(branch, tip, older, forced))
    return found


def _pushed(top: Path, ref: PushedRef, remote: str) -> list[str]:
    """The Git commits that this push brings, newest first; at least the last one."""
    last = ask(top, "rev-parse", "-q", "--verify", f"{ref.new}^{{commit}}")
    if last is None:
        return []  # a tag of a tree, say
    tip = last.decode().strip()
    known = ref.old.strip("0") and ask(top, "cat-file", "-e", ref.old) is not None
    # Names with what is special in a pattern are not looked for.
    tracked = [f"--remotes={remote}"] if remote.replace("-", "").replace("_", "").replace(".", "").isalnum() else []
    exclude = [f"^{ref.old}"] if known else []
    rows = run(top, "rev-list", tip, *exclude, "--not", *tracked).decode().split()
    return list(dict.fromkeys([tip, *rows]))


def _locks(top: Path, commits: Sequence[str], path: str) -> dict[str, str]:
    """Git commit -> mvc commit, of those that have a lock."""
    if not commits or "\n" in path:
        return {commit: lock for commit in commits if (lock := _one(top, commit, path)) is not None}
    questions = b"".join(b"%s:%s\n" % (commit.encode(), os.fsencode(path)) for commit in commits)
    rows = run(top, "cat-file", "--batch-check", data=questions).split(b"\n")
    blobs = {
        commit: words[0].decode()
        for commit, row in zip(commits, rows, strict=False)
        if len(words := row.split(b" ")) == 3 and words[1] == b"blob"
    }
    locks = {blob: _commit(run(top, "cat-file", "blob", blob)) for blob in dict.fromkeys(blobs.values())}
    return {commit: lock for commit, blob in blobs.items() if (lock := locks[blob]) is not None}


def locked_commit(top: Path, revision: str, folder: str) -> str | None:
    """The mvc commit that a Git revision names for a folder; None where there is no lock, or no such revision."""
    if not revision or revision.startswith("-"):
        return None
    return _one(top, revision, f"{folder}/{LOCK_FILE}" if folder else LOCK_FILE)


def _one(top: Path, commit: str, path: str) -> str | None:
    data = ask(top, "cat-file", "blob", f"{commit}:{path}")
    return _commit(data) if data is not None else None


def _commit(data: bytes) -> str | None:
    """What a lock names; None for one that is none (conflict markers that were committed)."""
    try:
        return parse(data).commit
    except MvcError:
        return None
