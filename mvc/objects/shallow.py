"""`.mvc/shallow`: the commits at which a shallow history ends, an id a line, as Git keeps them (gitformat-shallow).

Such a commit counts as one without parents: whoever reads it through `ObjectReader.commit` sees none.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mvc import fsio
from mvc.errors import IntegrityError
from mvc.objects.encoding import is_id

FILE = "shallow"


def read_shallow(git_dir: Path) -> frozenset[str]:
    """The commits; none where the history is whole. Raises IntegrityError for a file that makes no sense."""
    try:
        text = (git_dir / FILE).read_bytes()
    except FileNotFoundError:
        return frozenset()
    lines = text.decode("ascii", "replace").split("\n")
    if not all(is_id(line) for line in lines[:-1]) or lines[-1]:
        raise IntegrityError(f"{git_dir / FILE} does not list commits", hint="mvc fetch --unshallow writes it anew")
    return frozenset(lines[:-1])


def write_shallow(git_dir: Path, commits: Iterable[str]) -> None:
    """Durably; with none, the history is whole and the file goes."""
    path = git_dir / FILE
    text = "".join(f"{commit}\n" for commit in sorted(commits))
    if text:
        fsio.write_atomic(path, text.encode())
    else:
        fsio.unlink(path, missing_ok=True)
        fsio.fsync_dir(git_dir)
