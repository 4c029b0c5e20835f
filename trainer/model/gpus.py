"""GPUs that a training may run on: what they hold and how fast they multiply."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """Memory in GiB and dense peak FLOP/s of matrix products, from the makers' data sheets."""

    memory: int
    half: float
    single: float
    has_bf16: bool = True


GPUS = {
    "t4": Gpu(16, 65e12, 8.1e12, has_bf16=False),
    "l4": Gpu(24, 121e12, 30e12),
    "a10g": Gpu(24, 70e12, 31e12),
    "rtx4090": Gpu(24, 165e12, 82e12),
    "a100-40": Gpu(40, 312e12, 19.5e12),
    "a100-80": Gpu(80, 312e12, 19.5e12),
    "h100": Gpu(80, 989e12, 67e12),
    "h200": Gpu(141, 989e12, 67e12),
}
