"""The pod of a model server: weights fetched and verified first, then the runtime's container beside them.

A pod serves a version under two names: the version's own, which never means another adapter, and the model's, which
is what users ask for. Which version a user gets is the split between pods (DESIGN D25: no runtime loading); with a
canary of level `adapter` one pod holds two versions and the router asks for one of them by its own name.
"""

from dataclasses import dataclass
from typing import Any, Literal

from app.contract.internal import MODEL_PORT
from app.contract.models import ModelRecord, ModelVersion, Stage
from generators import mesh, naming, restricted
from generators.foundation.storage import external_secret
from generators.inputs.platform import GpuFlavor, Platform
from generators.inputs.tenant import Tenant
from generators.manifest import Body, Wave
from generators.training.pod import store_environment
from trainer.contract import bucket, steps

Objects = list[tuple[Body, Wave, str]]  # object, sync wave, key of the model record that it comes from

WEIGHTS = "/models"
BASE_FOLDER = f"{WEIGHTS}/base"
GRACE_SECONDS = 120  # for requests that are being answered
FAREWELL_SECONDS = 15  # a pod that ends still answers until no gateway sends to it
START_SECONDS = 1200  # for weights to load
WITHOUT_GPU = ("2", "8Gi")
BASE_ALONE = "base"  # stands for a version where none is served

# The pod's user has no line in /etc/passwd. Python's getpass, which vLLM asks when it is imported, then needs USER.
PERSON = (
    {"name": "HOME", "value": "/tmp"},  # noqa: S108 - inside the container
    {"name": "USER", "value": "tenon"},
)

_WEIGHTS, _WEIGHTS_MOUNT = restricted.scratch("weights", WEIGHTS, size="200Gi")
_TEMPORARY, _TEMPORARY_MOUNT = restricted.scratch("tmp", "/tmp", size="20Gi")  # noqa: S108 - inside the container
_SHARED, _SHARED_MOUNT = restricted.scratch("shm", "/dev/shm", size="8Gi", in_memory=True)  # noqa: S108 - the same


@dataclass(frozen=True)
class Served:
    """What one set of servers serves.

    part: None for the model's own Rollout; `b`: arm b of its A/B test; `base` and `tuned`: the two of its experiment.
    """

    tenant: Tenant
    platform: Platform
    model: str
    part: Literal["b", "base", "tuned"] | None = None

    @property
    def record(self) -> ModelRecord:
        return self.tenant.models[self.model]

    @property
    def name(self) -> str:
        """Name of the set, and what its pods are found by."""
        return f"{self.model}-{self.part}" if self.part else self.model

    @property
    def version(self) -> ModelVersion | None:
        """The version of a new pod; None: the base model alone, until a first version is promoted.

        When the canary becomes stable in the record this stays, and so does the pod.
        """
        if self.part == "base":
            return None
        if self.part == "b" and (ab := self.record.serving.ab):
            return next(each for each in self.record.versions if each.version == ab.version)
        return self.record.at(Stage.CANARY) or self.record.at(Stage.STABLE)

    @property
    def adapters(self) -> dict[str, ModelVersion]:
        """Names under which adapters are served: each version's own, and the model's."""
        if (version := self.version) is None:
            return {}
        if self.part or self.record.serving.canary.level == "server":
            return {version.version: version, self.model: version}
        stable = self.record.at(Stage.STABLE) or version
        return {stable.version: stable, version.version: version, self.model: stable}

    @property
    def loaded(self) -> tuple[ModelVersion, ...]:
        """The versions of those names, each once."""
        return tuple({each.version: each for each in self.adapters.values()}.values())

    @property
    def gpus(self) -> int:
        return self.record.serving.gpus_per_replica


