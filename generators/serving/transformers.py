"""Runtime `transformers`: our own model server, for a base that vLLM does not serve or a machine without a GPU."""

from typing import Any

from app.contract.internal import MODEL_PORT
from generators.serving.metrics import RuntimeMetrics
from generators.serving.server import BASE_FOLDER, Served, access_key, adapter_folder

METRICS = RuntimeMetrics(
    first_token="tenon_time_to_first_token_seconds_bucket",  # noqa: S106 - a metric, no secret
    inter_token="tenon_inter_token_seconds_bucket",  # noqa: S106 - the same
    requests="http_requests_total",
    answered='handler=~"/v1/.*"',
    failed='status="5xx"',
    waiting="tenon_requests_waiting",
)


def container(served: Served) -> dict[str, Any]:
    """`python -m app modelserver`, with the same names as vLLM gives."""
    words = ["python", "-m", "app", "modelserver", "--base", BASE_FOLDER, "--port", str(MODEL_PORT)]
    words += ["--name", served.record.base if served.adapters else served.model]
    for name, version in served.adapters.items():
        words += ["--adapter", f"{name}={adapter_folder(version)}"]
    offline = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return {
        "name": "server",
        "image": served.platform.image("modelserver"),
        "command": words,
        "env": [access_key(served.model, "TENON_API_KEY"), *({"name": name, "value": "1"} for name in offline)],
    }
