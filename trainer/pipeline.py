"""One step of the pipeline by name, each imported only when it runs: prepare and publish need no torch."""

import importlib
import os

from trainer.contract.steps import DRIFT, PIPELINE, SEARCH, TRIAL
from trainer.settings import Settings
from trainer.sinks import Sink

STEPS = tuple(step.name for step in PIPELINE)
COMMANDS = (*STEPS, SEARCH.name, TRIAL.name, DRIFT.name)

# Read when torch is first imported, so set before any step is.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads made a training 9x slower on a shared machine
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it CUDA's sums vary from run to run


def run_step(name: str, settings: Settings, sink: Sink) -> None:
    """Raises what the step raises (trainer/outcomes.py)."""
    importlib.import_module(f"trainer.{name}").run(settings, sink)
