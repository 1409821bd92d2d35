"""fsspec's file system `mvc://`: a version's files for whatever reads through fsspec. Registered by entry point.

    fsspec.open("mvc://s3://bucket/bert@v1:model.safetensors")
    fsspec.filesystem("mvc", url="s3://bucket/bert", rev="v1").glob("**/*.safetensors")

Paths are those inside the version. A name such as a branch is looked up once: `invalidate_cache` does it anew. Only
fsspec loads this module, and it is no dependency of mvc.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar
from weakref import finalize

from fsspec.spec import AbstractFileSystem

from mvc.errors import MvcError, NotFound, UsageError
from mvc.objects import trees
from mvc.objects.manifest import identity, is_manifest
from mvc.objects.model import METADATA_DIR, TREE, TreeItem, is_link, is_tree
from mvc.ops.address import Address, parse_address
from mvc.ops.ranged_file import RangedFile, RawFile, open_model_file
from mvc.reading import open_version
from mvc.sync.view import View

_PROTOCOL = "mvc://"
_FILES = 32
"""Files whose manifests are held."""


class MvcFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """One version, read-only. Errors of what is not there are FileNotFoundError; all others are mvc's own."""

    protocol: ClassVar[str] = "mvc"
    root_marker = ""

    def __init__(
        self,
        url: str = "",
        rev: str = "",
        environment: Mapping[str, str] | None = None,
        cache: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        """`url`, `rev`: as in URL@REV. `environment`, `cache`: as of `mvc.open`."""
        super().__init__(url=url, rev=rev, environment=environment, cache=cache, **options)
        if not url:
            raise UsageError("which repository?", hint="mvc://URL@REV:PATH, or url=")
        self.url, self.rev = url, rev
        self._environment, self._cache = environment, cache
        self._stack = ExitStack()
        finalize(self, self._stack.close)
        self._opened: tuple[View, str] | None = None
        self._files: dict[str, RangedFile] = {}

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """The path inside the version."""
        if isinstance(path, list | tuple):
            return [cls._strip_protocol(one) for one in path]
        text = os.fspath(path)
        if text.startswith(_PROTOCOL):
            text = _parsed(text).path or ""
        return text.strip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        if not path.startswith(_PROTOCOL):
            return {}
        found = _parsed(path)
        return {"url": found.url, "rev": found.revision}

    def unstrip_protocol(self, name: str) -> str:
        """The whole URL of a path."""
        return _PROTOCOL + str(Address(self.url, self.rev, self._strip_protocol(name)))

    @property
    def commit(self) -> str:
        """The id of the commit whose files these are."""
        return self._version()[1]

    def invalidate_cache(self, path: str | None = None) -> None:
        """Look up anew what the revision stands for."""
        self._opened = None
        self._files.clear()
        self._stack.close()
        super().invalidate_cache(path)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """What is in a folder; of a file itself."""
        path = self._strip_protocol(path)
        view, _commit = self._version()
        item = self._item(path)
        if not is_tree(item.mode):
            return [self._info(path, item)] if detail else [path]
        entries = [
            (f"{path}/{one.name}" if path else one.name, TreeItem(one.mode, one.id))
            for one in view.objects.tree(item.id)
            if path or one.name != METADATA_DIR
        ]
        if not detail:
            return [name for name, _ in entries]
        view.bring_objects([one.id for _, one in entries if not is_tree(one.mode)])
        return [self._info(name, one) for name, one in entries]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """`name`, `size`, `type`, `mode`, `id` of a file or folder."""
        path = self._strip_protocol(path)
        return self._info(path, self._item(path))

    def ukey(self, path: str) -> str:
        """The same for the same content."""
        return str(self.info(path)["id"])

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Bytes of a file; negative numbers count from its end."""
        file = self._file(self._strip_protocol(path))
        first, last, _step = slice(start, end).indices(file.size)
        return file.read_at(first, max(0, last - first))

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **_: Any) -> io.BufferedReader:
        if mode != "rb":
            raise NotImplementedError(f"mvc:// is for reading: {mode!r}")
        return io.BufferedReader(RawFile(self._file(path), ExitStack()), 128 * 1024)

    def _version(self) -> tuple[View, str]:
        if self._opened is None:
            view = open_version(self._stack, self.url, self._environment, self._cache)
            self._opened = view, view.resolve(self.rev)
        return self._opened

    def _item(self, path: str) -> TreeItem:
        view, commit = self._version()
        tree = view.objects.commit(commit).tree
        item = trees.entry_at(view.objects, tree, path)
        if item is None or (path + "/").startswith(METADATA_DIR + "/"):
            raise FileNotFoundError(path)
        return item

    def _file(self, path: str) -> RangedFile:
        found = self._files.get(path)
        if found is None:
            item = self._item(path)
            if is_tree(item.mode):
                raise IsADirectoryError(path)
            view, commit = self._version()
            try:
                found = RangedFile(view, open_model_file(view, commit, path))
            except NotFound as error:
                raise FileNotFoundError(path) from error
            while len(self._files) >= _FILES:
                self._files.pop(next(iter(self._files)), None)
            self._files[path] = found
        return found

    def _info(self, path: str, item: TreeItem) -> dict[str, Any]:
        if item.mode == TREE:
            return {"name": path, "size": 0, "type": "directory", "mode": item.mode, "id": item.id}
        found = {"name": path, "type": "file", "mode": item.mode, "id": item.id}
        if is_link(item.mode):
            try:
                return {**found, "size": self._file(path).size, "islink": True}
            except (FileNotFoundError, MvcError):  # it leads nowhere, or to a folder
                return {**found, "size": None, "type": "other", "islink": True}
        blob = self._version()[0].objects.blob(item.id)
        return {**found, "size": identity(blob)[0] if is_manifest(blob) else len(blob)}


def _parsed(text: str) -> Address:
    return parse_address(text.removeprefix(_PROTOCOL), Path.cwd())
