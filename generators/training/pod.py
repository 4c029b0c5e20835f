"""The pod of one step: the same container, environment and volumes whatever object carries it."""

from collections.abc import Mapping
from typing import Any

from app.contract.internal import (
    ATTEMPT_PARAMETER,
    JOB_PARAMETER,
    METRICS_PORT,
    STATUS_AUDIENCE,
    TRACEPARENT_PARAMETER,
)
from generators import hosts, naming, restricted
from generators.foundation.storage import BUCKET_KEYS
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.training.claims import container_claims, pod_claims
from generators.training.ranks import Ranks, resources, sharing
from trainer.contract import steps
from trainer.contract.steps import Step

SCRATCH = "/scratch"
TOKEN_FOLDER = "/var/run/secrets/tenon"  # noqa: S105 - a folder
GRACE_SECONDS = 120  # to save a checkpoint after SIGTERM
USER_NAME = "tenon"  # the pod's user has no line in /etc/passwd, and Python's getpass then asks for USER
TOKEN_SECONDS = 3600  # the kubelet renews it before it ends
METRICS: dict[str, Any] = {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"}

# What a failed step said last is in its pod's status, where the watcher reads why it failed.
LAST_WORDS: dict[str, Any] = {"terminationMessagePolicy": "FallbackToLogsOnError"}

_VOLUME, _MOUNT = restricted.scratch("scratch", SCRATCH, size="100Gi")
_TEMPORARY, _TEMPORARY_MOUNT = restricted.scratch("tmp", "/tmp", size="10Gi")  # noqa: S108 - inside the container
_SHARED, _SHARED_MOUNT = restricted.scratch("shm", "/dev/shm", size="8Gi", in_memory=True)  # noqa: S108 - the same


def parameter(name: str) -> str:
    """Argo's reference to a workflow parameter; only names and environment values hold one."""
    return f"{{{{workflow.parameters.{name}}}}}"


def child_name(step: Step) -> str:
    """Name of the object that a GPU step creates: one per attempt and step, so a second create is refused."""
    return f"{{{{workflow.name}}}}-{step.name}"


def of_attempt() -> dict[str, str]:
    """Environment of the steps of an attempt: which job, and where its progress is told."""
    return {
        steps.JOB: parameter(JOB_PARAMETER),
        steps.ATTEMPT: parameter(ATTEMPT_PARAMETER),
        steps.TRACEPARENT: parameter(TRACEPARENT_PARAMETER),
        steps.STATUS_URL: hosts.STATUS_URL,
        steps.STATUS_TOKEN_FILE: f"{TOKEN_FOLDER}/token",
    }


def environment(tenant: Tenant, platform: Platform, given: Mapping[str, str]) -> list[dict[str, Any]]:
    """The names of trainer/contract/steps.py. Tenant text stands in no value; a document travels as base64url."""
    storage = platform.storage
    values = {
        **given,
        steps.BUCKET_URL: f"s3://{naming.bucket(storage.bucket_prefix, tenant.id)}",
        steps.MODELS_URL: f"s3://{naming.models_bucket(storage.bucket_prefix)}",
        steps.WORK: SCRATCH,
        steps.METRICS_PORT: str(METRICS_PORT),
        steps.IMAGE: platform.image("trainer"),
        "HOME": SCRATCH,
        "USER": USER_NAME,
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


def volumes(*, shared_memory: bool = True) -> list[dict[str, Any]]:
    """Scratch, and a token that only the watcher's status endpoint takes."""
    token = {"path": "token", "audience": STATUS_AUDIENCE, "expirationSeconds": TOKEN_SECONDS}
    projected = {"sources": [{"serviceAccountToken": token}]}
    shared = [_SHARED] if shared_memory else []
    return [_VOLUME, _TEMPORARY, *shared, {"name": "status-token", "projected": projected}]


def mounts(*, shared_memory: bool = True) -> list[dict[str, Any]]:
    token = {"name": "status-token", "mountPath": TOKEN_FOLDER, "readOnly": True}
    shared = [_SHARED_MOUNT] if shared_memory else []
    return [_MOUNT, _TEMPORARY_MOUNT, *shared, token]


def container(ranks: Ranks, *, name: str) -> dict[str, Any]:
    """The container of a GPU step: one process, which starts the pod's ranks.

    A GPU's memory cannot be raised, so a resize means main memory alone, and needs no restart.
    """
    tenant = ranks.tenant
    memory = {"resizePolicy": [{"resourceName": "memory", "restartPolicy": "NotRequired"}]}
    return {
        "name": name,
        "image": ranks.platform.image("trainer"),
        "command": list(ranks.step.command),
        **LAST_WORDS,
        "env": environment(tenant, ranks.platform, {**ranks.given, **sharing(ranks)}),
        "ports": [METRICS],
        "resources": {**resources(ranks), **container_claims(ranks)},
        **(memory if tenant.training.resize else {}),
        "securityContext": restricted.CONTAINER_SECURITY,
        "volumeMounts": mounts(shared_memory=_has_own_shared_memory(ranks)),
    }


def _has_own_shared_memory(ranks: Ranks) -> bool:
    """Unless the device plugin brings it with the GPU."""
    return not (ranks.gpus and ranks.flavor.brings_shared_memory)


def identity(ranks: Ranks) -> dict[str, Any]:
    """What the pods of a job have in common: the ranks' account without a token, and no restart in place."""
    return {
        "serviceAccountName": ranks.account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",  # a policy on exit codes needs it
        "dnsConfig": restricted.DNS_CONFIG,
        "securityContext": restricted.POD_SECURITY,
    }


def pod(ranks: Ranks, *, name: str) -> dict[str, Any]:
    """Pod template of a GPU step. Its node is chosen by Kueue's flavor."""
    spec = {
        **identity(ranks),
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "tolerations": [restricted.GPU_TOLERATION],
        "containers": [container(ranks, name=name)],
        **pod_claims(ranks),
        "volumes": volumes(shared_memory=_has_own_shared_memory(ranks)),
    }
    return {"metadata": {"labels": naming.labels(ranks.tenant.id)}, "spec": spec}
