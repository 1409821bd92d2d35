"""Whether less or more of a metric is better: as the user says, else as its name tells.

The words are those of the names that scikit-learn, torchmetrics, Keras and evaluate give to errors, losses and costs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

_LESS_NAMES = """
    loss losses err error errors mae mse rmse mape smape msle rmsle nll bce mce ece crossentropy entropy perplexity ppl
    bpb bpc bpd wer cer ter mer fid kid lpips brier divergence kl latency time seconds duration ms ns us s ttft tpot
    size bytes mb gb memory params parameters flops macs cost distance gap regret violations fpr fnr eer far frr
    toxicity hallucination energy watts co2 nan inf outliers
"""
_UNLESS_NAMES = "accuracy acc score rate reduction throughput per persecond correct f1 auc recall precision"
"""Words that turn it: error_reduction, tokens_per_second."""

_LESS = frozenset(_LESS_NAMES.split())
_UNLESS = frozenset(_UNLESS_NAMES.split())
_WORD = re.compile(r"[A-Za-z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+\d*|[A-Z]+\d*")


def less_is_better(name: str, given: Mapping[str, str] | None = None) -> bool:
    """Of a metric named `name` (dotted, scoped or not). `given`: globs to "min" or "max", the first that fits holds."""
    bare = name.partition("@")[0]
    for pattern, way in (given or {}).items():
        if fnmatchcase(name, pattern) or fnmatchcase(bare, pattern):
            return way == "min"
    words = {word.lower() for word in _WORD.findall(bare.rpartition(".")[2] or bare)}
    return bool(words & _LESS) and not words & _UNLESS
