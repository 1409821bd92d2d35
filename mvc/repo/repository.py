"""A repository: its folders, settings, objects and refs.

    repo = Repository.discover(Path.cwd())
    repo.refs.head(); repo.objects.commit(id); repo.settings; repo.stage_path
    with edit_stage(repo) as stage: ...          mvc.repo.locking
    chunks = open_chunks(repo)                   mvc.repo.chunks: imports numpy and zstandard, so apart

The folders are specified in docs/format/repository.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mvc.errors import NotARepository, Refused, UsageError
from mvc.objects.config import Config
from mvc.objects.database import Objects
from mvc.objects.gitdir import is_git_dir
from mvc.objects.options import check_format, resolve
from mvc.objects.refs import Refs
from mvc.repo.pathbytes import decode
from mvc.settings import Settings

if TYPE_CHECKING:
    from mvc.store.chunkstore import Stream

MVC_DIR = ".mvc"
LINK_PREFIX = "mvcdir: "
"""How the file `.mvc` of a linked worktree begins."""
_LINK_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Repository:
    """Open by `discover`, `open` or mvc.repo.create.init. Cheap: nothing but HEAD and config is read."""

    worktree: Path | None
    """The top folder of the files; None for a bare repository."""
    git_dir: Path
    """HEAD, stage, logs/HEAD and unfinished operations of this worktree: `.mvc`, or `.mvc/worktrees/NAME`."""
    common_dir: Path
    """Objects, refs, config, chunks, locks, intents, tmp, shared by all worktrees: `.mvc`."""
    settings: Settings
    config: Config
    objects: Objects
    refs: Refs
    missing_chunks: Callable[[Collection[bytes]], None] | None = None
    """Brings chunks that are not here into the store, or raises; None: there is nowhere to ask (`mvc.sync.chunks`)."""
    streamed: Stream | None = None
    """Reads chunks that are not here elsewhere, in place of bringing them (`mvc.sync.streamed`)."""
    promised: Callable[[bytes], bool] | None = None
    """Whether a remote was seen to hold a chunk; None: none is known to (`mvc.sync.promised`)."""

    @classmethod
    def discover(cls, start: Path, *, global_configs: Sequence[Path] = ()) -> Repository:
        """The repository of the folder `start` or the nearest above it; raises NotARepository.

        `global_configs`: files read before the repository's own, lowest precedence first.
        """
        top = _absolute(start)
        for folder in (top, *top.parents):
            found = folder / MVC_DIR
            if found.is_file() or (found.is_dir() and is_git_dir(found)):
                return cls.open(folder, global_configs=global_configs)
            if is_bare(folder):
                return cls.open(folder, global_configs=global_configs)
        raise NotARepository(f"there is no mvc repository in {start} or above", hint="mvc init")

    @classmethod
    def open(cls, path: Path, *, worktree: Path | None = None, global_configs: Sequence[Path] = ()) -> Repository:
        """The repository whose worktree or `.mvc` folder is exactly `path` (`MVC_DIR`).

        The worktree is the folder around `.mvc`, unless given; of a bare repository there is none.
        Raises NotARepository, UnsupportedFormat.
        """
        path = _absolute(path)
        inner = path / MVC_DIR
        git_dir, tree = (inner, path) if os.path.lexists(inner) else (path, None)
        git_dir = _follow(git_dir)
        common = common_dir_of(git_dir)
        if not is_git_dir(common):
            raise NotARepository(f"{path} is not an mvc repository", hint="mvc init")
        if tree is None and path.name == MVC_DIR:
            tree = path.parent
        config = Config(common / "config", globals=tuple(global_configs))
        check_format(config, writing=False)
        return cls(
            worktree=_absolute(worktree) if worktree else tree,
            git_dir=git_dir,
            common_dir=common,
            settings=resolve(config),
            config=config,
            objects=Objects(common / "objects", tmp_dir=common / "tmp"),
            refs=Refs(git_dir, common),
        )

    def with_shared_store(self, folder: str) -> Repository:
        """The repository with the shared store in `folder` (absolute) in place of the one set; "": as it is."""
        if not folder:
            return self
        shared = self.settings.shared._replace(path=folder)
        return replace(self, settings=self.settings._replace(shared=shared))

    def require_worktree(self) -> Path:
        """The worktree; raises Refused in a bare repository."""
        if self.worktree is None:
            raise Refused("this repository is bare: it has no files of its own", hint="mvc worktree add PATH")
        return self.worktree

    def require_writable(self) -> None:
        """Raises UnsupportedFormat where this mvc may read but not write (`[mvc] readonlyRequires`)."""
        check_format(self.config, writing=True)

    def locate(self, path: Path) -> str:
        """A path of the file system (absolute, or from the current folder) as path inside the worktree; "" is its top.

        Raises UsageError if it lies outside. `..` is taken as text; below the top no link is followed.
        """
        top = self.require_worktree()
        text = os.path.normpath(_absolute(path))
        for start in (os.fspath(top), os.path.realpath(top)):
            for given in _spellings(text):
                if given == start:
                    return ""
                if given.startswith(start.rstrip(os.sep) + os.sep):
                    return _inside(given[len(start.rstrip(os.sep)) + 1 :])
        raise UsageError(f"{path} is outside of the worktree {top}")

    @property
    def stage_path(self) -> Path:
        """The file of this worktree's stage."""
        return self.git_dir / "stage"

    @property
    def chunks_dir(self) -> Path:
        """Where the chunk store is."""
        return self.common_dir / "chunks"

    @property
    def locks_dir(self) -> Path:
        """Where processes hold their locks."""
        return self.common_dir / "locks"

    @property
    def intents_dir(self) -> Path:
        """Where writers tell gc of themselves."""
        return self.common_dir / "intents"

    @property
    def tmp_dir(self) -> Path:
        """What is being written; on the same file system as all of `.mvc`."""
        return self.common_dir / "tmp"

    @property
    def git_project(self) -> Path | None:
        """The top folder of the Git worktree that this worktree lies in (or equals); None outside of Git."""
        if self.worktree is None:
            return None
        for folder in (self.worktree, *self.worktree.parents):
            found = folder / ".git"
            if found.is_file() or (found / "HEAD").exists():
                return folder
        return None


