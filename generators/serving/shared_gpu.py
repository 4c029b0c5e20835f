"""What a server may take of a GPU that it shares with other pods of its tenant."""

from generators.serving.server import Served

WHOLE = 90  # percent of a GPU's memory that an engine takes of its part; the rest is left for the driver and peaks


def memory_share(served: Served) -> float | None:
    """VLLM's `gpu_memory_utilization`, a fraction of the whole GPU rounded down; None: the GPU is the server's alone.

    Without it the first server of a GPU takes nearly all memory, and the next one does not start.
    """
    sharing = served.platform.gpu_flavors[served.tenant.training.gpus.flavor].sharing
    return WHOLE // sharing.replicas / 100 if sharing and served.gpus else None
