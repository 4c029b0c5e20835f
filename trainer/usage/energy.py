"""Energy: of the GPU by its own counter (NVML), else an estimate. The only module that imports pynvml."""

from dataclasses import dataclass
from typing import Any

WATTS_PER_CORE = 10.0  # of a busy server core with its share of the board; a round figure between 5 and 15
_MILLIJOULES_PER_WATT_HOUR = 3_600_000.0


def of_processors(cpu_seconds: float) -> float:
    """Estimated watt-hours of so many busy core seconds."""
    return cpu_seconds * WATTS_PER_CORE / 3600


@dataclass(frozen=True)
class GpuEnergy:
    """The energy counter of the GPU that this process uses. library: the NVML module, or its stand-in."""

    library: Any
    handle: Any
    first: int  # millijoules

    @classmethod
    def of_this_process(cls) -> "GpuEnergy | None":
        """None where there is no NVML, or the GPU has no such counter (it came with Volta)."""
        try:
            import pynvml
            import torch

            pynvml.nvmlInit()
            uuid = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
            handle = pynvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}")
            return cls(pynvml, handle, int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)))
        except Exception:  # noqa: BLE001 - NVML's faults share no base class with torch's; energy is a figure, no duty
            return None

    def watt_hours(self) -> float | None:
        """Since it was made; None when the counter no longer answers."""
        try:
            now = int(self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle))
        except Exception:  # noqa: BLE001 - as above
            return None
        return (now - self.first) / _MILLIJOULES_PER_WATT_HOUR
