"""The real Trainer trains a tiny model: its logs and checkpoints are a run's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

import mvc
from mvc.ops.runfiles import load_log
from mvc.ops.runs import list_runs
from mvc.repo.repository import Repository
from mvc.training.transformers import MvcCallback, last_checkpoint
from tests.training.weights import assert_sound, steps_of


class Rows(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": torch.arange(8) + index % 20, "labels": torch.tensor(index % 2)}


class Stop(TrainerCallback):
    """Breaks the training off, as a machine would."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 9:
            raise RuntimeError("out of memory")


def trainer(output: Path, *callbacks: TrainerCallback, steps: int = 12, **arguments: Any) -> Trainer:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, num_labels=2
    )
    given = TrainingArguments(
        output_dir=str(output),
        max_steps=steps,
        save_steps=4,
        logging_steps=2,
        eval_strategy="steps",
        eval_steps=4,
        save_total_limit=1,
        per_device_train_batch_size=4,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        **arguments,
    )
    model = BertForSequenceClassification(config)
    return Trainer(model, given, train_dataset=Rows(), eval_dataset=Rows(), callbacks=list(callbacks))


def test_what_the_trainer_saves_is_stored(repo: Repository, tmp_path: Path) -> None:
    trainer(tmp_path / "out", MvcCallback(name="bert", repo="repo", params={"note": "tiny"})).train()
    assert steps_of(repo, "bert") == [4, 8, 12]
    (run,) = list_runs(repo)
    assert run.status == "finished" and run.metadata.params["learning_rate"] == 5e-5
    assert run.metadata.params["model.hidden_size"] == 64 and run.metadata.params["note"] == "tiny"
    reader = mvc.Repo.open("repo")
    assert {"model.safetensors", "optimizer.pt", "trainer_state.json"} <= set(reader.files("refs/runs/bert/4"))
    assert "eval_loss" in reader.show("refs/runs/bert/8").metrics
    points = load_log(repo, "bert").points
    assert {"loss", "learning_rate"} <= points[2].keys() and "eval_loss" in points[4]
    # The Trainer kept its last two at most; all three are stored.
    saved = (tmp_path / "out/checkpoint-12/model.safetensors").read_bytes()
    assert reader.read_file("refs/runs/bert/12", "model.safetensors") == saved
    assert_sound(repo)


def test_a_broken_training_goes_on_elsewhere(repo: Repository, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), mvc.start_run(name="bert", repo="repo") as run:
        trainer(tmp_path / "one", MvcCallback(run, without=("scheduler.pt",)), Stop()).train()
    assert [one.status for one in list_runs(repo)] == ["failed"] and steps_of(repo, "bert") == [4, 8]
    assert "scheduler.pt" not in mvc.Repo.open("repo").files("refs/runs/bert/8")
    with mvc.start_run(name="bert2", repo="repo") as run:
        trainer(tmp_path / "two", MvcCallback(run), steps=4).train()
    with mvc.start_run(name="bert2", repo="repo", resume=True) as run:
        folder = last_checkpoint(run, tmp_path / "three")
        assert folder == str(tmp_path / "three/checkpoint-4")
        again = trainer(tmp_path / "three", MvcCallback(run))
        assert again.train(resume_from_checkpoint=folder).global_step == 12
    assert steps_of(repo, "bert2") == [4, 8, 12]
