"""From a tree to a commit that a branch holds: the steps that all verbs of history have in common.

Order: the batch's pack is durable before the reflogs, those before the ref, and the ref moves
before the stage is saved. A crash in between leaves the old commit or the new one.
"""

from __future__ import annotations

from collections.abc import Sequence

from mvc.errors import Refused
from mvc.objects import trees
from mvc.objects.batch import ObjectBatch
from mvc.objects.model import Commit, TreeEntry, TreeItem
from mvc.objects.refs import Head, RefChange
from mvc.ops.caller import Caller
from mvc.repo import inprogress
from mvc.repo.repository import Repository
from mvc.repo.stage import Stage

MERGE_STATE = ("MERGE_HEAD", "MERGE_MODE", "MERGE_MSG", "CHERRY_PICK_HEAD", "REVERT_HEAD", "SQUASH_MSG")
_MIN_WAIT = 1.0


def head_commit(repo: Repository, head: Head | None = None) -> Commit | None:
    """The commit that HEAD is at; None on a branch without one."""
    found = (head or repo.refs.head()).id
    return repo.objects.commit(found) if found else None


def require_head(repo: Repository) -> Commit:
    """The commit that HEAD is at; raises Refused if there is none yet."""
    commit = head_commit(repo)
    if commit is None:
        raise Refused("there is no commit yet", hint='mvc commit -m "..."')
    return commit


def staged_entries(batch: ObjectBatch, stage: Stage, base: str | None = None) -> list[TreeEntry]:
    """Write the folders of what is staged; the root's entries, for `trees.finished`. `base` is a tree known to be
    near."""
    if stage.tree is not None:
        return trees.updated(batch, stage.tree, {})
    items = stage.items()
    if base is None:
        return trees.built(batch, items)
    before = trees.flatten(batch.reader, base)
    changes: dict[str, TreeItem | None] = {path: item for path, item in items.items() if before.get(path) != item}
    changes.update((path, None) for path in before.keys() - items.keys())
    return trees.updated(batch, base, changes)


def staged_tree(batch: ObjectBatch, stage: Stage, base: str | None = None, metadata: str | None = None) -> str:
    """Write the tree of what is staged, with `metadata` as its `.mvcmeta/`; `base` as in `staged_entries`."""
    return trees.finished(batch, staged_entries(batch, stage, base), metadata)


def advance(
    repo: Repository, new: str, *, old: str | None, message: str, caller: Caller, also: Sequence[RefChange] = ()
) -> None:
    """Move HEAD's branch (or a detached HEAD) from `old` to `new`. Raises RefChanged."""
    changes = [RefChange("HEAD", old, new), *also]
    repo.refs.update(changes, message=message, author=caller.who, wait=max(_MIN_WAIT, caller.wait))


def remember_head(repo: Repository, commit_id: str | None) -> None:
    """Keep where HEAD was in ORIG_HEAD, before a verb that moves it far."""
    if commit_id is not None:
        inprogress.write(repo, {"ORIG_HEAD": f"{commit_id}\n"})


def require_settled(repo: Repository, stage: Stage, verb: str) -> None:
    """Raise Refused while conflicts are unresolved or another verb is unfinished."""
    if stage.conflicts():
        raise Refused(
            f"cannot {verb}: there are unresolved conflicts", hint="resolve them, mvc add the files, then: mvc commit"
        )
    unfinished = inprogress.current(repo)
    if unfinished is not None and unfinished.operation is not inprogress.Operation.BISECT:
        name = unfinished.operation.value
        raise Refused(f"cannot {verb}: a {name} is in progress", hint=f"mvc {name} --continue, or mvc {name} --abort")
