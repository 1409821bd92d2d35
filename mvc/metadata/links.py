"""Where the run that made a commit is to be found elsewhere: from what trackers and schedulers put in the environment.

https://docs.wandb.ai/guides/track/environment-variables, https://mlflow.org/docs/latest/api_reference/python_api,
https://slurm.schedmd.com/sbatch.html (output environment variables).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mvc.metadata.secrets import without_credentials, without_secrets

_VARIABLES = {
    "wandb.run": "WANDB_RUN_ID",
    "wandb.project": "WANDB_PROJECT",
    "wandb.entity": "WANDB_ENTITY",
    "wandb.name": "WANDB_NAME",
    "mlflow.run": "MLFLOW_RUN_ID",
    "mlflow.experiment": "MLFLOW_EXPERIMENT_ID",
    "mlflow.experiment_name": "MLFLOW_EXPERIMENT_NAME",
    "mlflow.server": "MLFLOW_TRACKING_URI",
    "slurm.job": "SLURM_JOB_ID",
    "slurm.name": "SLURM_JOB_NAME",
    "slurm.cluster": "SLURM_CLUSTER_NAME",
    "slurm.array_job": "SLURM_ARRAY_JOB_ID",
    "slurm.array_task": "SLURM_ARRAY_TASK_ID",
    "slurm.nodes": "SLURM_JOB_NUM_NODES",
}
_RUNS = {"wandb": "wandb.run", "mlflow": "mlflow.run", "slurm": "slurm.job"}
"""Without that there is no run: a project's name alone says nothing of this commit."""

_WANDB_API = "https://api.wandb.ai"
_WANDB = "https://wandb.ai"
_MOST = 500
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_WEB = re.compile(r"https?://")


def find_links(environment: Mapping[str, str]) -> dict[str, str]:
    """The run elsewhere, by dotted name: {"wandb.url": "https://...", "slurm.job": "4711"}; without secrets."""
    found = {name: clean for name, key in _VARIABLES.items() if (clean := _clean(environment.get(key, "")))}
    found = {name: value for name, value in found.items() if _RUNS[name.partition(".")[0]] in found}
    if {"wandb.run", "wandb.project", "wandb.entity"} <= found.keys():
        base = _clean(environment.get("WANDB_BASE_URL", "")).rstrip("/")
        web = _WANDB if not _WEB.match(base) or base == _WANDB_API else base
        found["wandb.url"] = f"{web}/{found['wandb.entity']}/{found['wandb.project']}/runs/{found['wandb.run']}"
    server = found.get("mlflow.server", "").rstrip("/")
    if _WEB.match(server) and "mlflow.experiment" in found:
        found["mlflow.url"] = f"{server}/#/experiments/{found['mlflow.experiment']}/runs/{found['mlflow.run']}"
    return dict(sorted(found.items()))


def _clean(value: str) -> str:
    words = without_secrets([without_credentials(_CONTROL.sub("", value).strip())])
    return words[0][:_MOST]
