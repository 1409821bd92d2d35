"""Two versions of `mvc.lock` merged: the newer, where one mvc commit holds the other; else it is for mvc to merge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mvc.errors import MvcError, ParseError
from mvc.gitlink.lockfile import parse

IsAncestor = Callable[[str, str], bool]
"""Whether the first mvc commit is the second, or comes before it. Raises MvcError where one is not here."""

Now = Callable[[], bytes | None]


@dataclass(frozen=True, slots=True)
class MergedLock:
    """`data` is the file's new content. `conflict` says what to do, None where there is none."""

    data: bytes
    conflict: str | None = None


def merge_locks(
    base: bytes, ours: bytes, theirs: bytes, is_ancestor: IsAncestor, now: Now, then: str = "git commit"
) -> MergedLock:
    """`now` makes the lock of mvc's own HEAD, which may hold both already; None: there is none. `then` is the command
    of Git's that goes on when mvc has merged.

    Raises ParseError for sides that are no locks: they are to be merged as text.
    """
    one, two = parse(ours), parse(theirs)
    other = two.commit
    if one.commit == two.commit:
        # What may differ is where the commit is to be had: who changed that has a reason.
        return MergedLock(theirs if ours == base else ours)
    try:
        if is_ancestor(two.commit, one.commit):
            return MergedLock(ours)
        if is_ancestor(one.commit, two.commit):
            return MergedLock(theirs)
        head = now()
        if head is not None and is_ancestor(two.commit, parse(head).commit):
            if is_ancestor(one.commit, parse(head).commit):
                return MergedLock(head)
            # In a rebase mvc stays on the branch that is rebased, which Git calls theirs.
            other = one.commit
    except ParseError:
        raise
    except MvcError as error:
        text = f"mvc commits {one.commit[:10]} and {two.commit[:10]} cannot be compared: {error.message}"
        return MergedLock(
            _marked(ours, theirs, "mvc fetch", other, then), f"{text}; mvc fetch, then mvc merge {other[:10]}"
        )
    text = f"both sides changed the models: mvc merge {other[:10]} joins them and stages mvc.lock, then {then}"
    return MergedLock(_marked(ours, theirs, None, other, then), text)


def _marked(ours: bytes, theirs: bytes, first: str | None, other: str, then: str) -> bytes:
    """Both sides between Git's markers, under what to do."""
    before = f"#   {first}\n" if first else ""
    head = (
        f"# Both sides changed the models. To finish:\n{before}#   mvc merge {other}\n#   {then}\n"
        "# mvc writes this file anew, and stages it.\n"
    )
    return b"".join((head.encode(), b"<<<<<<< ours\n", ours, b"=======\n", theirs, b">>>>>>> theirs\n"))
