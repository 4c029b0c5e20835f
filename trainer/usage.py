"""What a step used: processor seconds, GPU seconds, the most memory. Money is made of it elsewhere."""

import resource
import sys
import time
from dataclasses import dataclass, field

from trainer.contract.report import Usage

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes on Linux, bytes on macOS


@dataclass(frozen=True)
class Meter:
    """Counts from the moment it is made. gpus: devices that the step holds all the while."""

    gpus: int = 0
    _wall: float = field(default_factory=time.monotonic)
    _cpu: float = field(default_factory=time.process_time)

    @property
    def seconds(self) -> float:
        """Wall seconds so far."""
        return time.monotonic() - self._wall

    def added_to(self, before: Usage) -> Usage:
        """Usage of the attempt up to now, when it was `before` at the start of this step."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
        return Usage(
            cpu_seconds=round(before.cpu_seconds + time.process_time() - self._cpu, 3),
            gpu_seconds=round(before.gpu_seconds + self.seconds * self.gpus, 3),
            peak_memory_bytes=max(before.peak_memory_bytes, peak),
        )
