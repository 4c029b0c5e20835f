"""The pod of one step: the same container, environment and volumes whatever object carries it."""

from typing import Any

from app.contract.internal import (
    ATTEMPT_PARAMETER,
    JOB_PARAMETER,
    SLOT_PARAMETER,
    STATUS_AUDIENCE,
    TRACEPARENT_PARAMETER,
)
from generators import hosts, naming, restricted
from generators.foundation.storage import BUCKET_KEYS
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from trainer.contract import steps
from trainer.contract.steps import Step

SCRATCH = "/scratch"
TOKEN_FOLDER = "/var/run/secrets/tenon"  # noqa: S105 - a folder
GRACE_SECONDS = 120  # to save a checkpoint after SIGTERM
TOKEN_SECONDS = 3600  # the kubelet renews it before it ends

_VOLUME, _MOUNT = restricted.scratch("scratch", SCRATCH, size="100Gi")
_TEMPORARY, _TEMPORARY_MOUNT = restricted.scratch("tmp", "/tmp", size="10Gi")  # noqa: S108 - inside the container
_SHARED, _SHARED_MOUNT = restricted.scratch("shm", "/dev/shm", size="8Gi", in_memory=True)  # noqa: S108 - the same


def parameter(name: str) -> str:
    """Argo's reference to a workflow parameter; only names and environment values hold one."""
    return f"{{{{workflow.parameters.{name}}}}}"


def child_name(step: Step) -> str:
    """Name of the object that a GPU step creates: one per attempt and step, so a second create is refused."""
    return f"{{{{workflow.name}}}}-{step.name}"


def environment(tenant: Tenant, platform: Platform) -> list[dict[str, Any]]:
    """The names of trainer/contract/steps.py. Tenant text stands in no value; the job travels as base64url."""
    storage = platform.storage
    values = {
        steps.JOB: parameter(JOB_PARAMETER),
        steps.ATTEMPT: parameter(ATTEMPT_PARAMETER),
        steps.TRACEPARENT: parameter(TRACEPARENT_PARAMETER),
        steps.BUCKET_URL: f"s3://{naming.bucket(storage.bucket_prefix, tenant.id)}",
        steps.MODELS_URL: f"s3://{naming.models_bucket(storage.bucket_prefix)}",
        steps.WORK: SCRATCH,
        steps.STATUS_URL: hosts.STATUS_URL,
        steps.STATUS_TOKEN_FILE: f"{TOKEN_FOLDER}/token",
        "HOME": SCRATCH,
    }
    return [*({"name": name, "value": value} for name, value in values.items()), *store_environment(tenant, platform)]


def store_environment(tenant: Tenant, platform: Platform) -> list[dict[str, Any]]:
    """How to reach the buckets. On AWS the pod's identity brings the credentials."""
    if platform.storage.mode == "s3":
        return [{"name": "AWS_REGION", "value": platform.storage.region}]
    keys = {"AWS_ACCESS_KEY_ID": "accessKey", "AWS_SECRET_ACCESS_KEY": "secretKey"}
    return [
        {"name": steps.S3_URL, "value": hosts.endpoint(hosts.own_bucket(tenant, platform))},
        {"name": steps.MODELS_S3_URL, "value": hosts.endpoint(hosts.base_models(platform))},
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": BUCKET_KEYS, "key": key}}}
            for name, key in keys.items()
        ),
    ]


def volumes() -> list[dict[str, Any]]:
    """Scratch, and a token that only the watcher's status endpoint takes."""
    token = {"path": "token", "audience": STATUS_AUDIENCE, "expirationSeconds": TOKEN_SECONDS}
    projected = {"sources": [{"serviceAccountToken": token}]}
    return [_VOLUME, _TEMPORARY, _SHARED, {"name": "status-token", "projected": projected}]


def mounts() -> list[dict[str, Any]]:
    token = {"name": "status-token", "mountPath": TOKEN_FOLDER, "readOnly": True}
    return [_MOUNT, _TEMPORARY_MOUNT, _SHARED_MOUNT, token]


def container(step: Step, tenant: Tenant, platform: Platform, *, name: str) -> dict[str, Any]:
    """The container of a GPU step: one rank on one GPU, with the node's cores and memory in proportion."""
    flavor = platform.gpu_flavors[tenant.training.gpus.flavor]
    return {
        "name": name,
        "image": platform.image("trainer"),
        "command": list(step.command),
        "env": environment(tenant, platform),
        "resources": restricted.resources(str(flavor.cpus_per_gpu), f"{flavor.host_memory_gib_per_gpu}Gi", gpus=1),
        "securityContext": restricted.CONTAINER_SECURITY,
        "volumeMounts": mounts(),
    }


def account(tenant: Tenant) -> str:
    """Account of the ranks; with isolation `hard` that of the slot which the dispatcher gave the job."""
    return naming.TRAINER if tenant.isolation == "standard" else f"{naming.TRAINER}-{parameter(SLOT_PARAMETER)}"


def identity(tenant: Tenant) -> dict[str, Any]:
    """What the pods of a job have in common: the ranks' account without a token, and no restart in place."""
    return {
        "serviceAccountName": account(tenant),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",  # a policy on exit codes needs it
        "dnsConfig": restricted.DNS_CONFIG,
        "securityContext": restricted.POD_SECURITY,
    }


def pod(step: Step, tenant: Tenant, platform: Platform, *, name: str) -> dict[str, Any]:
    """Pod template of a GPU step. Its node is chosen by Kueue's flavor."""
    spec = {
        **identity(tenant),
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "tolerations": [restricted.GPU_TOLERATION],
        "containers": [container(step, tenant, platform, name=name)],
        "volumes": volumes(),
    }
    return {"metadata": {"labels": naming.labels(tenant.id)}, "spec": spec}
