"""Which way a metric is better, by its name or as said."""

from __future__ import annotations

import pytest

from mvc.metadata.direction import less_is_better

LESS = "loss val_loss eval.loss valLoss train/nll wer perplexity latency_ms p99_latency rmse top1_error size FID ECE"
MORE = "accuracy acc f1 auc bleu rouge.l exact_match tokens_per_second mAP error_reduction accuracy@model.safetensors"


@pytest.mark.parametrize("name", LESS.split())
def test_names_of_errors_and_costs(name: str) -> None:
    assert less_is_better(name)


@pytest.mark.parametrize("name", MORE.split())
def test_all_other_names(name: str) -> None:
    assert not less_is_better(name)


def test_what_is_said_holds() -> None:
    assert less_is_better("acc", {"acc": "min"}) and not less_is_better("eval.loss", {"eval.*": "max", "*": "min"})
    assert less_is_better("acc@model.safetensors", {"acc": "min"})
