"""One run of a step, whose trace in the attempt's folder is renewed every few seconds.

`usage/<step>-<rank>-<number>/trace.json`: one file for each run and rank, so no two processes write the same one. What
a killed run used after its last trace (at most SECONDS_BETWEEN) is lost.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from trainer import storage
from trainer.attempt import AttemptFolder
from trainer.contract.bucket import USAGE
from trainer.contract.report import Usage
from trainer.outcomes import BadInput, Unavailable
from trainer.settings import Footprint, Settings
from trainer.sinks import Sink
from trainer.usage.meter import Meter
from trainer.usage.trace import Trace, summed

SECONDS_BETWEEN = 15.0
SECONDS_FOR_THE_LAST = 10.0  # a store that does not answer draws no step out
_TRACE = "trace.json"
_log = logging.getLogger(__name__)


@contextmanager
def metered(
    attempt: AttemptFolder, step: str, settings: Settings, *, sink: Sink, rank: int = 0, gpus: int = 0
) -> Iterator["Run"]:
    """The run of a step, traced until the block ends. gpus: devices of this rank. Raises Unavailable."""
    run = Run(attempt, step, Meter(gpus=gpus), rank=rank, footprint=settings.footprint)
    ended = threading.Event()
    thread = threading.Thread(target=_trace, args=(run, sink, ended), name="usage", daemon=True)
    thread.start()
    try:
        yield run
    finally:
        ended.set()
        thread.join(SECONDS_FOR_THE_LAST)


def _trace(run: "Run", sink: Sink, ended: threading.Event) -> None:
    """Renew the trace at once, every few seconds and at the end. A store that is away ends no training."""
    is_last = False
    while True:
        try:
            run.write()
            sink.record(run.counters())
        except (BadInput, Unavailable) as error:
            _log.warning("usage: %s", error)
        if is_last:
            return
        is_last = ended.wait(SECONDS_BETWEEN)


class Run:
    """What a step tells of its run, and what the attempt has used so far."""

    def __init__(self, attempt: AttemptFolder, step: str, meter: Meter, *, rank: int, footprint: Footprint) -> None:
        self._meter, self._step, self._rank, self._footprint = meter, step, rank, footprint
        self._attempt, self._root = attempt, _root(attempt)
        prefix = f"{step}-{rank}-"
        numbers = [name.removeprefix(prefix) for name in storage.folders(self._root) if name.startswith(prefix)]
        self._number = 1 + max((int(number) for number in numbers if number.isdigit()), default=0)
        self._before = _traced(self._root, footprint)
        self._file = f"{self._root}/{prefix}{self._number}/{_TRACE}"
        self._writing = threading.Lock()

    @property
    def seconds(self) -> float:
        """Wall seconds of this run."""
        return self._meter.seconds

    def resumed(self, step: int) -> None:
        """Training goes on after this optimizer step; 0: there was no checkpoint."""
        self._meter.resumed_from = step

    def stepped(self, *, kept: bool) -> None:
        """An optimizer step ended; kept: it was not left out."""
        self._meter.stepped(kept=kept)

    def kept(self, step: int = 0) -> None:
        """A checkpoint of this optimizer step is safe, or the step of the pipeline is done."""
        self._meter.kept(step)

    def write(self) -> None:
        """Renew the trace. Raises Unavailable."""
        with self._writing:
            storage.write(self._file, self._trace().model_dump_json().encode())

    def total(self) -> Usage:
        """Usage of the attempt so far, by every run and rank that left a trace. Raises Unavailable.

        Of several ranks, the first asks for it after all have written theirs.
        """
        self.write()
        return usage_of(self._attempt, self._footprint)

    def counters(self) -> dict[str, float]:
        """For charts while it runs: the attempt up to this run, and this run of this rank."""
        used = summed([self._trace()], self._footprint)
        return {
            "cpuSeconds": self._before.cpu_seconds + used.cpu_seconds,
            "gpuSeconds": self._before.gpu_seconds + used.gpu_seconds,
            "wastedCpuSeconds": self._before.wasted_cpu_seconds,
            "wastedGpuSeconds": self._before.wasted_gpu_seconds,
            "energyWattHours": self._before.energy_wh + used.energy_wh,
            "co2Grams": self._before.co2_grams + used.co2_grams,
        }

    def _trace(self) -> Trace:
        return self._meter.trace(self._step, rank=self._rank, number=self._number)


def usage_of(attempt: AttemptFolder, footprint: Footprint) -> Usage:
    """Usage of an attempt by the traces in its folder, and the bytes it keeps there. Raises Unavailable."""
    kept = storage.stored_bytes(attempt.url or str(attempt.local))
    return _traced(_root(attempt), footprint).model_copy(update={"stored_bytes": kept})


def _traced(root: str, footprint: Footprint) -> Usage:
    traces = []
    for name in storage.folders(root):
        try:
            traces.append(Trace.model_validate_json(storage.read(f"{root}/{name}/{_TRACE}") or b""))
        except ValidationError:
            _log.warning("%s/%s: is no trace of a run, so what it used is not counted", root, name)
    return summed(traces, footprint)


def _root(attempt: AttemptFolder) -> str:
    return f"{attempt.url or attempt.local}/{USAGE}"
