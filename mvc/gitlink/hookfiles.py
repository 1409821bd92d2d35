"""Putting hooks into the folder that Git says, and taking them out again, to the byte."""

from __future__ import annotations

import contextlib
import os
import stat as modes
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mvc import fsio
from mvc.errors import Refused
from mvc.gitlink.hookscripts import BEFORE, HOOKS, Program, is_ours, script
from mvc.gitlink.managers import Manager, find_manager
from mvc.gitlink.outer import Project, git_path

State = Literal["installed", "outdated", "absent", "other", "through", "replaced"]
_LARGEST = 1 << 20
_PRE_COMMITS = ".legacy"
"""Behind the name of a hook that the framework pre-commit found, and runs first."""


@dataclass(frozen=True, slots=True)
class HookFile:
    """One hook.

    `state`: "outdated" is ours, but not as it would be written now; "other" is not ours; "through" is run by a
    manager; "replaced" is not ours, though one of before ours is still put aside.
    """

    name: str
    path: Path
    state: State
    before: Path | None = None
    """The hook that stood there before, and runs first."""

    @property
    def runs(self) -> bool:
        """Does Git come to run mvc by it?"""
        return self.state in ("installed", "outdated", "through")


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of a project, and who looks after them."""

    folder: Path
    shared: bool
    """The folder lies outside of the project: it serves other repositories as well."""
    manager: Manager | None
    files: tuple[HookFile, ...]


def find_hooks(project: Project, program: Program) -> Hooks:
    """The hooks as they are."""
    folder = git_path(project, "hooks")
    shared = not _is_within(folder, project)
    manager = find_manager(project, folder)
    files = tuple(_look(folder, name, script(name, program, shared=shared), manager) for name in HOOKS)
    return Hooks(folder, shared, manager, files)


def install_hooks(project: Project, program: Program, *, force: bool = False) -> tuple[Hooks, tuple[str, ...]]:
    """Put all hooks in; returns them, and the names of those that were written. Twice is once.

    Raises Refused in a bare repository, where a manager writes the folder itself (but with `force`), and where a
    hook took the place of one of ours whose own predecessor is still put aside: nothing is written then.
    """
    project.require_top()
    found = find_hooks(project, program)
    if found.manager is not None and found.manager.owns_folder and not force:
        raise Refused(
            f"{found.manager.name} writes the hooks of this project: nothing was installed",
            hint="put the lines above into its files, or: mvc hooks install --force",
        )
    for one in found.files:
        if one.state == "replaced":
            aside = one.path.with_name(one.name + BEFORE)
            raise Refused(
                f"another hook took the place of mvc's {one.name}, and {aside.name} is still there",
                hint=f"join the two in {one.path}, remove {aside}, then again",
            )
    fsio.make_dirs(found.folder)
    written = []
    for one in found.files:
        if one.state in ("installed", "through"):
            continue
        if one.state == "other":
            _put_aside(one.path, one.path.with_name(one.name + BEFORE))
        fsio.write_atomic(one.path, script(one.name, program, shared=found.shared), mode=0o777)
        written.append(one.name)
    return find_hooks(project, program), tuple(written)


def uninstall_hooks(project: Project) -> tuple[Path, tuple[str, ...], tuple[str, ...]]:
    """Take ours out, from where Git looks now and from where it would look by itself. Returns the folder, the names of
    those that went, and of those that stayed, since another hook took their place."""
    folder = git_path(project, "hooks")
    gone: list[str] = []
    stayed: list[str] = []
    for place in dict.fromkeys((folder, project.common_dir / "hooks")):
        for name in HOOKS:
            path, aside = place / name, place / (name + BEFORE)
            if _is_ours(path) or (os.path.lexists(aside) and not os.path.lexists(path)):
                if os.path.lexists(aside):
                    fsio.replace(aside, path)
                else:
                    fsio.unlink(path)
                gone.append(name)
            elif _is_same(path, aside):
                fsio.unlink(aside)  # an install was killed between the two
            elif os.path.lexists(aside):
                stayed.append(name)
    return folder, tuple(dict.fromkeys(gone)), tuple(stayed)


def _look(folder: Path, name: str, wanted: bytes, manager: Manager | None) -> HookFile:
    path = folder / name
    aside: Path | None = path.with_name(name + BEFORE)
    if aside is None or not os.path.lexists(aside):
        aside = None
    data = _read(path)
    if data is None:
        state: State = "through" if manager is not None and manager.runs(name) else "absent"
        return HookFile(name, path, state, aside)  # with one put aside: an install was killed, or ours was deleted
    if is_ours(data):
        current = data == wanted and os.access(path, os.X_OK)
        return HookFile(name, path, "installed" if current else "outdated", aside)
    if _is_ours(path.with_name(name + _PRE_COMMITS)) or (manager is not None and manager.runs(name)):
        return HookFile(name, path, "through", aside)
    if aside is None or _is_same(path, aside):  # an install that was killed in between
        return HookFile(name, path, "other", aside)
    return HookFile(name, path, "replaced", aside)


def _put_aside(path: Path, aside: Path) -> None:
    """The hook gets a second name, and loses its first when ours is written there: at no moment is there none."""
    if os.path.lexists(aside):
        return
    if not path.is_symlink():
        with contextlib.suppress(OSError):
            fsio.link(path, aside)
            return
    fsio.replace(path, aside)


def _is_same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.lstat(one), os.lstat(other))
    return False


def _is_ours(path: Path) -> bool:
    data = _read(path)
    return data is not None and is_ours(data)


def _read(path: Path) -> bytes | None:
    """What a hook holds; b"" for what is no file that could be read, None where nothing is."""
    try:
        found = os.lstat(path)
        if not modes.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            return b""
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return b""


def _is_within(folder: Path, project: Project) -> bool:
    real = Path(os.path.realpath(folder))
    return any(
        place is not None and real.is_relative_to(os.path.realpath(place))
        for place in (project.common_dir, project.top)
    )
