"""A Git project with DVC as a source: each Git commit, with the files that DVC keeps in place of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from mvc.errors import IntegrityError, MvcError, NotFound, ParseError
from mvc.importers.base import Entry, Snapshot, SourceCommit, SourceRef
from mvc.importers.digests import digest_for
from mvc.importers.dvcfiles import (
    MAX_FILE,
    MAX_MANIFEST,
    Dep,
    DvcFile,
    Out,
    Pipeline,
    parse_dvc,
    parse_folder,
    parse_lock,
    parse_pipeline,
)
from mvc.importers.dvcmeta import commit_metadata
from mvc.importers.dvcstore import DvcStore
from mvc.importers.gitsource import BlobFile, GitSource
from mvc.objects.model import EXEC, FILE, TreeItem, is_file
from mvc.repo.sourcefiles import Opened

_LOCK, _PIPELINE = "dvc.lock", "dvc.yaml"
_EXPERIMENTS = "refs/exps/"
_NO_EXPERIMENTS = ("refs/exps/exec/", "refs/exps/stash", "refs/exps/celery/", "refs/exps/queue", "refs/exps/tempdir")


class DvcSource:
    """The project whose folder `.dvc` is in `path`. Its Git repository may begin further up."""

    kind = "dvc"

    def __init__(
        self,
        path: Path,
        environment: Mapping[str, str],
        *,
        remote: str | None = None,
        models_only: bool = False,
        remotes: bool = False,
        experiments: bool = False,
    ) -> None:
        """`remote` as of `DvcStore`. `models_only`: the files that DVC keeps, and not those that Git does.
        `experiments`: those of `dvc exp`, as branches `exp/NAME`. Raises NotFound where there is no such project."""
        top = Path(os.path.abspath(path))
        if not (top / ".dvc").is_dir():
            raise NotFound(f"{path} is no project of DVC: there is no folder .dvc in it")
        self._git = GitSource(_git_top(top), remotes=remotes)
        self._store = DvcStore(top / ".dvc", environment, remote)
        self._models_only, self._experiments = models_only, experiments
        self.place = os.fspath(top)
        self._parsed = lru_cache(maxsize=4096)(self._parse)
        self._folder = lru_cache(maxsize=8)(self._read_folder)
        self._snapshot = lru_cache(maxsize=4)(self._make_snapshot)

    @property
    def git(self) -> GitSource:
        return self._git

    def ids(self) -> Sequence[str]:
        return self._git.ids(self.refs())

    def commit(self, commit_id: str) -> SourceCommit:
        return self._git.commit(commit_id)

    def snapshot(self, commit_id: str) -> Snapshot:
        return self._snapshot(commit_id)

    def refs(self) -> Sequence[SourceRef]:
        return self._refs

    def head(self) -> str | None:
        return self._git.head()

    def size(self, entry: Entry) -> int | None:
        algorithm, _, digest = entry.key.partition(":")
        return self._git.size(digest) if algorithm == "git" else self._store.size(entry.key)

    def open(self, entry: Entry) -> Opened:
        algorithm, _, digest = entry.key.partition(":")
        return BlobFile(self._git.objects.blob(digest)) if algorithm == "git" else self._store.open(entry.key)

    def warnings(self) -> Sequence[str]:
        if self._store.unasked:
            name = self._store.unasked
            self._git.warn(
                f"DVC's remote '{name}' is elsewhere, and was not asked for what is missing: --remote {name}"
            )
        return self._git.warnings()

    def close(self) -> None:
        self._store.close()
        self._git.close()

    @cached_property
    def _refs(self) -> Sequence[SourceRef]:
        found = list(self._git.refs)
        if self._experiments:
            for name, value in self._git.others(_EXPERIMENTS).items():
                parts = name.removeprefix(_EXPERIMENTS).split("/", 2)
                if len(parts) == 3 and not name.startswith(_NO_EXPERIMENTS):  # AB/REST-OF-BASE/NAME
                    found.append(SourceRef(f"refs/heads/exp/{parts[2]}", value))
        return found

    def _make_snapshot(self, commit_id: str) -> Snapshot:
        tree = self._git.files(commit_id)
        kept: dict[str, Entry] = {}
        deps: list[Dep] = []
        pipelines: list[Pipeline] = []
        for path, item in tree.items():
            if _is_pipeline(path) and is_file(item.mode):
                pipelines.append(self._pipeline(path, item))
            elif _is_dvc(path) and is_file(item.mode):
                try:
                    said = self._parsed(path, item.id)
                except ParseError as error:  # a conflict that was committed: what it named is lost
                    self._git.warn(error.message)
                    kept[path] = Entry(FILE, f"lost:{item.id}")
                    continue
                self._add(kept, said.outs, tree)
                deps += said.deps
        files = dict(kept)
        if not self._models_only:
            for path, item in tree.items():
                if not _is_bookkeeping(path):
                    files[path] = self._git.entry(item)
        made_of = [dep for dep in deps if dep.path not in tree]

        def read(path: str, most: int) -> bytes | None:
            return self._read(tree, kept, path, most)

        paths = {*tree, *kept}
        return Snapshot(files, commit_metadata(commit_id, paths, pipelines, made_of, read, self._git.warn))

    def _add(self, kept: dict[str, Entry], outs: Sequence[Out], tree: Mapping[str, TreeItem]) -> None:
        """The files of outs, but for those that Git keeps (`cache: false`)."""
        for out in outs:
            if out.key is None:
                if out.cached and out.path not in tree:
                    self._git.warn(f"'{out.path}' is left out: DVC tells no digest of it")
            elif out.is_folder:
                for one in self._folder(out):
                    if one.path not in tree and one.key is not None:
                        kept[one.path] = _entry(one)
            elif out.path not in tree:
                kept[out.path] = _entry(out)

    def _read_folder(self, out: Out) -> tuple[Out, ...]:
        """The files of a folder; if its manifest is nowhere, itself, for whose key there is no content."""
        assert out.key is not None  # asked for those alone
        lost = out._replace(key=f"{out.key}.dir", size=None, is_folder=False)
        size = self._store.size(out.key, folder=True)
        if size is None:
            return (lost,)
        if size > MAX_MANIFEST:
            raise IntegrityError(f"'{out.path}': the list of its files is longer than {MAX_MANIFEST >> 20} MiB")
        with self._store.open(out.key, folder=True) as file:
            data = file.read_at(0, size + 1)
        check = digest_for(out.key, len(data))
        assert check is not None  # keys of DVC name a digest
        check[0].update(data)
        if check[0].hexdigest() != check[1]:
            raise IntegrityError(f"'{out.path}': the list of its files is damaged in DVC's cache or remote")
        return tuple(parse_folder(data, out))

    def _parse(self, path: str, blob_id: str) -> DvcFile:
        parse = parse_lock if path.rpartition("/")[2] == _LOCK else parse_dvc
        return parse(self._blob(path, blob_id), path)

    def _pipeline(self, path: str, item: TreeItem) -> Pipeline:
        """What a dvc.yaml declares. People write it: one that cannot be read costs the metadata, not the import."""
        try:
            return parse_pipeline(self._blob(path, item.id), path)
        except MvcError as error:
            self._git.warn(f"nothing is taken from {error.message}")
            return Pipeline()

    def _blob(self, path: str, blob_id: str) -> bytes:
        data = self._git.objects.blob_within(blob_id, MAX_FILE)
        if data is None:
            raise IntegrityError(f"{path} is larger than {MAX_FILE >> 20} MiB")
        return data

    def _read(self, tree: Mapping[str, TreeItem], kept: Mapping[str, Entry], path: str, most: int) -> bytes | None:
        if path in tree:
            return self._git.objects.blob_within(tree[path].id, most)
        entry = kept.get(path)
        size = self.size(entry) if entry is not None else None
        if entry is None or size is None or size > most:
            return None
        with self.open(entry) as file:
            data = file.read_at(0, size + 1)
        check = digest_for(entry.key, len(data))
        if check is not None:
            check[0].update(data)
        return data if check is None or check[0].hexdigest() == check[1] else None


def _entry(out: Out) -> Entry:
    assert out.key is not None  # outs without one have been left out
    return Entry(EXEC if out.executable else FILE, out.key, out.size)


def _is_dvc(path: str) -> bool:
    name = path.rpartition("/")[2]
    return (name == _LOCK or (name.endswith(".dvc") and name != ".dvc")) and not _is_inner(path)


def _is_pipeline(path: str) -> bool:
    return path.rpartition("/")[2] == _PIPELINE and not _is_inner(path)


def _is_bookkeeping(path: str) -> bool:
    """DVC's own files, which say nothing without it. Pipelines stay, with what they ran with: dvc.yaml, dvc.lock."""
    name = path.rpartition("/")[2]
    return (_is_dvc(path) and name != _LOCK) or _is_inner(path) or name == ".dvcignore"


def _is_inner(path: str) -> bool:
    return path.startswith(".dvc/") or "/.dvc/" in path


def _git_top(folder: Path) -> Path:
    for one in (folder, *folder.parents):
        if (one / ".git").exists():
            return one
    raise NotFound(
        f"{folder} is in no Git repository", hint="DVC without Git keeps no history: mvc add brings its files"
    )
