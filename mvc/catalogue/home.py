"""Where a repository's catalogue is kept, and what makes it be believed.

`<home>/catalogs/<identity>/` holds files of tables under names that are never used twice, and `current-<version>`,
which names the one that holds, with its size, time and generation as whoever wrote it last left them. A file that is
not as it was left was changed by something else, and is not believed. Names are used once, since SQLite keeps a
journal beside a file by its name: that of an old file must not be played into a new one.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeVar

from mvc import fsio
from mvc.catalogue import schema
from mvc.catalogue.refresh import Stale, fingerprint, refresh, wanted_refs
from mvc.errors import Locked, MvcError
from mvc.lazy import load
from mvc.progress import Progress
from mvc.repo.filesystem import is_network
from mvc.repo.repository import Repository

T = TypeVar("T")

BUILD_WAIT = 600.0
"""Seconds to wait for another process that builds the catalogue: it takes a minute for 100,000 commits."""

_HOLD = "mvc.store.locks:hold"
_NO_WRITING = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR)
_MARK_BYTES = 4096
_PATH_BYTES = 64 * 1024
_FORGOTTEN = 30 * 86400.0
"""Seconds."""
_MOST_FOLDERS = 1000


class Mark(NamedTuple):
    """What `current-<version>` says."""

    name: str
    size: int
    mtime_ns: int
    generation: str


class _Unbelieved(Exception):
    """The catalogue that stands is damaged, another's, or of another version."""


