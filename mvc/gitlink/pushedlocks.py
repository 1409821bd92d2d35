"""Which mvc commits the Git commits need that are about to be pushed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
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
    """What one Git ref needs, or with `tip` None the commits behind all of them."""

    branch: str | None
    """The branch that it goes to there; None for a tag or anything else."""
    tip: str | None
    """The mvc commit of the last Git commit."""
    older: tuple[str, ...] = ()
    """Those of other Git commits that are pushed, newest first."""
    forced: bool = False
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
    """For each folder with a lock: what the refs need. `remote`: Git's name of it, or a URL.

    Commits that Git's remote-tracking branches hold already are taken to have been looked at when they were pushed,
    but for the last one of each ref. However many refs there are, git is asked a few times.
    """
    known = _commits(top, [name for ref in refs for name in (ref.new, ref.old) if name.strip("0")])
    tips = {ref: known[ref.new] for ref in refs if ref.new in known}  # a tag may be of a tree
    commits = _pushed(top, dict.fromkeys(tips.values()), [ref.old for ref in refs if ref.old in known], remote)
    found: dict[str, list[Needed]] = {}
    for folder in folders:
        locks = _locks(top, commits, f"{folder}/{LOCK_FILE}" if folder else LOCK_FILE)
        needs = [
            Needed(_branch(ref), locks[tip], forced=_is_forced(top, ref, known))
            for ref, tip in tips.items()
            if tip in locks
        ]
        last = {need.tip for need in needs}
        older = tuple(dict.fromkeys(lock for lock in locks.values() if lock not in last))
        found[folder] = [*needs, Needed(None, None, older)] if older else needs
    return found


def _branch(ref: PushedRef) -> str | None:
    return ref.remote.removeprefix(_HEADS) if ref.remote.startswith(_HEADS) else None


def _is_forced(top: Path, ref: PushedRef, known: Mapping[str, str]) -> bool:
    if not ref.old.strip("0"):
        return False
    return ref.old not in known or ask(top, "merge-base", "--is-ancestor", ref.old, ref.new) is None


def _commits(top: Path, names: Sequence[str]) -> dict[str, str]:
    """Object -> the commit that it is, or is a tag of; of those that are here."""
    unique = list(dict.fromkeys(names))
    questions = "".join(f"{name}^{{commit}}\n" for name in unique)
    rows = run(top, "cat-file", "--batch-check", data=questions.encode()).decode().splitlines()
    answers = zip(unique, map(str.split, rows), strict=False)
    return {name: words[0] for name, words in answers if len(words) == 3 and words[1] == "commit"}


def _pushed(top: Path, tips: Iterable[str], there: Sequence[str], remote: str) -> list[str]:
    """The Git commits that this push brings, newest first behind `tips` themselves."""
    tips = list(tips)
    # Names with what is special in a pattern are not looked for.
    plain = remote.replace("-", "").replace("_", "").replace(".", "").isalnum()
    given = "".join(f"{name}\n" for name in (*tips, *(f"^{name}" for name in there)))
    exclude = ["--not", f"--remotes={remote}"] if plain else []
    rows = run(top, "rev-list", "--stdin", *exclude, data=given.encode()).decode().split() if tips else []
    return list(dict.fromkeys([*tips, *rows]))


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
