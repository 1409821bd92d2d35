"""How the Git objects of what is staged are kept from `git gc` until a commit reaches them."""

from __future__ import annotations

from mvc.repo.repository import Repository


def stage_label(repo: Repository) -> str:
    """The label of the packs that keep what this worktree has staged (`Objects.batch(keep=...)`)."""
    return f"stage {repo.git_dir.name}"


def kept_for_stage(repo: Repository) -> frozenset[str]:
    """The names of those packs now. Take it before reading the stage, for `release`."""
    label = stage_label(repo)
    return frozenset(name for name, other in repo.objects.kept().items() if other == label)


def release(repo: Repository, seen: frozenset[str]) -> None:
    """All that was staged is committed: git may treat these packs as any other.

    If another process has begun to stage meanwhile (there is a pack that was not `seen`), the
    packs stay kept until the next commit.
    """
    if seen and kept_for_stage(repo) <= seen:
        repo.objects.drop_keep(stage_label(repo))
