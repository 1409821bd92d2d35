"""Lightning with a run: a logger, and the storage of its checkpoints.

    logger = MvcLogger(name="cnn")
    trainer = Trainer(logger=logger, plugins=[MvcCheckpointIO(logger)])

docs/training.md shows it.
"""

from __future__ import annotations

import os
import tempfile
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mvc.ops.address import parse_address
from mvc.reading import open as open_address
from mvc.training.needed import needed
from mvc.training.run import Run, start_run

_loggers: Any = needed("lightning.pytorch.loggers.logger", "lightning")
_zero: Any = needed("lightning.pytorch.utilities.rank_zero", "lightning")
_io: Any = needed("lightning.fabric.plugins.io.torch_io", "lightning")
_ENDS = {"success": "finished", "failed": "failed", "interrupted": "interrupted"}


class MvcLogger(_loggers.Logger):  # type: ignore[misc]
    """A logger of Lightning that is a run."""

    def __init__(self, run: Run | None = None, **start: Any) -> None:
        """`run`: one that is begun and ended elsewhere; without it one begins with `start`, the arguments of
        `mvc.start_run`, when Lightning asks for it, and ends with the training."""
        super().__init__()
        self._run, self._own, self._start = run, run is None, start

    @property
    def experiment(self) -> Run:
        """The run. It begins here, on the first rank alone."""
        if self._run is None:
            self._run = start_run(**{"rank": _zero.rank_zero_only.rank or 0, **self._start})
        return self._run

    @property
    def name(self) -> str:
        return "mvc"

    @property
    def version(self) -> str:
        return self.experiment.name or "run"

    def log_hyperparams(self, params: Mapping[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Params of the run."""
        given = vars(params) if isinstance(params, Namespace) else dict(params)
        self.experiment.update(given)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log. Lightning's "epoch" is a metric as the others are.

        Lightning counts from 0 the step that it logs, and how many are done where it names a checkpoint: here, as with
        a Trainer of transformers, it is the latter for both, so that a checkpoint has the metrics of its step.
        """
        self.experiment.log(metrics, step=None if step is None else step + 1)

    def finalize(self, status: str) -> None:
        """End the run, if the logger began it."""
        if self._run is not None and self._own:
            self._run.finish(_ENDS.get(status, status))
            self._run = None


class MvcCheckpointIO(_io.TorchCheckpointIO):  # type: ignore[misc]
    """Lightning writes its checkpoint files as ever; each is stored by the run, too. What Lightning removes stays
    stored: `mvc forget` is for that. Files of versions are loaded by `URL@REV:FILE`."""

    def __init__(self, run: Run | MvcLogger, *, stored_as: str = "model.ckpt") -> None:
        """`stored_as`: the file's name in the commit, the same for all, as each is a difference from the one before."""
        super().__init__()
        self._run, self._stored_as = run, stored_as

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        super().save_checkpoint(checkpoint, path, storage_options)
        run = self._run.experiment if isinstance(self._run, MvcLogger) else self._run
        # Copied: `last.ckpt` and its like are written again and again in place.
        run.checkpoint(int(checkpoint.get("global_step", 0)), {self._stored_as: os.fspath(path)})

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> Any:
        text = os.fspath(path)
        if "@" not in text or os.path.lexists(text) or not parse_address(text, Path.cwd()).path:
            return super().load_checkpoint(path, *args, **kwargs)
        with tempfile.TemporaryDirectory(prefix="mvc-") as folder:
            target = Path(folder, "model.ckpt")
            with open_address(text) as source, target.open("wb") as out:
                while data := source.read(1 << 22):
                    out.write(data)
            return super().load_checkpoint(target, *args, **kwargs)
