"""Where a run writes, for whom, and what surrounds it: the only module of training that looks at the process itself."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mvc.errors import UsageError
from mvc.metadata.environment import Surroundings, capture
from mvc.metadata.links import find_links
from mvc.objects.model import Signature
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside
from mvc.repo.repository import Repository
from mvc.settings import Author
from mvc.sync.remotes import configured

_LOCK_WAIT = 120.0


@dataclass(frozen=True, slots=True)
class Place:
    """A repository, and who writes to it. Each thread opens its own."""

    path: Path
    environment: Mapping[str, str]
    cwd: Path

    @classmethod
    def of(cls, path: str | os.PathLike[str], environment: Mapping[str, str] | None = None) -> Place:
        """The repository of a folder, or the nearest above. Raises NotARepository."""
        given = os.environ if environment is None else environment
        chosen = given.get("MVC_DIR") if os.fspath(path) == "." else None
        return cls(Path(chosen or path).absolute(), dict(given), Path.cwd())

    def open(self) -> Repository:
        repo = Repository.discover(self.path, global_configs=self.global_configs())
        store = self.environment.get("MVC_STORE")
        return repo.with_shared_store(os.path.normpath(self.cwd / store) if store else "")

    def open_beside(self) -> Repository:
        """As `open`, for work beside the training: with a quarter of the processors, unless `core.threads` is set."""
        repo = self.open()
        if repo.settings.store.threads:
            return repo
        store = repo.settings.store._replace(threads=max(1, (os.cpu_count() or 1) // 4))
        return replace(repo, settings=repo.settings._replace(store=store))

    def global_configs(self) -> tuple[Path, ...]:
        """The user's config files, Git's first."""
        home = Path(self.environment.get("HOME") or self.environment.get("USERPROFILE") or Path.home())
        base = self.environment.get("XDG_CONFIG_HOME")
        folder = Path(base) if base else home / ".config"
        given = self.environment.get("GIT_CONFIG_GLOBAL")
        git = (Path(given),) if given else (folder / "git/config", home / ".gitconfig")
        return (*git, folder / "mvc/config")

    def author(self, repo: Repository) -> Author:
        """The environment goes before config. Raises UsageError, before any training."""
        known = repo.settings.author
        name = self.environment.get("MVC_AUTHOR_NAME") or (known.name if known else "")
        email = self.environment.get("MVC_AUTHOR_EMAIL") or (known.email if known else "")
        if not name or not email:
            raise UsageError(
                "it is not known who you are",
                hint="set MVC_AUTHOR_NAME and MVC_AUTHOR_EMAIL, or: mvc config --global user.name NAME",
            )
        return Author(name, email)

    def caller(self, repo: Repository) -> Caller:
        """For whom what is written now is written."""
        who = self.author(repo)
        now = int(time.time())
        offset = (time.localtime(now).tm_gmtoff or 0) // 60
        return Caller(Signature(who.name, who.email, now, offset), wait=_LOCK_WAIT)

    def outside(self) -> Outside:
        return Outside(self.environment, self.cwd)

    def rank(self) -> int:
        """Of several processes that train together, the number of this one, as torchrun and its like tell it."""
        if self.environment.get("LOCAL_RANK", "0") not in ("", "0"):
            return 1  # not the first of this machine, so not the first of all
        for name in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"):
            text = self.environment.get(name, "")
            if text.isascii() and text.isdigit() and (name == "RANK" or _is_several(self.environment)):
                return int(text)
        return 0

    def links(self) -> dict[str, str]:
        """The run elsewhere, as the environment tells it."""
        return find_links(self.environment)

    def remotes(self, repo: Repository) -> set[str]:
        """The names of the remotes that the repository has."""
        return {config.name for config in configured(repo.config)}

    def bare(self) -> Place:
        """Without the environment, which may hold secrets: to be handed to another process."""
        return Place(self.path, {}, self.cwd)

    def surroundings(self) -> dict[str, Any]:
        """What `mvc commit` records of the environment, with the command line of this process."""
        return capture(Surroundings((Path(sys.executable).name, *sys.argv), self.environment, self.cwd))


def _is_several(environment: Mapping[str, str]) -> bool:
    """Whether the job step has several tasks: a SLURM_PROCID alone is also there in an interactive shell."""
    return any(
        environment.get(name, "1") not in ("", "1") for name in ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
    )