def is_bare(folder: Path) -> bool:
    """Is `folder` itself what `.mvc` is elsewhere (a bare repository, or the inside of one)?"""
    return (folder / "chunks").is_dir() and is_git_dir(folder)


def common_dir_of(git_dir: Path) -> Path:
    """What the `git_dir` of a worktree shares with the others: itself, or what its file `commondir` names."""
    try:
        text = _read_line(git_dir / "commondir")
    except FileNotFoundError:
        return git_dir
    return Path(os.path.normpath(git_dir / text))


def _follow(git_dir: Path) -> Path:
    """The folder that `.mvc` is or, as a file of a linked worktree, names."""
    if not git_dir.is_file():
        return git_dir
    text = _read_line(git_dir)
    target = Path(os.path.normpath(git_dir.parent / text.removeprefix(LINK_PREFIX)))
    if not text.startswith(LINK_PREFIX) or not target.is_dir():
        raise NotARepository(f"{git_dir} points to no repository", hint="mvc worktree list, in the main worktree")
    return target


def _read_line(path: Path) -> str:
    with open(path, "rb") as file:
        return os.fsdecode(file.read(_LINK_LIMIT)).rstrip("\r\n")


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _spellings(text: str) -> Iterator[str]:
    """A path as given; then with links on the way to its folder resolved: the worktree may be entered by one."""
    yield text
    folder, name = os.path.split(text)
    yield os.path.join(os.path.realpath(folder), name)


def _inside(text: str) -> str:
    return decode(os.fsencode(text)) if os.sep == "/" else text.replace(os.sep, "/")
