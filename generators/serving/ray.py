"""Runtime `ray`: a RayService per model, Ray Serve with vLLM inside, the merged weights on every worker.

An upgrade is a whole new cluster beside the old one, which goes when the new one answers (upgradeStrategy NewCluster):
twice the workers for a while, which peak_gpus counts. Any change of the pods or of the weights' digest is an upgrade.
Nothing is installed or fetched by Ray: the image has all, init containers bring the weights.
"""

from pathlib import Path
from typing import Any

import yaml

from app.contract.internal import METRICS_PORT, MODEL_PORT
from generators import naming, restricted, versions
from generators.foundation.network import RAY_PORT
from generators.manifest import Wave
from generators.serving.merged import merged, weights_folder
from generators.serving.metrics import RuntimeMetrics
from generators.serving.server import Objects, Served, access_key, pod
from generators.serving.services import PORT, canary_service, service, stable_service
from generators.serving.shared_gpu import memory_share
from generators.training.content import KEPT, hashed

APPLICATION = "ray.serve.llm:build_openai_app"
CONCURRENT_REQUESTS = 256  # on one worker; more wait in the proxy
HEAD_CPUS, HEAD_MEMORY_GIB = 2, 8  # control only: no request is answered there
METRICS_NAME = "metrics"

# vLLM's own series, as Ray's agent of each pod shows them (vllm: v1/metrics/ray_wrappers.py turns `:` into `_`).
METRICS = RuntimeMetrics(
    first_token="ray_vllm_time_to_first_token_seconds_bucket",  # noqa: S106 - a metric, no secret
    inter_token="ray_vllm_inter_token_latency_seconds_bucket",  # noqa: S106 - the same
    requests="ray_serve_num_http_requests_total",
    answered='route!="/-/healthz"',
    failed='status_code=~"5.."',
    waiting="ray_vllm_num_requests_waiting",
    cache="ray_vllm_kv_cache_usage_perc",
)

_ACCESS, _ACCESS_FOLDER, _ACCESS_FILE = "access", "/access", "model_access.py"
_ACCESS_SOURCE = Path(__file__).with_name("ray_access.py")  # read, not imported: rendering needs nothing of its imports


def servers(served: Served) -> Objects:
    """In the place of a Rollout, its Services, budget and analyses.

    No PodDisruptionBudget: one over the cluster's pods would hold the head as dear as a worker, and count the cluster
    that an upgrade starts or ends; KubeRay replaces what a drain takes. No AnalysisTemplate: KubeRay switches to a new
    cluster when it answers, and asks nobody; alerts tell what follows, and a reverted commit goes back.

    KubeRay makes the Service of the stable version and points it at the cluster that answers; the other one is there
    for the routes, which are the same for every runtime.
    """
    other = service(served, canary_service(served.model))
    other["spec"]["selector"] = {naming.MODEL_LABEL: served.model, "ray.io/serve": "true"}
    return [
        (ray_service(served), Wave.ROLLOUT, "serving"),
        *files(served),
        (other, Wave.SERVICE, "serving"),
    ]


def files(served: Served) -> Objects:
    """The program that asks for the model's key."""
    return [(access_program(served), Wave.CONFIG, "serving.runtime")]


def container(served: Served) -> dict[str, Any]:
    """KubeRay writes the command: `ray start` with the group's parameters."""
    module = _ACCESS_FILE.removesuffix(".py")
    values = {
        "PYTHONPATH": _ACCESS_FOLDER,
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": f"{module}:middlewares",
        "RAY_USAGE_STATS_ENABLED": "0",
        **dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"), "1"),
    }
    return {
        "name": "server",
        "image": served.platform.image("ray"),
        "env": [
            access_key(served.model, "TENON_API_KEY"),
            *({"name": variable, "value": value} for variable, value in values.items()),
        ],
    }


def shaped(served: Served, template: dict[str, Any]) -> dict[str, Any]:
    """A worker: the merged weights, Ray's ports, and no probes of ours.

    KubeRay brings probes, of Ray and on workers of the proxy too; ours would ask a front that is not there.
    """
    template = merged(served, template)
    spec = template["spec"]
    (server,) = spec["containers"]
    without = {"startupProbe", "readinessProbe", "livenessProbe"}
    mount = {"name": _ACCESS, "mountPath": _ACCESS_FOLDER, "readOnly": True}
    server = {
        **{name: each for name, each in server.items() if name not in without},
        "ports": [
            {"name": "serve", "containerPort": MODEL_PORT},  # KubeRay finds the front's port by this name
            {"name": METRICS_NAME, "containerPort": METRICS_PORT},
        ],
        "volumeMounts": [*server["volumeMounts"], mount],
    }
    volume = {"name": _ACCESS, "configMap": {"name": access_program(served)["metadata"]["name"]}}
    return {**template, "spec": {**spec, "containers": [server], "volumes": [*spec["volumes"], volume]}}


