"""The merge driver of `mvc.lock` in a Git project: its command in Git's config, its line in `info/attributes`."""

from __future__ import annotations

from pathlib import Path

from mvc import fsio
from mvc.gitlink.hookscripts import Program, merge_driver
from mvc.gitlink.outer import Project, ask, git_path, run
from mvc.objects.outergit import LOCK_FILE

_SECTION = "merge.mvc-lock"
_NAME = "the newer of two mvc commits, else mvc merge"
_MARK = b"# mvc hooks: how mvc.lock is merged"
_NEW = b" (this file is mvc's alone)"
_ENDED = b" (the line above had no end)"
_LINE = f"{LOCK_FILE} merge=mvc-lock".encode()


def driver_state(project: Project, program: Program) -> str:
    """ "installed", "outdated" (as it would not be written now) or "absent"."""
    command = ask(project.folder, "config", "--local", "--get", f"{_SECTION}.driver")
    attributes = _read(git_path(project, "info/attributes"))
    if command is None and _MARK not in attributes:
        return "absent"
    wanted = merge_driver(program).encode("utf-8", "surrogateescape")
    return "installed" if command == wanted + b"\n" and _LINE in attributes.splitlines() else "outdated"


def install_driver(project: Project, program: Program) -> bool:
    """Put it in; returns whether anything changed."""
    if driver_state(project, program) == "installed":
        return False
    run(project.folder, "config", "--local", f"{_SECTION}.name", _NAME)
    run(project.folder, "config", "--local", f"{_SECTION}.driver", merge_driver(program))
    path = git_path(project, "info/attributes")
    before = _read(path)
    if _LINE not in before.splitlines():
        fsio.make_dirs(path.parent)
        note = _NEW if not path.exists() else b"" if not before or before.endswith(b"\n") else _ENDED
        start = before + b"\n" if note == _ENDED else before
        fsio.write_atomic(path, b"%b%b%b\n%b\n" % (start, _MARK, note, _LINE))
    return True


def uninstall_driver(project: Project) -> bool:
    """Take it out, to the byte; returns whether it was there."""
    was = ask(project.folder, "config", "--local", "--remove-section", _SECTION) is not None
    path = git_path(project, "info/attributes")
    data = _read(path)
    at = data.find(_MARK)
    if at < 0:
        return was
    block = data[at:].split(b"\n", 2)
    rest = block[2] if len(block) > 2 and block[1] == _LINE else b"\n".join(block[1:])
    text = data[:at]
    if block[0].endswith(_ENDED) and not rest:
        text = text.removesuffix(b"\n")
    if block[0].endswith(_NEW) and not text + rest:
        fsio.unlink(path)
    else:
        fsio.write_atomic(path, text + rest)
    return True


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
