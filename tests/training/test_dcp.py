"""torch.distributed.checkpoint, by two processes: their shards become one commit, read again from any version."""

from __future__ import annotations

import os
import pickle
import shutil
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
import torch._dynamo  # what is loaded here is not loaded by each rank
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

import mvc
from mvc.errors import UsageError
from mvc.ops.runs import list_runs
from mvc.repo.repository import Repository
from mvc.training.dcp import StorageReader, StorageWriter
from tests.training.weights import assert_sound, steps_of

ROWS = 512


def state(step: int, *, blank: bool = False) -> dict[str, Any]:
    """A sharded tensor, one that each rank has whole, and what is no tensor."""
    whole = torch.randn(ROWS, 256, generator=torch.Generator().manual_seed(0)) + step * 1e-6
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    shards = distribute_tensor(torch.zeros_like(whole) if blank else whole, mesh, [Shard(0)])
    return {
        "model": {"layer": shards, "bias": torch.zeros(256) if blank else torch.arange(256.0) + step},
        "step": 0 if blank else step,
        "list": [] if blank else ["a", 1],
    }


def ranks(work: Callable[[int], None], folder: Path, count: int = 2) -> None:
    """Run `work` in so many processes of a group."""
    torch.set_num_threads(1)
    meet = folder / f"meet-{os.urandom(4).hex()}"
    children = []
    for rank in range(count):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.environ["RANK"] = str(rank)
                dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=count)
                work(rank)
                dist.destroy_process_group()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * count


def test_two_ranks_save_into_one_commit(repo: Repository, tmp_path: Path) -> None:
    def save(rank: int) -> None:
        with mvc.start_run({"lr": 1}, name="big", repo="repo") as run:
            run.log(step=20, loss=0.5)
            dcp.save(state(10), storage_writer=StorageWriter(run, 10))
            writer = StorageWriter(run)
            dcp.save(state(20), checkpoint_id="20", storage_writer=writer)
            dcp.async_save(state(30), checkpoint_id="30", storage_writer=writer).result()

    ranks(save, tmp_path)
    assert steps_of(repo, "big") == [10, 20, 30]
    reader = mvc.Repo.open("repo")
    assert reader.files("refs/runs/big/20") == [".metadata", "__0_0.distcp", "__1_0.distcp"]
    assert reader.show("refs/runs/big/20").metrics == {"loss": 0.5} and list_runs(repo)[0].status == "finished"
    names = {
        name: tensor.shape
        for file in ("__0_0.distcp", "__1_0.distcp")
        for name, tensor in reader.tensors("refs/runs/big/30", file).items()
    }
    assert names["model.layer[0,0]"] == names[f"model.layer[{ROWS // 2},0]"] == (ROWS // 2, 256)
    packs = sorted(path.stat().st_size for path in (tmp_path / "repo/.mvc/chunks/packs").rglob("*.pack"))
    assert len(packs) == 6 and sum(packs[:4]) < 0.5 * sum(packs[4:])  # the later steps are differences
    assert not list((tmp_path / "repo/.mvc/tmp").glob("shards-*"))

    def load(rank: int) -> None:
        found = state(0, blank=True)
        dcp.load(found, storage_reader=StorageReader("repo@refs/runs/big/20"))
        wanted = state(20)
        assert (found["model"]["layer"].to_local() == wanted["model"]["layer"].to_local()).all()
        assert (found["model"]["bias"] == wanted["model"]["bias"]).all() and found["step"] == 20

    ranks(load, tmp_path, 3)  # another number of ranks than saved it
    assert_sound(repo)


def test_read_from_a_remote_by_what_is_needed(repo: Repository, tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    given = {"model": {"layer": torch.randn(ROWS, 2048), "bias": torch.arange(256.0)}}
    with mvc.start_run(name="big", repo="repo", remote=str(tmp_path / "remote")) as run:
        dcp.save(given, storage_writer=StorageWriter(run, 10), no_dist=True)
    assert run.problems.all == []
    shutil.rmtree("repo/.mvc/chunks")
    reader = StorageReader(f"{tmp_path / 'remote'}@refs/runs/big/10")
    found = {"model": {"bias": torch.zeros(256)}}
    dcp.load(found, storage_reader=reader, no_dist=True)
    assert (found["model"]["bias"] == torch.arange(256.0)).all()
    reader.close()


def test_torchs_own_reader_reads_what_get_brought(repo: Repository, tmp_path: Path) -> None:
    given = {"w": torch.arange(100_000.0), "n": 3}
    dcp.save(given, storage_writer=StorageWriter("one", 5, repo="repo"), no_dist=True)
    with mvc.start_run(name="one", repo="repo", resume=True) as run:
        run.restore("back")
    found = {"w": torch.zeros(100_000), "n": 0}
    dcp.load(found, checkpoint_id="back", no_dist=True)
    assert (found["w"] == given["w"]).all() and found["n"] == 3


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


def test_metadata_runs_no_code(repo: Repository, tmp_path: Path) -> None:
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil/.metadata").write_bytes(pickle.dumps(Evil()))
    with mvc.start_run(name="a", repo="repo") as run:
        run.checkpoint(1, "evil")
    reader = StorageReader("repo@refs/runs/a/1")
    with pytest.raises(UsageError, match="no part of a checkpoint"):
        reader.read_metadata()
    reader.close()
    assert not Path("harmed").exists()


def test_what_makes_no_sense(repo: Repository) -> None:
    with pytest.raises(BaseException, match="step is not known"):
        dcp.save({"w": torch.zeros(3)}, storage_writer=StorageWriter("a", repo="repo"), no_dist=True)
    with pytest.raises(BaseException, match="the ranks' shards become one commit"):
        writer = StorageWriter("a", 1, repo="repo")
        dcp.save({"w": torch.zeros(3)}, storage_writer=writer, no_dist=True, use_collectives=False)
    assert steps_of(repo, "a") == []
