"""What a command has at hand: the repository, the terminal, the environment.

The only module that reads environment variables, through the mapping it was given.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from mvc.cli.colours import Painter
from mvc.cli.text import one_line
from mvc.errors import MvcError, NotARepository, UsageError
from mvc.lazy import load
from mvc.progress import SILENT, Progress
from mvc.settings import Author, Settings

if TYPE_CHECKING:
    from mvc.cli.bars import Bars
    from mvc.objects.model import Signature
    from mvc.ops.caller import Caller
    from mvc.repo.repository import Repository

TYPES = {
    "repository": "mvc.repo.repository:Repository",
    "signature": "mvc.objects.model:Signature",
    "moment": "mvc.objects.dates:parse_moment",
    "caller": "mvc.ops.caller:Caller",
    "config": "mvc.objects.config:Config",
    "settings": "mvc.objects.options:resolve",
    "outside": "mvc.ops.connect:Outside",
    "supply": "mvc.ops.connect:supply",
    "promised": "mvc.sync.promised:promised",
    "bars": "mvc.cli.bars:Bars",
    "console": "mvc.cli.console:make_console",
    "json": "mvc.cli.jsontext:json_text",
    "pager": "mvc.cli.pager:Pager",
    "editor": "mvc.cli.editor:edit",
}
"""Loaded when first asked for, since not every command needs them."""

SCHEMA = 1
"""The `schema` number of all JSON that commands print. It grows when a field changes its meaning."""


_NO_TERMINAL = 100
_DIGITS = 6


class Session:
    """One run of `mvc`: where, for whom, and where its output goes."""

    def __init__(
        self,
        cwd: Path,
        environment: Mapping[str, str],
        *,
        out: IO[str] | None = None,
        err: IO[str] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.cwd = cwd
        self.environment = environment
        self.arguments = arguments
        """The command line as typed, without the program."""
        self.quiet = False
        self.verbose = 0
        self.lock_wait = 0.0
        """Seconds to wait for another process's lock (`--wait-for-lock`)."""
        self.use_pager = True
        self.limit_rate: str | None = None
        """How fast to send and receive, as typed (`--limit-rate`)."""
        self.jobs = 0
        """Requests to a remote at once (`--jobs`), 0: as suits it."""
        self.behind_dashes: int | None = None
        """How many of the verb's arguments stood behind "--"; None where there was none."""
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self.terminal = self.out.isatty()
        """Whether stdout is a terminal (also while a pager stands between)."""
        self.paint = Painter(self._colours(self.out))
        """Colour for stdout: `session.paint("text", "green bold")` (unchanged where colour is off)."""
        self.paint_err = Painter(self._colours(self.err))
        self._progress: Bars | None = None
        self._repo: Repository | None = None

    def at(self, folder: Path) -> Session:
        """The same, as if started in `folder`."""
        made = Session(folder, self.environment, out=self.out, err=self.err, arguments=self.arguments)
        made.quiet, made.verbose, made.lock_wait = self.quiet, self.verbose, self.lock_wait
        made.limit_rate, made.jobs = self.limit_rate, self.jobs
        return made

    # -- the repository

    def repo(self) -> Repository:
        """The repository that MVC_DIR names, else that of the current folder; raises NotARepository."""
        if self._repo is None:
            kind: type[Repository] = load(TYPES["repository"])
            given = self.environment.get("MVC_DIR")
            if given:
                repo = kind.open(self.cwd / given, global_configs=self.global_configs)
            else:
                repo = kind.discover(self.cwd, global_configs=self.global_configs)
            self._repo = self.equipped(repo)
        return self._repo

    def equipped(self, repo: Repository) -> Repository:
        """A repository that was opened otherwise, with what the environment and its remotes give it."""
        repo = repo.with_shared_store(self.shared_store)
        return self._supplied(repo) if any(key.startswith("remote.") for key, _ in repo.config.items()) else repo

    def reopened(self) -> Repository:
        """The repository, opened again: a command changed its settings."""
        self._repo = None
        return self.repo()

    def _supplied(self, repo: Repository) -> Repository:
        """The repository, to which chunks that are not here come from its remotes when they are asked for."""

        def bring(names: Collection[bytes]) -> None:
            # Loaded at the first miss: few commands ever see one.
            outside = load(TYPES["outside"])(self.environment, self.cwd)
            source = load(TYPES["supply"])(repo, outside, self.progress)
            try:
                source(names)
            finally:
                source.close()

        @cache
        def promises() -> Callable[[bytes], bool]:
            found: Callable[[bytes], bool] = load(TYPES["promised"])(repo)
            return found

        def promised(name: bytes) -> bool:
            return promises()(name)

        return replace(repo, missing_chunks=bring, promised=promised)

    def setting(self, key: str) -> str | None:
        """A setting of the repository or the user, for the terminal's sake ("core.editor"); None outside of any."""
        try:
            return self.repo().config.get(key)
        except MvcError:
            return None

    def author(self) -> Author:
        """Who new commits, tags and reflog lines are by: environment first, then config."""
        set_author = self._set_author()
        name = self.environment.get("MVC_AUTHOR_NAME") or (set_author.name if set_author else "")
        email = self.environment.get("MVC_AUTHOR_EMAIL") or (set_author.email if set_author else "")
        if not name or not email:
            raise UsageError(
                "it is not known who you are",
                hint='mvc config --global user.name "Your Name" && mvc config --global user.email you@example.org',
            )
        return Author(name, email)

    def _set_author(self) -> Author | None:
        """Who the settings say it is: the repository's, or outside of any the user's."""
        try:
            return self.repo().settings.author
        except NotARepository:
            settings: Settings = load(TYPES["settings"])(load(TYPES["config"])(None, globals=self.global_configs))
            return settings.author

    def caller(self, *, commits: bool = True) -> Caller:
        """For whom an operation runs, now. With `commits` false (it writes reflog lines at most) nobody need be
        named: user and host will do, as with Git. Raises UsageError as `author` does."""
        try:
            who = self.author()
        except UsageError:
            if commits:
                raise
            user = self.environment.get("USER") or self.environment.get("USERNAME") or "unknown"
            who = Author(user, f"{user}@{_host(self.environment)}")
        if given := self.environment.get("MVC_DATE"):
            now, offset = load(TYPES["moment"])(given)
        else:
            now = int(time.time())
            offset = (time.localtime(now).tm_gmtoff or 0) // 60
        signature: Signature = load(TYPES["signature"])(who.name, who.email, now, offset)
        caller: Caller = load(TYPES["caller"])(signature, self.progress, self.lock_wait)
        return caller

    @property
    def shared_store(self) -> str:
        """The folder that MVC_STORE names, absolute; "" where it names none, and the settings hold."""
        given = self.environment.get("MVC_STORE")
        return os.path.normpath(self.cwd / given) if given else ""

    @property
    def home(self) -> Path:
        """The folder for caches and logs: MVC_HOME, else mvc's in the user's cache folder."""
        if given := self.environment.get("MVC_HOME"):
            return Path(given)
        cache = self.environment.get("XDG_CACHE_HOME")
        return (Path(cache) if cache else self._user / ".cache") / "mvc"

    @property
    def global_config(self) -> Path:
        """The user's own config file of mvc, whether it is there or not."""
        base = self.environment.get("XDG_CONFIG_HOME")
        return (Path(base) if base else self._user / ".config") / "mvc" / "config"

    @property
    def global_configs(self) -> tuple[Path, ...]:
        """The config files before the repository's own, lowest priority first: Git's (for the author), then mvc's."""
        if given := self.environment.get("GIT_CONFIG_GLOBAL"):
            return (Path(given), self.global_config)
        base = self.environment.get("XDG_CONFIG_HOME")
        git = (Path(base) if base else self._user / ".config") / "git" / "config"
        return (git, self._user / ".gitconfig", self.global_config)

    @property
    def _user(self) -> Path:
        home = self.environment.get("HOME") or self.environment.get("USERPROFILE")
        return Path(home) if home else Path.home()

    # -- what it says

    def emit_text(self, text: str, end: str = "\n") -> None:
        """Data for stdout. Text from a repository must have gone through `mvc.cli.text` (names, messages)."""
        if text or end:
            self.out.write(text + end)

    def emit_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Raw data for stdout (`cat-file -p`)."""
        self.out.flush()
        cast(BinaryIO, cast(Any, self.out).buffer).write(data)

    def emit_json(self, kind: str, payload: Mapping[str, Any]) -> None:
        """`{"schema": 1, "kind": kind, ...payload}` on stdout, ASCII, so that odd names survive.

        NaN and infinite numbers, which JSON does not have, become "NaN", "Infinity", "-Infinity".
        """
        self.out.write(load(TYPES["json"])({"schema": SCHEMA, "kind": kind, **payload}) + "\n")

    def note(self, text: str) -> None:
        """A line on stderr for the person; not with --quiet."""
        if not self.quiet:
            self._say(text)

    def tell(self, text: str) -> None:
        """A line on stderr, also with --quiet: more of what an error is about."""
        self._say(text)

    def warn(self, text: str) -> None:
        """A warning on stderr, also with --quiet."""
        self._say(f"{self.paint_err('warning:', 'yellow bold')} {one_line(text)}")

    def _say(self, text: str) -> None:
        if self._progress is not None:
            self._progress.clear()
        self.out.flush()
        self.err.write(text + "\n")
        self.err.flush()

    @property
    def progress(self) -> Progress:
        """To be passed to the core: a bar after a second, on a terminal and without --quiet; warnings always."""
        if self._progress is None:
            shown = not self.quiet and self.err.isatty()
            self._progress = load(TYPES["bars"])(self.err, shown=shown, width=self.width, warn=self.warn)
        return self._progress

    def settle(self) -> None:
        """Take a bar that shows off the terminal, and flush the output."""
        if self._progress is not None:
            self._progress.end()
        self.out.flush()

    @property
    def silent(self) -> Progress:
        """A progress that says nothing at all."""
        return SILENT

    @cached_property
    def width(self) -> int:
        """Columns of the terminal (COLUMNS goes before); 100 where there is none."""
        given = self.environment.get("COLUMNS", "")
        if given.isdecimal() and len(given) < _DIGITS and int(given) > 0:
            return int(given)
        try:
            return os.get_terminal_size(self.err.fileno()).columns or _NO_TERMINAL
        except (OSError, ValueError):
            return _NO_TERMINAL

    def console(self) -> Any:
        """A `rich.console.Console` on stdout, by the same colour rules. Costs 0.1 s to load."""
        return load(TYPES["console"])(self.out, colour=self.paint.on, width=self.width)

    def pager(self) -> Any:
        """`with session.pager():` what is emitted inside goes through the user's pager, on a terminal."""
        return load(TYPES["pager"])(self) if self.terminal and self.use_pager else nullcontext()

    # -- what it asks

    def confirm(self, question: str, *, yes: bool = False) -> None:
        """Ask before something is destroyed; raises UsageError for a no, or where nobody can answer."""
        if yes:
            return
        if not (sys.stdin.isatty() and self.err.isatty()):
            raise UsageError(f"{question} nobody is there to answer", hint="add --yes, or look first with --dry-run")
        self.err.write(f"{question} [y/N] ")
        self.err.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise UsageError("nothing was done")

    def edit(self, text: str, *, name: str = "MVC_EDITMSG") -> str:
        """Let the user change `text` in their editor (GIT_EDITOR's rules, MVC_EDITOR first); returns it raw."""
        edited: str = load(TYPES["editor"])(self, text, name)
        return edited

    def _colours(self, stream: IO[str]) -> bool:
        if self.environment.get("NO_COLOR"):
            return False
        if self.environment.get("FORCE_COLOR") or self.environment.get("CLICOLOR_FORCE"):
            return True
        return stream.isatty() and self.environment.get("TERM") != "dumb"


def _host(environment: Mapping[str, str]) -> str:
    # Not the socket module: it takes 10 ms to load.
    return os.uname().nodename if hasattr(os, "uname") else environment.get("COMPUTERNAME", "localhost")
