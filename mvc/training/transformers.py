"""`transformers.Trainer` with a run: what it logs, and each checkpoint folder that it saves.

    trainer = Trainer(..., callbacks=[MvcCallback(name="bert", remote="origin")])

or, so that a failing training is known as such, `with mvc.start_run(...) as run:` around it and `MvcCallback(run)`.
docs/training.md shows both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mvc.training.needed import needed
from mvc.training.run import Run, start_run
from mvc.training.values import number

_TrainerCallback: Any = needed("transformers", "transformers").TrainerCallback


class MvcCallback(_TrainerCallback):  # type: ignore[misc]
    """Logs to a run, and stores as checkpoint what the Trainer saves."""

    def __init__(self, run: Run | None = None, *, without: tuple[str, ...] = (), **start: Any) -> None:
        """`run`: one that is begun and ended elsewhere; without it the callback begins one with `start`, the arguments
        of `mvc.start_run`, and ends it with the training. `without`: globs of file names that are not stored, such as
        "optimizer.pt"."""
        self.run = run
        self._own = run is None
        self._without = without
        self._start = start

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin the run, with the arguments as params; of a run that is given they are its own."""
        if self.run is None:
            name = getattr(args, "run_name", None)
            name = None if name == args.output_dir else name  # so older versions name every run
            params = {**_params(args, kwargs.get("model")), **(self._start.get("params") or {})}
            rank = 0 if state.is_world_process_zero else 1
            self.run = start_run(**{"name": name, "rank": rank, **self._start, "params": params})

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """Log what are numbers, at the step."""
        found = {name: value for name, value in (logs or {}).items() if _is_number(value)}
        if self.run is not None and state.is_world_process_zero and found:
            self.run.log(found, step=state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Store `checkpoint-STEP`. The Trainer writes each into a new folder: its files are linked, not copied."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if self.run is not None and state.is_world_process_zero and folder.is_dir():
            files = {
                path.relative_to(folder).as_posix(): path
                for path in sorted(folder.rglob("*"))
                if path.is_file() and not any(fnmatchcase(path.name, glob) for glob in self._without)
            }
            self.run.checkpoint(state.global_step, files, keep="link")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the run, if the callback began it."""
        if self.run is not None and self._own:
            self.run.finish()
            self.run = None


def last_checkpoint(run: Run, output_dir: str | os.PathLike[str]) -> str | None:
    """The run's last checkpoint as a folder that the Trainer goes on from; None where there is none.

    trainer.train(resume_from_checkpoint=last_checkpoint(run, args.output_dir))
    """
    last = run.last
    if last is None:
        return None
    folder = Path(output_dir) / f"checkpoint-{last.step}"
    run.restore(folder, last.step)
    return os.fspath(folder)


def _params(args: Any, model: Any) -> dict[str, Any]:
    """The training's arguments, flat and without secrets, and the model's config."""
    found = {name: value for name, value in args.to_sanitized_dict().items() if "token" not in name}
    config: Any = getattr(model, "config", None)
    if hasattr(config, "to_diff_dict"):
        plain = {name: value for name, value in config.to_diff_dict().items() if _is_plain(value)}
        found["model"] = plain
    return {name: value for name, value in found.items() if value not in (None, "")}


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool))


def _is_number(value: Any) -> bool:
    try:
        number("value", value)
    except Exception:
        return False
    return True
