"""What a step uses: processor and GPU seconds, energy, memory. Money is made of it elsewhere (app/contract/cost.py).

with metered(attempt, "train", settings, sink=sink, rank=ranks.rank, gpus=1) as run:
    run.resumed(step)              # of a checkpoint; 0: from the beginning
    ...
    run.stepped(kept=health.ok)    # after each optimizer step
    run.kept(step)                 # a checkpoint is safe
    ...
    run.kept(step)                 # the step of the pipeline is done
    report = report.model_copy(update={"usage": run.total()})
"""

from trainer.usage.meter import Meter
from trainer.usage.run import Run, metered, usage_of

__all__ = ["Meter", "Run", "metered", "usage_of"]