def pod(served: Served, runtime: dict[str, Any]) -> dict[str, Any]:
    """Pod template around the runtime's container (name, image, command, env)."""
    flavor = served.platform.gpu_flavors[served.tenant.training.gpus.flavor]
    shared = [] if served.gpus and flavor.brings_shared_memory else [(_SHARED, _SHARED_MOUNT)]
    probe = {"httpGet": {"path": "/health", "port": MODEL_PORT}}
    container = {
        **runtime,
        "env": [*runtime["env"], *PERSON],
        "ports": [{"name": "http", "containerPort": MODEL_PORT}],
        "resources": share_of(flavor, served.gpus),
        "securityContext": restricted.CONTAINER_SECURITY,
        "volumeMounts": [{**_WEIGHTS_MOUNT, "readOnly": True}, _TEMPORARY_MOUNT, *(mount for _, mount in shared)],
        "startupProbe": {**probe, "periodSeconds": 10, "failureThreshold": START_SECONDS // 10},
        "readinessProbe": {**probe, "periodSeconds": 5},
        "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6},
        "lifecycle": {"preStop": {"sleep": {"seconds": FAREWELL_SECONDS}}},
    }
    spec = {
        "serviceAccountName": naming.MODEL,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": naming.SERVING_PRIORITY,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "dnsConfig": restricted.DNS_CONFIG,
        "securityContext": restricted.POD_SECURITY,
        "initContainers": fetching(served),
        "containers": [container],
        "volumes": [_WEIGHTS, _TEMPORARY, *(volume for volume, _ in shared)],
        "topologySpreadConstraints": [_spread(served)],
        **(_on_gpu_nodes(flavor.node_labels) if served.gpus else {}),
    }
    annotations = {"annotations": dict(mesh.SERVER_ANNOTATIONS)} if mesh.is_used(served.platform) else {}
    return {"metadata": {"labels": pod_labels(served), **annotations}, "spec": spec}


def share_of(flavor: GpuFlavor, gpus: int) -> dict[str, Any]:
    """Cores and memory that come with the GPUs; without any, a share of what the quota leaves beside them."""
    if not gpus:
        return restricted.resources(*WITHOUT_GPU)
    return restricted.resources(
        str(gpus * flavor.cpus_per_gpu), f"{gpus * flavor.host_memory_gib_per_gpu}Gi", gpus=gpus
    )


def selector(name: str) -> dict[str, str]:
    """Label by which a Rollout and its Services find the pods. No policy trusts it."""
    return {"app.kubernetes.io/name": name}


def pod_labels(served: Served) -> dict[str, str]:
    """What pods are found by, and what their metrics are told apart by."""
    version = served.version.version if served.version else BASE_ALONE
    marks = {naming.MODEL_LABEL: served.model, naming.VERSION_LABEL: version}
    return {**naming.labels(served.tenant.id), **selector(served.name), **marks}


def access_key_secret(served: Served) -> dict[str, Any]:
    """The key that callers of the model's own host must present; without it the route would be open to the world."""
    path = f"tenants/{served.tenant.id}/models/{served.model}"
    labels = naming.labels(served.tenant.id)
    return dict(external_secret(_key_name(served.model), path, keys=("accessKey",), labels=labels))


def access_key(model: str, variable: str) -> dict[str, Any]:
    """The key as the runtime's own variable."""
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": _key_name(model), "key": "accessKey"}}}


def adapter_folder(version: ModelVersion) -> str:
    """Where the adapter of a loaded version lies."""
    return f"{_folder(version)}/{bucket.ADAPTER}"


def fetching(served: Served) -> list[dict[str, Any]]:
    """Base model and adapters, each checked against the digest that Git states."""
    prefix = served.platform.storage.bucket_prefix
    digest = served.platform.catalogue[served.record.base].digest
    base = f"s3://{naming.models_bucket(prefix)}/{digest}"
    made = [_fetch(served, "base", [base, BASE_FOLDER, "--manifest", digest])]
    for version in served.loaded:
        url = f"s3://{naming.bucket(prefix, served.tenant.id)}/{bucket.version(served.model, version.version)}"
        words = [url, _folder(version), "--adapter", version.adapter_digest]
        made.append(_fetch(served, version.version, words))
    return made


def _folder(version: ModelVersion) -> str:
    return f"{WEIGHTS}/versions/{version.version}"


def _key_name(model: str) -> str:
    return f"{model}-key"


def _fetch(served: Served, what: str, words: list[str]) -> dict[str, Any]:
    """Which endpoint a bucket has, and whether it is asked with the tenant's key, follows from the models bucket."""
    models = f"s3://{naming.models_bucket(served.platform.storage.bucket_prefix)}"
    environment = [*store_environment(served.tenant, served.platform), {"name": steps.MODELS_URL, "value": models}]
    return {
        "name": f"fetch-{what}",
        "image": served.platform.image("trainer"),
        "command": ["python", "-m", "trainer.fetch", *words],
        "env": [*environment, *PERSON],
        "resources": restricted.resources("1", "2Gi"),
        "securityContext": restricted.CONTAINER_SECURITY,
        "volumeMounts": [_WEIGHTS_MOUNT, _TEMPORARY_MOUNT],
    }


def _spread(served: Served) -> dict[str, Any]:
    """Preferred, never required: a canary on the last node is better than none."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(served.name)},
    }


def _on_gpu_nodes(labels: dict[str, str]) -> dict[str, Any]:
    return {"tolerations": [restricted.GPU_TOLERATION], **({"nodeSelector": labels} if labels else {})}
