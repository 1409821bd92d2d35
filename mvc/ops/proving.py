"""Asking a repository's remotes whether they hold chunks: before something goes that they could bring back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from mvc.errors import MvcError, UsageError
from mvc.ops.connect import Outside, connect
from mvc.progress import SILENT, Progress
from mvc.repo.repository import Repository
from mvc.sync.held import Held, held_by
from mvc.sync.remotes import configured


@contextlib.contextmanager
def asking(repo: Repository, outside: Outside, progress: Progress = SILENT) -> Iterator[Held]:
    """For the length of a `with` block: what asks the remotes of the repository. None is asked before it is called.

    One that does not answer counts as one that holds nothing, with a warning.
    """
    with contextlib.ExitStack() as stack:
        opened: list[Held] | None = None

        def held(names: Sequence[bytes]) -> bool:
            nonlocal opened
            if opened is None:
                opened = [one for one in _open(repo, outside, stack, progress)]
            return any(_ask(one, names, progress) for one in opened)

        yield held


def _open(repo: Repository, outside: Outside, stack: contextlib.ExitStack, progress: Progress) -> Iterator[Held]:
    for config in configured(repo.config):
        try:
            yield held_by(stack.enter_context(connect(repo, config, outside)), progress)
        except UsageError:
            continue  # a URL of a kind that is not known here
        except (MvcError, OSError) as error:
            progress.warn(f"remote {config.name} could not be asked: {error}")


def _ask(held: Held, names: Sequence[bytes], progress: Progress) -> bool:
    try:
        return held(names)
    except MvcError as error:
        progress.warn(f"a remote could not be asked: {error}")
        return False
