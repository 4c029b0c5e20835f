"""Runtime `vllm`: one base model with a static adapter."""

from typing import Any

from app.contract.internal import MODEL_PORT
from generators.serving.metrics import RuntimeMetrics
from generators.serving.server import ADAPTER_FOLDER, BASE_FOLDER, Served, access_key

MOST_RANK = 256  # the highest that a job may ask for (trainer.contract.recipe)
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
    """The OpenAI server of vLLM. Adapters are named at start alone: its loading API stays off."""
    words = ["vllm", "serve", BASE_FOLDER, "--host", "0.0.0.0", "--port", str(MODEL_PORT)]  # noqa: S104 - policies close it
    words += ["--tensor-parallel-size", str(max(served.gpus, 1))]
    words += ["--served-model-name", served.record.base if served.version else served.model]
    if names := served.names:
        words += ["--enable-lora", "--max-loras", str(len(names)), "--max-lora-rank", str(MOST_RANK)]
        words += ["--lora-modules", *(f"{name}={ADAPTER_FOLDER}" for name in names)]
    offline = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK")
    return {
        "name": "server",
        "image": served.platform.image("vllm"),
        "command": words,
        "env": [access_key(served.model, "VLLM_API_KEY"), *({"name": name, "value": "1"} for name in offline)],
    }
