"""`torch.distributed.checkpoint` into runs, and out of any version.

    dcp.save(state, storage_writer=StorageWriter(run, step))
    dcp.load(state, storage_reader=StorageReader("s3://bucket/bert@refs/runs/bert/1000"))

Each rank's process writes its `.distcp` shards and adds them to the store by itself, all at once; the coordinator then
commits them with `.metadata` as `refs/runs/RUN/STEP`. The ranks share one repository (a file system that all see).
Formats as in `torch/distributed/checkpoint/filesystem.py` of https://github.com/pytorch/pytorch, so that its own
FileSystemReader reads a checkpoint which `mvc get` brought, too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import pickle
import shutil
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from mvc.errors import NotFound, UsageError
from mvc.objects.model import TreeItem
from mvc.ops.address import parse_address
from mvc.ops.commit_files import store_files
from mvc.ops.ranged_file import RangedFile, RawFile, open_model_file
from mvc.ops.runfiles import checkpoint_ref
from mvc.reading import open_version
from mvc.repo.chunks import open_chunks
from mvc.store.intents import Intent
from mvc.training.needed import needed
from mvc.training.place import Place
from mvc.training.run import Run
from mvc.training.shards import alone, latest_before
from mvc.training.values import numbers, whole_step

_files: Any = needed("torch.distributed.checkpoint.filesystem", "torch")
_meta: Any = needed("torch.distributed.checkpoint.metadata", "torch")
_METADATA = ".metadata"
_BUFFER = 1024 * 1024


@dataclasses.dataclass
class _Prefix:
    """What the coordinator tells each rank: how its files are called, and of which commit they are a small step."""

    prefix: str
    like: str | None


@dataclasses.dataclass
class _Stored:
    """What a rank tells the coordinator of an item: where it lies, and the blob of the file."""

    info: Any
    mode: int
    blob: str


class StorageWriter(_files.FileSystemWriter):  # type: ignore[misc]
    """A storage writer whose checkpoints are commits of a run."""

    def __init__(
        self,
        run: Run | str,
        step: int | None = None,
        *,
        repo: str | os.PathLike[str] = ".",
        metrics: Mapping[str, Any] | None = None,
        message: str | None = None,
        thread_count: int = 1,
        **options: Any,
    ) -> None:
        """`run`: one that `mvc.start_run` gave (in every rank), or just a name, then with `repo`. `step`: or as the
        `checkpoint_id` of `dcp.save`, which takes one writer for many steps. `options` as of FileSystemWriter."""
        self._place = run.place if isinstance(run, Run) else Place.of(repo)
        self._run = run
        self._step = None if step is None else whole_step(step)
        self._metrics, self._message = numbers(metrics or {}), message
        self._intent: Intent | None = None
        self._coordinates = False
        options = {"sync_files": False, **options}
        super().__init__(self._fresh_folder(), thread_count=thread_count, **options)

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """Before each save."""
        self._let_go()
        if checkpoint_id:
            self._step = whole_step(_step_in(os.fspath(checkpoint_id)))
        super().reset(self._fresh_folder())

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        if not kwargs.get("use_collectives", True):
            raise UsageError("the ranks' shards become one commit: that takes dcp.save(use_collectives=True)")
        if self._step is None:
            raise UsageError("the checkpoint's step is not known", hint="StorageWriter(run, step), or checkpoint_id")
        self._coordinates = is_coordinator
        super().set_up_storage_writer(is_coordinator, *args, **kwargs)

    def prepare_global_plan(self, plans: list[Any]) -> list[Any]:
        """Runs at the coordinator."""
        assert self._step is not None
        repo = self._place.open()
        like = latest_before(repo, self._name(), self._step)
        return [
            dataclasses.replace(plan, storage_data=_Prefix(f"__{number}_", like)) for number, plan in enumerate(plans)
        ]

    def write_data(self, plan: Any, planner: Any) -> Any:
        """Runs in each rank: its shards into the store."""
        results = super().write_data(plan, planner).wait()
        folder = Path(self.path)
        repo = self._place.open()
        names = sorted({one.storage_data.relative_path for one in results})
        sources: dict[str, Path | bytes] = {name: folder / name for name in names}
        if names:
            # What says where tensors lie in the shards is written at the end, by another process.
            sources[_METADATA] = pickle.dumps(_partial(plan, results))
        if self._intent is not None:
            self._intent.close()
        self._intent = open_chunks(repo).intend("checkpoint shards")
        weakref.finalize(self, self._intent.close)
        stored = store_files(repo, sources, self._intent, like=plan.storage_data.like, caller=self._place.caller(repo))
        for name in names:
            (folder / name).unlink()
        if not self._coordinates:
            shutil.rmtree(folder, ignore_errors=True)
        made: Any = _files.Future()
        made.set_result(
            [
                dataclasses.replace(
                    one, storage_data=_Stored(one.storage_data, *stored[one.storage_data.relative_path])
                )
                for one in results
            ]
        )
        return made

    def finish(self, metadata: Any, results: list[list[Any]]) -> None:
        """Runs at the coordinator, when all shards are stored: the commit."""
        assert self._step is not None
        items: dict[str, Any] = {}
        for rank in results:
            for one in rank:
                items[one.storage_data.info.relative_path] = TreeItem(one.storage_data.mode, one.storage_data.blob)
        plain = [[dataclasses.replace(one, storage_data=one.storage_data.info) for one in rank] for rank in results]
        super().finish(metadata, plain)
        items[_METADATA] = Path(self.path) / _METADATA
        if isinstance(self._run, Run):
            self._run.commit_stored(self._step, items, metrics=self._metrics, message=self._message)
        else:
            alone(self._place, self._run, self._step, items, self._metrics, self._message)
        self._let_go()

    def storage_meta(self) -> Any:
        return _meta.StorageMeta(checkpoint_id=checkpoint_ref(self._name(), self._step or 0), save_id=self.save_id)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return _step_in(os.fspath(checkpoint_id)) >= 0

    def _name(self) -> str:
        return self._run.name if isinstance(self._run, Run) else self._run

    def _fresh_folder(self) -> str:
        """The name of a folder for the shards until they are stored; made when it is needed."""
        return os.fspath(self._place.open().tmp_dir / f"shards-{os.urandom(8).hex()}")

    def _let_go(self) -> None:
        if self._intent is not None:
            self._intent.close()
            self._intent = None
        shutil.rmtree(self.path, ignore_errors=True)


class StorageReader(_files.FileSystemReader):  # type: ignore[misc]
    """Reads a distributed checkpoint of any version: only the bytes that the plan asks for come."""

    def __init__(self, address: str, *, environment: Mapping[str, str] | None = None, trusted: bool = False) -> None:
        """`address`: URL@REV, or URL@REV:FOLDER; URL is a remote or a repository on this disk. `trusted`: let
        `.metadata`, which is a pickle, name whatever classes it likes."""
        self._environment, self._trusted = environment, trusted
        self._stack = contextlib.ExitStack()
        super().__init__("")
        self.storage_data: dict[Any, Any]
        self._open(address)

    def _open(self, address: str) -> None:
        self.close()
        wanted = parse_address(address, Path.cwd())
        view = open_version(self._stack, wanted.url, self._environment)
        self.fs = _VersionFiles(view, view.resolve(wanted.revision))
        self.path = wanted.path or ""

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        self.storage_data = {}
        if checkpoint_id:
            self._open(os.fspath(checkpoint_id))

    def read_metadata(self, *args: Any, **kwargs: Any) -> Any:
        with self.fs.create_stream(self.fs.concat_path(self.path, _METADATA), "rb") as stream:
            loader: Any = pickle.Unpickler if self._trusted else _Careful
            metadata = loader(stream).load()
        if getattr(metadata, "storage_meta", None) is None:
            metadata.storage_meta = _meta.StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata

    @property
    def checkpoint_id(self) -> str:
        return str(self.path)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return "@" in os.fspath(checkpoint_id)

    def close(self) -> None:
        """Let go of connections and files."""
        self._stack.close()


class _VersionFiles:
    """What FileSystemReader asks of a file system, of a version."""

    def __init__(self, view: Any, commit: str) -> None:
        self._view, self._commit = view, commit

    def init_path(self, path: str) -> str:
        return path

    def concat_path(self, path: str, suffix: str) -> str:
        return f"{path}/{suffix}" if path else suffix

    @contextlib.contextmanager
    def create_stream(self, path: str, mode: str) -> Iterator[io.BufferedReader[Any]]:
        file = RangedFile(self._view, open_model_file(self._view, self._commit, path))
        with io.BufferedReader(RawFile(file, contextlib.ExitStack()), _BUFFER) as stream:
            yield stream

    def exists(self, path: str) -> bool:
        try:
            open_model_file(self._view, self._commit, path)
        except NotFound:
            return False
        return True


class _Careful(pickle.Unpickler):
    """Makes the classes that `.metadata` consists of, and calls nothing else."""

    _PLAIN: ClassVar[Mapping[str, set[str]]] = {
        "builtins": {"set", "frozenset", "bytearray", "complex", "slice"},
        "collections": {"OrderedDict", "defaultdict"},
        "pathlib": {"PosixPath", "PurePosixPath", "WindowsPath", "Path"},
        "pathlib._local": {"PosixPath", "PurePosixPath", "WindowsPath", "Path"},
        "torch": {"Size", "device"},
        "torch.serialization": {"_get_layout"},
    }

    def find_class(self, module: str, name: str) -> Any:
        known = name in self._PLAIN.get(module, ())
        if module == "torch" and not known:
            known = type(getattr(_files.torch, name, None)) is _files.torch.dtype
        if module in ("torch.distributed.checkpoint.metadata", "torch.distributed.checkpoint.filesystem"):
            found = getattr(_meta if module.endswith("metadata") else _files, name, None)
            known = isinstance(found, type) and (dataclasses.is_dataclass(found) or hasattr(found, "__members__"))
        if not known:
            raise UsageError(
                f"the checkpoint's .metadata names {module}.{name}, which is no part of a checkpoint",
                hint="StorageReader(..., trusted=True) if you trust who made it",
            )
        return super().find_class(module, name)


def _partial(plan: Any, results: list[Any]) -> Any:
    """The metadata of one rank's items, as far as it says which tensor lies where."""
    sharded = {}
    for item in plan.items:
        data = item.tensor_data
        if data is not None and tuple(data.chunk.sizes) != tuple(data.size):
            sharded[item.index.fqn] = _meta.TensorStorageMetadata(data.properties, data.size, [data.chunk, data.chunk])
    return _meta.Metadata(sharded, storage_data={one.index: one.storage_data for one in results})


def _step_in(text: str) -> int:
    """The number that the last part of a checkpoint's id ends with; -1 where it has none."""
    last = text.rstrip("/").rpartition("/")[2]
    digits = last[len(last.rstrip("0123456789")) :]
    return int(digits) if digits and len(digits) < 19 else -1
