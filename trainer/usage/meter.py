"""Counts what this process uses, by clocks that a change of the wall clock does not move."""

import resource
import sys
import time
from dataclasses import dataclass, field

from trainer.usage.energy import GpuEnergy, of_processors
from trainer.usage.trace import Mark, Seconds, Trace

_MARKS_KEPT = 16  # more than any training keeps checkpoints, so a later run finds the one it went on from
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes on Linux, bytes on macOS


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


@dataclass
class Meter:
    """Counts from the moment it is made. gpus: devices that the process holds all the while."""

    gpus: int = 0
    resumed_from: int | None = None
    _wall: float = field(default_factory=time.monotonic)
    _cpu: float = field(default_factory=processor_seconds)
    _skipped: Seconds = field(default_factory=Seconds)
    _at_last_step: Seconds | None = None
    _marks: tuple[Mark, ...] = ()

    def __post_init__(self) -> None:
        self._energy = GpuEnergy.of_this_process() if self.gpus else None

    @property
    def seconds(self) -> float:
        """Wall seconds so far."""
        return time.monotonic() - self._wall

    @property
    def used(self) -> Seconds:
        return Seconds(cpu=processor_seconds() - self._cpu, gpu=self.seconds * self.gpus)

    def stepped(self, *, kept: bool) -> None:
        """An optimizer step ended; one that was left out is wasted."""
        now = self.used
        if not kept and self._at_last_step is not None:
            self._skipped += now - self._at_last_step
        self._at_last_step = now

    def kept(self, step: int = 0) -> None:
        """All so far is kept, but the skipped steps: see trace.Mark."""
        self._marks = (*self._marks, Mark(step=step, productive=self.used - self._skipped))[-_MARKS_KEPT:]

    def trace(self, step: str, *, rank: int = 0, number: int = 1) -> Trace:
        """What was used up to now. Memory is the process's, from its start."""
        used = self.used
        measured = self._energy.watt_hours() if self._energy else None
        return Trace(
            step=step,
            rank=rank,
            number=number,
            resumed_from=self.resumed_from,
            used=used,
            marks=self._marks,
            peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT,
            peak_gpu_memory_bytes=_most_gpu_memory() if self.gpus else 0,
            energy_wh=of_processors(used.cpu) if measured is None else measured,
            energy_estimated=measured is None,
        )


def _most_gpu_memory() -> int:
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
