"""The real Lightning fits a tiny model: a logger and the storage of checkpoints that are a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

import mvc
from mvc.ops.runfiles import load_log
from mvc.ops.runs import list_runs
from mvc.repo.repository import Repository
from mvc.training.lightning import MvcCheckpointIO, MvcLogger
from tests.training.weights import steps_of


class Model(LightningModule):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(8, width)

    def training_step(self, batch: Any, _number: int) -> Any:
        loss = self.layer(batch).square().mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-2)

    def train_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(torch.ones(16, 8), batch_size=2)


def fit(folder: Path, logger: MvcLogger, *, path: str | None = None, epochs: int = 1) -> Trainer:
    keep = ModelCheckpoint(folder / "ckpts", every_n_train_steps=4, save_top_k=1, monitor="loss", save_last=True)
    trainer = Trainer(
        max_epochs=epochs,
        logger=logger,
        callbacks=[keep],
        plugins=[MvcCheckpointIO(logger)],
        accelerator="cpu",
        log_every_n_steps=2,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(Model(), ckpt_path=path, weights_only=False if path else None)
    return trainer


def test_a_fit_is_a_run(repo: Repository, tmp_path: Path) -> None:
    fit(tmp_path, MvcLogger(name="cnn", repo="repo", params={"lr": 1}))
    (run,) = list_runs(repo)
    assert run.status == "finished" and run.metadata.params == {"width": 16, "lr": 1} and "loss" in run.metadata.metrics
    assert steps_of(repo, "cnn")[-1] == 8 and mvc.Repo.open("repo").files("refs/runs/cnn/8") == ["model.ckpt"]
    points = load_log(repo, "cnn").points
    assert all(set(values) <= {"loss", "epoch"} for values in points.values())
    assert list(points) == [2, 4, 6, 8], "a checkpoint's step is that of its metrics: forget --keep-best finds them"
    # From the store, as any version's file: Lightning's own have gone their way.
    again = fit(tmp_path / "b", MvcLogger(name="cnn2", repo="repo"), path="repo@refs/runs/cnn/8:model.ckpt", epochs=2)
    assert again.global_step == 16


def test_a_run_that_is_given_is_not_ended(repo: Repository, tmp_path: Path) -> None:
    with mvc.start_run({"lr": 1}, name="cnn", repo="repo") as run:
        fit(tmp_path, MvcLogger(run))
        run.log(step=100, extra=1)
    assert load_log(repo, "cnn").points[100] == {"extra": 1}
