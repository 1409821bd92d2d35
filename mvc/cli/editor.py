"""Let the user write a text in their editor."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from mvc.errors import Refused, UsageError

if TYPE_CHECKING:
    from mvc.cli.session import Session


def edit(session: Session, text: str, name: str) -> str:
    """Open `text` in the editor, as the file `name` in the repository; returns the text without its comments.

    The file stays there, so that a message is not lost when what follows fails.
    """
    path = session.repo().git_dir / name
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    command = _command(session)
    # As Git does it: through a shell, since an editor may come with options.
    done = subprocess.run(f'{command} "{path}"', shell=True, check=False)
    if done.returncode != 0:
        raise Refused(f"the editor failed: {command}", hint="give the message with -m, or set MVC_EDITOR")
    return without_comments(path.read_text(encoding="utf-8", errors="surrogateescape"))


def without_comments(text: str) -> str:
    """`text` without lines that begin with "#", trailing blanks, and runs of empty lines (Git's `strip`)."""
    lines = [line.rstrip() for line in text.splitlines() if not line.startswith("#")]
    body = "\n".join(lines).strip("\n")
    return re.sub(r"\n{3,}", "\n\n", body)


def _command(session: Session) -> str:
    environment = session.environment
    chosen = [environment.get("MVC_EDITOR"), environment.get("GIT_EDITOR"), session.setting("core.editor")]
    for given in [*chosen, environment.get("VISUAL"), environment.get("EDITOR")]:
        if given and given.strip():
            return given.strip()
    if not session.err.isatty():
        raise UsageError("there is no terminal to edit on", hint="give the message with -m")
    return "vi"
