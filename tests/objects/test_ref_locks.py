"""Several refs' locks at once: what others hold is waited for with empty hands, in whatever order they take theirs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mvc import fsio
from mvc.errors import Locked
from mvc.objects.refs import RefChange
from tests.objects.realgit import WHO, RealGit

MAIN, SIDE = "refs/heads/main", "refs/heads/side"


def take(path: Path, text: str) -> None:
    """A lock as git makes it, with the ref's new value in it. Raises FileExistsError if another holds it."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(fd, text.encode() + b"\n")
    os.close(fd)


@pytest.mark.parametrize(("first", "then"), [("HEAD", MAIN), (MAIN, "HEAD"), (SIDE, MAIN), (MAIN, SIDE)])
def test_who_holds_one_lock_gets_the_other_while_mvc_waits(git: RealGit, first: str, then: str) -> None:
    """Git takes HEAD's lock, then the branch's (`git commit`), or the other way round (`git update-ref
    refs/heads/main`), and gives up when it has waited for a tenth of a second."""
    one = git.commit()
    held, wanted = (git.path / f"{ref}.lock" for ref in (first, then))
    take(held, one)
    looks = 0

    def hook(operation: str, path: str) -> None:
        # Whoever finds a lock taken asks for its age: by the time of a file made beside it.
        nonlocal looks
        if operation == "create" and path == os.fspath((held if looks < 3 else wanted).parent):
            looks += 1
            if looks == 3:
                take(wanted, one)
                held.unlink()
            if looks == 5:
                wanted.unlink()

    with fsio.hooked(hook):
        changes = [RefChange(MAIN, None, one), RefChange(SIDE, None, one)]
        git.refs.update(changes, message="both", author=WHO, wait=300)
    assert looks >= 5 and git.refs.list() == {MAIN: one, SIDE: one}
    assert not list(git.path.rglob("*.lock"))


def test_a_lock_that_stays_is_told_of_and_nothing_else_is_kept(git: RealGit) -> None:
    one = git.commit()
    take(git.path / f"{SIDE}.lock", one)
    for wait in (0, 0.05):
        with pytest.raises(Locked, match=r"side\.lock"):
            changes = [RefChange(MAIN, None, one), RefChange(SIDE, None, one)]
            git.refs.update(changes, message="both", author=WHO, wait=wait)
        assert list(git.path.rglob("*.lock")) == [git.path / f"{SIDE}.lock"]
    assert git.refs.list() == {}
