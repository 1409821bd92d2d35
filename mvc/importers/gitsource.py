"""The Git repository that a source lies in: commits, trees, refs, settings, read as files. No git is run.

What is read is not trusted: objects are verified against their ids, and what a config names is only ever read from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from mvc.errors import MvcError, NotFound, UnsupportedFormat
from mvc.importers.base import Entry, SourceCommit, SourceRef
from mvc.objects import trees
from mvc.objects.config import ConfigFile
from mvc.objects.database import Objects
from mvc.objects.gitdir import is_git_dir
from mvc.objects.model import SUBMODULE, TreeItem, is_link
from mvc.objects.refs import Refs
from mvc.objects.walk import Selection, walk
from mvc.repo.repository import common_dir_of

_POINTER = 4096
_HEADS, _TAGS = "refs/heads/", "refs/tags/"


class GitSource:
    """The history of the Git repository whose top folder (or bare folder) is `path`.

    Raises NotFound if there is none, UnsupportedFormat for one with SHA-256 ids or reftables.
    """

    def __init__(self, path: Path, *, remotes: bool = False) -> None:
        """`remotes`: branches of its remote `origin`, too, that it has none of its own of."""
        self.top = Path(os.path.abspath(path))
        self.git_dir = _git_dir(self.top)
        self.common_dir = common_dir_of(self.git_dir)
        if not is_git_dir(self.common_dir):
            raise NotFound(f"{path} is no Git repository", hint="name the top folder of the project")
        self.config = ConfigFile(self.common_dir / "config")
        for key in ("extensions.objectformat", "extensions.refstorage"):
            if (self.config.get(key) or "sha1").lower() not in ("sha1", "files"):
                raise UnsupportedFormat(f"{path} is a Git repository of a kind that mvc does not read ({key})")
        self.objects = Objects(self.common_dir / "objects")
        self._refs = Refs(self.git_dir, self.common_dir)
        self._remotes = remotes
        self._warned: dict[str, None] = {}
        self._commit = lru_cache(maxsize=256)(self.objects.commit)

    def ids(self, refs: Sequence[SourceRef]) -> list[str]:
        """The commits that the refs reach, parents first."""
        tips = sorted({ref.target for ref in refs})
        newest_first = [commit.id for commit in walk(self.objects, Selection(include=tips, order="topo"))]
        if self.objects.shallow:
            self.warn("its history is shallow: it begins where the clone was cut off (git fetch --unshallow)")
        return newest_first[::-1]

    def commit(self, commit_id: str) -> SourceCommit:
        """A commit as it stands, but for signatures, which would not hold for another tree."""
        found = self._commit(commit_id)
        return SourceCommit(commit_id, found.parents, found.author, found.committer, found.message)

    def files(self, commit_id: str) -> Mapping[str, TreeItem]:
        """Files and links of a commit's tree. Submodules are left out."""
        found = trees.flatten(self.objects, self._commit(commit_id).tree, metadata=True)
        for path, item in list(found.items()):
            if item.mode == SUBMODULE:
                self.warn(f"the submodule '{path}' is left out")
                del found[path]
        return found

    def entry(self, item: TreeItem) -> Entry:
        """A file that Git itself keeps."""
        mode = item.mode if is_link(item.mode) else 0o100755 if item.mode & 0o100 else 0o100644
        return Entry(mode, f"git:{item.id}")

    def size(self, blob_id: str) -> int | None:
        """Bytes of a blob; None if it is not here (a partial clone)."""
        try:
            return self.objects.size(blob_id)
        except MvcError:
            return None

    @cached_property
    def refs(self) -> Sequence[SourceRef]:
        """Branches and tags, but for tags of what is no commit; as they were at first, though others commit on."""
        found = [SourceRef(name, value) for name, value in self._refs.list(_HEADS).items()]
        if self._remotes:
            own = {ref.ref for ref in found}
            for name, value in self._refs.list("refs/remotes/origin/").items():
                branch = _HEADS + name.removeprefix("refs/remotes/origin/")
                if branch not in own and not name.endswith("/HEAD"):
                    found.append(SourceRef(branch, value))
        return [*found, *self._tags()]

    def _tags(self) -> Iterator[SourceRef]:
        for name, value in self._refs.list(_TAGS).items():
            try:
                target = self.objects.peel(value)
                if self.objects.kind(target) != "commit":
                    self.warn(f"the tag '{name.removeprefix(_TAGS)}' names no commit: left out")
                    continue
                if self.objects.kind(value) != "tag":
                    yield SourceRef(name, target)
                    continue
                tag = self.objects.tag(value)
            except MvcError as error:
                self.warn(f"the tag '{name.removeprefix(_TAGS)}' is left out: {error.message}")
                continue
            yield SourceRef(name, target, tag.tagger, tag.message)

    def others(self, prefix: str) -> dict[str, str]:
        """Refs elsewhere (`refs/exps/`): name to commit."""
        return self._refs.list(prefix)

    def head(self) -> str | None:
        """The branch that it is on."""
        return self._refs.symbolic("HEAD")

    def warn(self, text: str) -> None:
        """Once for each text."""
        self._warned.setdefault(text)

    def warnings(self) -> Sequence[str]:
        return tuple(self._warned)

    def close(self) -> None:
        self.objects.close()


class BlobFile:
    """A Git blob, or any bytes, to be read as a file."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __enter__(self) -> BlobFile:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def stat(self) -> os.stat_result:
        return plain_stat(len(self._data))

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def read_into(self, offset: int, out: memoryview) -> int:
        part = self._data[offset : offset + len(out)]
        out[: len(part)] = part
        return len(part)


def plain_stat(size: int) -> os.stat_result:
    """The stat of a file that is on no disk."""
    return os.stat_result((0o100644, 0, 0, 1, 0, 0, size, 0, 0, 0))


def _git_dir(top: Path) -> Path:
    found = top / ".git"
    if found.is_file():
        with open(found, "rb") as file:
            text = os.fsdecode(file.read(_POINTER)).rstrip("\r\n")
        return Path(os.path.normpath(top / text.removeprefix("gitdir: ")))
    return found if found.is_dir() else top
