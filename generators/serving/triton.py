"""Runtime `triton`: Triton Inference Server with its vLLM backend behind its OpenAI front.

Source: triton-inference-server/server, python/openai (as documented for 26.02), and vllm_backend, src/model.py. The
front starts Triton in its own process with model control NONE, and the KServe fronts stay off: what the repository
holds at start is loaded, and nothing can be loaded or unloaded later. The backend sets `max_batch_size` 0 and batches
continuously in vLLM, which takes the place of Triton's dynamic batcher.
"""

import json
from typing import Any

from app.contract.internal import MODEL_PORT
from generators import naming
from generators.manifest import Wave
from generators.serving.merged import merged, weights_folder
from generators.serving.metrics import RuntimeMetrics
from generators.serving.server import BASE_FOLDER, Objects, Served, access_key
from generators.serving.shared_gpu import memory_share
from generators.training.content import KEPT, hashed

FRONT = "/opt/tritonserver/python/openai/openai_frontend/main.py"
REPOSITORY = "/repository"
HEALTH = "/health/ready"
BATCHED_REQUESTS = 256  # at one time on one server

# Triton counts successes and failures in two series; a canceled request is no failure of the server.
METRICS = RuntimeMetrics(
    first_token="vllm:time_to_first_token_seconds_bucket",  # noqa: S106 - a metric, no secret
    inter_token="vllm:time_per_output_token_seconds_bucket",  # noqa: S106 - the same
    requests="",
    answered='__name__=~"nv_inference_request_(success|failure)"',
    failed='__name__="nv_inference_request_failure",reason!="CANCELED"',
    waiting="vllm:num_requests_waiting",
    cache="vllm:gpu_cache_usage_perc",
)

_VOLUME = "repository"
_CONFIG, _ENGINE = "config.pbtxt", "model.json"
_CONFIG_TEXT = """\
backend: "vllm"
instance_group [ { count: 1, kind: KIND_MODEL } ]
parameters: { key: "REPORT_CUSTOM_METRICS", value: { string_value: "true" } }
parameters: { key: "ENABLE_VLLM_HEALTH_CHECK", value: { string_value: "true" } }
"""


def container(served: Served) -> dict[str, Any]:
    """The front, which asks for the model's key. Kubernetes puts the key into the word; no shell reads it."""
    words = ["python3", FRONT, "--model-repository", REPOSITORY, "--backend", "vllm", "--tokenizer", BASE_FOLDER]
    words += ["--host", "0.0.0.0", "--openai-port", str(MODEL_PORT)]  # noqa: S104 - policies close it
    words += ["--openai-restricted-api", "inference,model-repository", "authorization", "Bearer $(TENON_API_KEY)"]
    offline = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK")
    return {
        "name": "server",
        "image": served.platform.image("triton"),
        "command": words,
        "env": [access_key(served.model, "TENON_API_KEY"), *({"name": name, "value": "1"} for name in offline)],
    }


def shaped(served: Served, template: dict[str, Any]) -> dict[str, Any]:
    """The pod with the merged weights, the model repository and Triton's own health path."""
    template = merged(served, template)
    spec = template["spec"]
    (server,) = spec["containers"]
    probes = {name: _probe(server[name]) for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    server = {**server, **probes, "volumeMounts": [*server["volumeMounts"], *_mounts(served)]}
    volume = {"name": _VOLUME, "configMap": {"name": repository(served)["metadata"]["name"]}}
    return {**template, "spec": {**spec, "containers": [server], "volumes": [*spec["volumes"], volume]}}


def files(served: Served) -> Objects:
    """The model repository's ConfigMap; older pods keep the one they were made with."""
    return [(repository(served), Wave.CONFIG, "serving.runtime")]


def repository(served: Served) -> dict[str, Any]:
    """Triton's own configuration of the model and vLLM's arguments, as data."""
    engine = {
        "model": weights_folder(served),
        "tensor_parallel_size": max(served.gpus, 1),
        **({"gpu_memory_utilization": share} if (share := memory_share(served)) else {}),
        "max_num_seqs": BATCHED_REQUESTS,
        "trust_remote_code": False,
    }
    data = {_CONFIG: _CONFIG_TEXT, _ENGINE: json.dumps(engine, indent=2, sort_keys=True) + "\n"}
    metadata = {
        "name": hashed(f"{served.name}-triton", data),
        "labels": naming.labels(served.tenant.id),
        "annotations": dict(KEPT),
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _mounts(served: Served) -> list[dict[str, Any]]:
    """Single files: a folder made from a ConfigMap holds links that Triton would take for models."""
    model = f"{REPOSITORY}/{served.model}"
    paths = {_CONFIG: f"{model}/{_CONFIG}", _ENGINE: f"{model}/1/{_ENGINE}"}
    return [{"name": _VOLUME, "mountPath": path, "subPath": key, "readOnly": True} for key, path in paths.items()]


def _probe(probe: dict[str, Any]) -> dict[str, Any]:
    return {**probe, "httpGet": {**probe["httpGet"], "path": HEALTH}}
