"""One step of the pipeline by name, each imported only when it runs: prepare and publish need no torch."""

import importlib

from trainer.contract.steps import PIPELINE
from trainer.settings import Settings
from trainer.sinks import Sink

STEPS = tuple(step.name for step in PIPELINE)


def run_step(name: str, settings: Settings, sink: Sink) -> None:
    """Raises what the step raises (trainer/outcomes.py)."""
    importlib.import_module(f"trainer.{name}").run(settings, sink)
