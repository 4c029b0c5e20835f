"""Experiment trackers, all optional: Weights & Biases, MLflow, TensorBoard. Each reads its own variables.

A tracker is opened by the first line that belongs to a step: preparation and publishing make no run there. One that
writes files writes them below the attempt's `trackers/`, which is brought into the bucket at the end.
"""

import importlib.util
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from trainer.attempt import AttemptFolder
from trainer.outcomes import BadInput
from trainer.sinks.sink import Line, Metrics

FOLDER = "trackers"
Figures = Mapping[str, float]


class Tracker(Protocol):
    """One run in a tracker."""

    def log(self, step: int, figures: Figures) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Experiment:
    """What a tracker is told of a run. folder: where it may write. name: the same for all runs of an attempt."""

    name: str
    group: str
    labels: Mapping[str, str]
    parameters: Mapping[str, Any]
    folder: Path
    environment: Mapping[str, str]


class TrackerSink:
    """Numbers by step for one tracker."""

    def __init__(self, open_tracker: Callable[[], Tracker], files: Path, attempt: AttemptFolder) -> None:
        self._open, self._files, self._attempt = open_tracker, files, attempt
        self._tracker: Tracker | None = None

    def begin(self, step: str) -> None:
        """Nothing: see record."""

    def progress(self, done: int, total: int, metrics: Metrics) -> None:
        """Nothing: `record` has the numbers."""

    def record(self, line: Line) -> None:
        if "step" not in line:
            return
        if self._tracker is None:
            self._tracker = self._open()
        figures = {name: float(value) for name, value in line.items() if _is_number(value) and name != "step"}
        self._tracker.log(int(line["step"]), figures)

    def finish(self, metrics: Metrics) -> None:
        """Nothing: a tracker's run ends with the process."""

    def close(self) -> None:
        if self._tracker is not None:
            self._tracker.close()
        for path in sorted(self._files.rglob("*")):
            if path.is_file() and not path.is_symlink():
                self._attempt.push_file(path.relative_to(self._attempt.local).as_posix())


class WandbRun:
    """WANDB_MODE=offline writes files that `wandb sync` uploads; else WANDB_API_KEY is needed."""

    def __init__(self, experiment: Experiment) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # faults of the library go to its makers otherwise
        import wandb

        experiment.folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=experiment.environment.get("WANDB_PROJECT", experiment.group),
            id=experiment.name,
            name=experiment.name,
            resume="allow",
            dir=str(experiment.folder),
            config={**experiment.labels, **experiment.parameters},
            settings=wandb.Settings(console="off", disable_git=True, disable_code=True, silent=True),
        )

    def log(self, step: int, figures: Figures) -> None:
        self._run.log(dict(figures), step=step)

    def close(self) -> None:
        self._run.finish()


class MlflowRun:
    """One run for all runs of an attempt; MLFLOW_TRACKING_URI says where."""

    def __init__(self, experiment: Experiment) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what is called goes to its makers otherwise
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(experiment.environment["MLFLOW_TRACKING_URI"])
        name = experiment.environment.get("MLFLOW_EXPERIMENT_NAME", experiment.group)
        there = self._client.get_experiment_by_name(name)
        where = there.experiment_id if there else self._client.create_experiment(name)
        begun = self._client.search_runs([where], f"tags.`tenon.attempt` = '{experiment.name}'", max_results=1)
        if begun:
            self._id = begun[0].info.run_id
        else:
            tags = {
                "tenon.attempt": experiment.name,
                **{f"tenon.{key}": text for key, text in experiment.labels.items()},
            }
            self._id = self._client.create_run(where, run_name=experiment.name, tags=tags).info.run_id
            for key, value in experiment.parameters.items():
                self._client.log_param(self._id, key, value)

    def log(self, step: int, figures: Figures) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._id, [Metric(name, value, now, step) for name, value in figures.items()])

    def close(self) -> None:
        self._client.set_terminated(self._id)


class TensorBoardRun:
    """Event files."""

    def __init__(self, experiment: Experiment) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(experiment.folder))

    def log(self, step: int, figures: Figures) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


TRACKERS: dict[str, Callable[[Experiment], Tracker]] = {
    "wandb": WandbRun,
    "mlflow": MlflowRun,
    "tensorboard": TensorBoardRun,
}


def chosen(names: str, environment: Mapping[str, str], *, variable: str) -> tuple[str, ...]:
    """The trackers of a comma-separated list. Raises BadInput for one that is unknown, absent or told nothing."""
    found = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    for name in found:
        if name not in TRACKERS:
            raise BadInput(f"{variable}: {name!r} is no tracker; use some of {', '.join(TRACKERS)}")
        if importlib.util.find_spec(name) is None:
            raise BadInput(f"{variable}: {name} is not installed; install tenon with the extra `trackers`")
    if "mlflow" in found and not environment.get("MLFLOW_TRACKING_URI"):
        raise BadInput(f"{variable}: mlflow needs MLFLOW_TRACKING_URI; set it, or leave mlflow out")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
