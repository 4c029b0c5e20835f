"""What one run of a step has used, and the sum of all runs of an attempt. Pure: no clock, no file.

Every run, and every rank of it, has a trace of its own, so that the seconds of a run that was killed are counted, and
nothing is counted twice.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from trainer.contract.report import Usage
from trainer.settings import Footprint


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Seconds(_Figures):
    """Of processors and of GPUs."""

    cpu: float = 0.0
    gpu: float = 0.0

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(cpu=self.cpu + other.cpu, gpu=self.gpu + other.gpu)

    def __sub__(self, other: "Seconds") -> "Seconds":
        return Seconds(cpu=self.cpu - other.cpu, gpu=self.gpu - other.gpu)


class Mark(_Figures):
    """The work up to here is kept: a checkpoint of `step` is safe, or the step of the pipeline is done."""

    step: int
    productive: Seconds


class Trace(_Figures):
    """One run of a step of the pipeline, by one rank. number: 1 for its first run in the attempt.

    resumed_from: the optimizer step it went on from, 0 when there was no checkpoint; None for a step that trains
    nothing. marks: the newest ones, at least one for each checkpoint that a later run can go on from.
    """

    step: str
    rank: int = 0
    number: int = 1
    resumed_from: int | None = None
    used: Seconds = Seconds()
    marks: tuple[Mark, ...] = ()
    peak_memory_bytes: int = 0
    peak_gpu_memory_bytes: int = 0
    energy_wh: float = 0.0
    energy_estimated: bool = False

    def productive(self, later: Sequence["Trace"]) -> Seconds:
        """What went into work that is still kept after `later` runs of this step and rank.

        A run that went on from step s repeats whatever this one had done after s.
        """
        floor = min((run.resumed_from for run in later if run.resumed_from is not None), default=None)
        kept = [mark.productive for mark in self.marks if floor is None or mark.step <= floor]
        return kept[-1] if kept else Seconds()


def summed(traces: Sequence[Trace], footprint: Footprint) -> Usage:
    """Usage of an attempt from the traces of its runs."""
    used, productive = Seconds(), Seconds()
    for trace in traces:
        same = [run for run in traces if (run.step, run.rank) == (trace.step, trace.rank)]
        used += trace.used
        productive += trace.productive([run for run in same if run.number > trace.number])
    wasted = used - productive
    energy = sum(trace.energy_wh for trace in traces)
    return Usage(
        cpu_seconds=round(used.cpu, 3),
        gpu_seconds=round(used.gpu, 3),
        productive_cpu_seconds=round(productive.cpu, 3),
        productive_gpu_seconds=round(productive.gpu, 3),
        wasted_cpu_seconds=round(wasted.cpu, 3),
        wasted_gpu_seconds=round(wasted.gpu, 3),
        peak_memory_bytes=max((trace.peak_memory_bytes for trace in traces), default=0),
        peak_gpu_memory_bytes=max((trace.peak_gpu_memory_bytes for trace in traces), default=0),
        energy_wh=round(energy, 4),
        energy_estimated=any(trace.energy_estimated for trace in traces),
        co2_grams=round(footprint.grams(energy), 4),
    )