def ray_service(served: Served) -> dict[str, Any]:
    """KubeRay makes the cluster, and the Service of the model's name in front of its healthy workers.

    authOptions: every process of the cluster and KubeRay share a token that KubeRay draws for each cluster, so that
    reaching a port of Ray is not enough to run code on it. It needs Ray 2.52.
    """
    serving = served.record.serving
    front = {
        "metadata": {"name": stable_service(served.model), "labels": naming.labels(served.tenant.id)},
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": "serve", "port": PORT, "targetPort": MODEL_PORT, "protocol": "TCP"}],
        },
    }
    return {
        "apiVersion": versions.RAY,
        "kind": "RayService",
        "metadata": {"name": served.model, "labels": naming.labels(served.tenant.id)},
        "spec": {
            "upgradeStrategy": {"type": "NewCluster"},
            "rayClusterDeletionDelaySeconds": 60,
            "excludeHeadPodFromServeSvc": True,
            "serveService": front,
            "serveConfigV2": yaml.safe_dump(serve_config(served), sort_keys=True),
            "rayClusterConfig": {
                "rayVersion": versions.RAY_SERVE_RELEASE,
                "enableInTreeAutoscaling": False,
                "authOptions": {"mode": "token"},
                "headGroupSpec": {"serviceType": "ClusterIP", "rayStartParams": head_start(), "template": head(served)},
                "workerGroupSpecs": [
                    {
                        "groupName": "servers",
                        "replicas": serving.replicas,
                        "minReplicas": serving.replicas,
                        "maxReplicas": serving.replicas,
                        "rayStartParams": start(),
                        "template": worker(served),
                    }
                ],
            },
        },
    }


def serve_config(served: Served) -> dict[str, Any]:
    """One application: the OpenAI front and, on each worker, an engine on the worker's GPUs."""
    gpus = max(served.gpus, 1)
    memory = {"gpu_memory_utilization": share} if (share := memory_share(served)) else {}
    model = {
        "model_loading_config": {"model_id": served.model, "model_source": weights_folder(served)},
        "engine_kwargs": {"tensor_parallel_size": gpus, "trust_remote_code": False, **memory},
        "placement_group_config": {"bundles": [{"CPU": 1, "GPU": 1} for _ in range(gpus)], "strategy": "STRICT_PACK"},
        "deployment_config": {
            "num_replicas": served.record.serving.replicas,
            "max_ongoing_requests": CONCURRENT_REQUESTS,
        },
    }
    application = {
        "name": served.model,
        "import_path": APPLICATION,
        "route_prefix": "/",
        "args": {"llm_configs": [model]},
    }
    http = {"host": "0.0.0.0", "port": MODEL_PORT}  # noqa: S104 - policies close it
    return {"proxy_location": "EveryNode", "http_options": http, "applications": [application]}


def start() -> dict[str, str]:
    """Parameters of `ray start`, all text. Cores, memory and GPUs are read from the pod's limits."""
    return {"metrics-export-port": str(METRICS_PORT), "disable-usage-stats": "true"}


def head_start() -> dict[str, str]:
    """No work is placed on the head. KubeRay reaches the dashboard by the pod's address; policies let nobody else."""
    return {**start(), "num-cpus": "0", "dashboard-host": "0.0.0.0"}  # noqa: S104 - the same


def head(served: Served) -> dict[str, Any]:
    """The pod of control: a worker without weights and without GPUs."""
    template = worker(served)
    spec = template["spec"]
    (server,) = spec["containers"]
    # KubeRay asks the head by this port's name, and adds none of its own where a head names ports
    dashboard = {"name": "dashboard", "containerPort": RAY_PORT}
    own = {"resources": restricted.resources(str(HEAD_CPUS), f"{HEAD_MEMORY_GIB}Gi")}
    server = {**server, **own, "ports": [*server["ports"], dashboard]}
    without = {"initContainers", "tolerations", "nodeSelector", "topologySpreadConstraints"}
    kept = {name: each for name, each in spec.items() if name not in without}
    return {**template, "spec": {**kept, "containers": [server]}}


def worker(served: Served) -> dict[str, Any]:
    """One server: base, adapter and merged weights, and all its GPUs."""
    return shaped(served, pod(served, container(served)))


def access_program(served: Served) -> dict[str, Any]:
    """ray_access.py as it is: no text of a tenant stands in it."""
    data = {_ACCESS_FILE: _ACCESS_SOURCE.read_text(encoding="utf-8")}
    metadata = {
        "name": hashed(f"{served.model}-access", data),
        "labels": naming.labels(served.tenant.id),
        "annotations": dict(KEPT),
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