class Catalogue:
    """The catalogue of one repository."""

    def __init__(self, repo: Repository, home: Path | None, progress: Progress) -> None:
        """`home`: MVC_HOME; None keeps it in memory."""
        self._repo = repo
        self._home = home
        self._progress = progress
        self._folder = home / "catalogs" / identity(repo) if home is not None else None
        self.notes: list[str] = []
        """What the user should know: why it is in memory."""

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The answer of `question` over tables that say what the repository says now.

        Tables that turn out to be damaged are made anew, once. Raises what `question` raises, and MvcError.
        """
        if self._folder is None:
            return self._in_memory(question, None)
        if is_network(_standing(self._folder)):
            return self._in_memory(question, f"{self._folder.parent} is on a network file system")
        try:
            fsio.make_dirs(self._folder)
            for _ in range(2):
                try:
                    return self._stored(question)
                except (Stale, _Unbelieved, sqlite3.DatabaseError) as error:
                    if _is_busy(error):
                        raise
                    self._build()
            return self._stored(question)
        except (sqlite3.DatabaseError, Stale, _Unbelieved) as error:
            why = "another process holds it" if _is_busy(error) else f"it cannot be kept ({error})"
            return self._in_memory(question, why)
        except Locked:
            return self._in_memory(question, "another process is building it")
        except OSError as error:
            if error.errno not in _NO_WRITING:
                raise
            return self._read_only(question, f"{self._home}: {os.strerror(error.errno or 0)}")

    def _stored(self, question: Callable[[sqlite3.Connection], T]) -> T:
        path, mark = self._current()
        with closing(schema.connect(path)) as db:
            self._check(db, path, mark)
            if refresh(db, self._repo, self._progress).changed:
                self._remember(db, path)
            return question(db)

    def _current(self) -> tuple[Path, Mark]:
        """The file of tables that holds. Raises _Unbelieved where there is none."""
        assert self._folder is not None
        try:
            text = fsio.read_small(self._pointer, _MARK_BYTES).decode("ascii", "replace")
        except FileNotFoundError as error:
            raise _Unbelieved("there is none yet") from error
        words = text.split()
        if len(words) != 4 or not all(word.isdigit() for word in words[1:3]) or "/" in words[0]:
            raise _Unbelieved("its pointer is damaged")
        path = self._folder / words[0]
        if not path.is_file():
            raise _Unbelieved("it is gone")
        return path, Mark(words[0], int(words[1]), int(words[2]), words[3])

    @property
    def _pointer(self) -> Path:
        assert self._folder is not None
        return self._folder / f"current-{schema.VERSION}"

    def _check(self, db: sqlite3.Connection, path: Path, mark: Mark) -> None:
        """Raises _Unbelieved for a file that was not left so by mvc, or is of another repository or version."""
        db.execute("BEGIN")  # from here on nobody writes; what a killed process left half written is taken back
        try:
            application = db.execute("PRAGMA application_id").fetchone()[0]
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if (application, version) != (schema.APPLICATION, schema.VERSION):
                raise _Unbelieved("it is of another version")
            if schema.get(db, "place") != _place(self._repo):
                raise _Unbelieved("it is of another repository")
            generation, stat = schema.get(db, "generation"), path.stat()
            left = mark.generation == generation
            if left and (mark.size, mark.mtime_ns) != (stat.st_size, stat.st_mtime_ns):
                raise _Unbelieved("it was changed by something else")
            if schema.get(db, "full_text") == "1" and not schema.has_fts5(db):
                raise _Unbelieved("it needs FTS5")
            if not left and db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise _Unbelieved("it is damaged")
        finally:
            db.execute("ROLLBACK")
        if not left:  # whoever wrote last was killed before it could say so
            self._remember(db, path)

    def _remember(self, db: sqlite3.Connection, path: Path) -> None:
        """Say how the file was left."""
        db.execute("BEGIN")
        try:
            generation, stat = schema.get(db, "generation"), path.stat()
        finally:
            db.execute("ROLLBACK")
        text = f"{path.name} {stat.st_size} {stat.st_mtime_ns} {generation}\n"
        fsio.write_atomic(self._pointer, text.encode(), sync=False)

    def _build(self) -> None:
        """Make a new file of tables beside what stands. One process does so, others wait for it."""
        assert self._folder is not None
        with load(_HOLD)(self._folder / "build.lock", what="search", wait=BUILD_WAIT):
            if self._built_meanwhile():
                return
            name = f"{schema.VERSION}-{os.urandom(8).hex()}.sqlite"
            path = self._folder / name
            self._remove_others(name)
            try:
                with closing(schema.connect(path)) as db:
                    # No journal: what is not finished counts for nothing, and is removed by the next who builds.
                    db.execute("PRAGMA journal_mode=OFF")
                    db.execute("PRAGMA synchronous=OFF")
                    _fill(db, self._repo, self._progress)
                with fsio.RandomFile(path) as file:
                    os.fsync(file.fileno())
                with closing(schema.connect(path)) as db:
                    self._remember(db, path)
            except BaseException:
                with suppress(OSError):
                    fsio.unlink(path, missing_ok=True)
                raise
            where = f"{self._repo.common_dir}\n".encode("utf-8", "surrogateescape")
            fsio.write_atomic(self._folder / "repository", where, sync=False)
        self._remove_forgotten()

    def _remove_forgotten(self) -> None:
        """Remove catalogues of repositories that are gone, and that nobody has asked for long."""
        assert self._home is not None
        for folder in list((self._home / "catalogs").iterdir())[:_MOST_FOLDERS]:
            try:
                where = (
                    fsio.read_small(folder / "repository", _PATH_BYTES).decode("utf-8", "surrogateescape").rstrip("\n")
                )
                newest = max(path.stat().st_mtime for path in folder.iterdir())
                if os.path.exists(where) or time.time() - newest < _FORGOTTEN:
                    continue
                for path in folder.iterdir():
                    fsio.unlink(path, missing_ok=True)
                folder.rmdir()
            except (OSError, MvcError, ValueError):
                continue

    def _built_meanwhile(self) -> bool:
        """Whether somebody else has built it while this process waited."""
        try:
            path, mark = self._current()
            with closing(schema.connect(path)) as db:
                self._check(db, path, mark)
                refresh(db, self._repo, self._progress)
                self._remember(db, path)
        except (Stale, _Unbelieved, sqlite3.DatabaseError):
            return False
        return True

    def _remove_others(self, but: str) -> None:
        """Remove what was left by processes that were killed, and the catalogue that is not believed."""
        assert self._folder is not None
        for path in self._folder.iterdir():
            if ".sqlite" in path.name and not path.name.startswith(but):
                with suppress(OSError):  # another process has it open, where the system minds
                    fsio.unlink(path, missing_ok=True)

    def _in_memory(self, question: Callable[[sqlite3.Connection], T], why: str | None) -> T:
        if why is not None:
            self.notes.append(f"the catalogue is made in memory, for this search alone: {why}")
        with closing(schema.connect(None)) as db:
            _fill(db, self._repo, self._progress)
            return question(db)

    def _read_only(self, question: Callable[[sqlite3.Connection], T], why: str) -> T:
        """Use a catalogue that nobody may write to where it is up to date."""
        with suppress(_Unbelieved, sqlite3.DatabaseError, OSError):
            path, mark = self._current()
            with closing(schema.connect(path, read_only=True)) as db:
                self._check(db, path, mark)
                if schema.get(db, "fingerprint") == fingerprint(self._repo, wanted_refs(self._repo)):
                    return question(db)
        return self._in_memory(question, why)


def home_of(environment: Mapping[str, str]) -> Path:
    """MVC_HOME, else mvc's folder in the user's cache, as `environment` tells."""
    if given := environment.get("MVC_HOME"):
        return Path(given)
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mvc"


def identity(repo: Repository) -> str:
    """The name of a repository's catalogue: from where it is. What it is is checked by its refs and their commits."""
    return sha256(os.fsencode(os.path.realpath(repo.common_dir))).hexdigest()[:32]


def _place(repo: Repository) -> str:
    """Tells a repository from another one that stood at the same place: then it is not worth while to compare."""
    return str(os.stat(repo.common_dir).st_ino)


def _fill(db: sqlite3.Connection, repo: Repository, progress: Progress) -> None:
    schema.create(db)
    schema.put(db, "place", _place(repo))
    refresh(db, repo, progress, fresh=True)
    schema.finish(db)


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error))


def _standing(folder: Path) -> Path:
    """The nearest folder above that stands."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
