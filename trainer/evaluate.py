"""Step `evaluate`: held-out loss of the base model and of the tuned one, over the same rows."""

from collections.abc import Sequence

import torch

from trainer.attempt import AttemptFolder
from trainer.contract.bucket import ADAPTER
from trainer.data.packing import PackedRow, pack
from trainer.durability.interruption import Interruption, watched
from trainer.model import base
from trainer.model.adapter import Adapted
from trainer.model.loss import summed_loss
from trainer.outcomes import BadInput, Killed
from trainer.publishing.manifest import Incomplete
from trainer.recipes import recipe_of
from trainer.settings import Settings
from trainer.sinks import Sink
from trainer.train import prepared
from trainer.usage import Meter


def run(settings: Settings, sink: Sink) -> None:
    """Add lossBefore and lossAfter to the report. Raises Killed after a signal: there is nothing to save."""
    meter = Meter(gpus=torch.cuda.device_count() and 1)
    job, recipe, attempt = settings.job, recipe_of(settings.job), AttemptFolder.of(settings)
    sink.begin("evaluate")
    with watched() as interruption:
        dataset, report = prepared(attempt)
        if report.status in {"evaluated", "published"}:
            return
        try:
            adapter = attempt.pull_folder(ADAPTER)
        except Incomplete as error:
            raise BadInput(f"adapter: {error}; run the step train first") from error
        rows = pack(dataset.evaluation, recipe.width)
        model = Adapted(base.load(base.fetch(job, settings.work), precision=recipe.precision), recipe, seed=job.seed)
        model.load(adapter)
        held_out = _HeldOut(model, rows, sink, interruption)
        with model.without():
            before = held_out.mean_loss(first=0)
        after = held_out.mean_loss(first=len(rows))
    update = {"status": "evaluated", "loss_before": before, "loss_after": after}
    attempt.write_report(report.model_copy(update={**update, "usage": meter.added_to(report.usage)}))


class _HeldOut:
    """The held-out rows before a model."""

    def __init__(self, model: Adapted, rows: Sequence[PackedRow], sink: Sink, interruption: Interruption) -> None:
        self._model, self._rows, self._sink, self._interruption = model, rows, sink, interruption

    @torch.no_grad()
    def mean_loss(self, *, first: int) -> float:
        """Mean loss per assistant token, dropout off. first: rows already done, for the progress."""
        self._model.training(mode=False)
        total = 0.0
        for done, row in enumerate(self._rows, start=first + 1):
            if self._interruption.requested:
                raise Killed("asked to stop; the evaluation begins anew when it is started again")
            total += float(summed_loss(self._model, [row]))
            self._sink.progress(done, 2 * len(self._rows), {})
        return total / sum(row.labelled for row in self._rows)
