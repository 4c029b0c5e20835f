"""Runtime `vllm`: one base model with static adapters."""

from typing import Any

from app.contract.internal import MODEL_PORT
from generators.inputs.recipes import recipe
from generators.serving.metrics import RuntimeMetrics
from generators.serving.server import BASE_FOLDER, Served, access_key, adapter_folder
from generators.serving.shared_gpu import memory_share

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what --max-lora-rank takes (vllm: config/lora.py MaxLoRARanks)
METRICS = RuntimeMetrics(
    first_token="vllm:time_to_first_token_seconds_bucket",  # noqa: S106 - a metric, no secret
    inter_token="vllm:inter_token_latency_seconds_bucket",  # noqa: S106 - the same
    requests="http_requests_total",
    answered='handler=~"/v1/.*"',
    failed='status="5xx"',
    waiting="vllm:num_requests_waiting",
    cache="vllm:kv_cache_usage_perc",
)


def container(served: Served) -> dict[str, Any]:
    """The OpenAI server of vLLM. Adapters are named at start alone: its loading API stays off.

    Cached prefixes are told apart by adapter and by sha256, and by the `cache_salt` that the router puts into each
    request; the server itself has no setting that demands a salt.
    """
    words = ["vllm", "serve", BASE_FOLDER, "--host", "0.0.0.0", "--port", str(MODEL_PORT)]  # noqa: S104 - policies close it
    words += ["--tensor-parallel-size", str(max(served.gpus, 1))]
    if share := memory_share(served):
        words += ["--gpu-memory-utilization", str(share)]
    words += ["--prefix-caching-hash-algo", "sha256"]
    words += ["--served-model-name", served.record.base if served.adapters else served.model]
    if adapters := served.adapters:
        words += ["--enable-lora", "--max-loras", str(len(adapters)), "--max-lora-rank", str(most_rank(served))]
        words += ["--lora-modules", *(f"{name}={adapter_folder(version)}" for name, version in adapters.items())]
    offline = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK")
    return {
        "name": "server",
        "image": served.platform.image("vllm"),
        "command": words,
        "env": [access_key(served.model, "VLLM_API_KEY"), *({"name": name, "value": "1"} for name in offline)],
    }


def most_rank(served: Served) -> int:
    """The smallest rank that the server takes and every loaded adapter fits; a higher one costs memory."""
    of_recipe = recipe(served.record.recipe).rank
    needed = max(version.rank or of_recipe for version in served.loaded)
    return next(rank for rank in RANKS if rank >= needed)
