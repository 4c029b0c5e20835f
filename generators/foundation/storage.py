"""A tenant's own entry to the object store of the cluster, and the keys its pods hold for it.

One gateway per tenant: behind a shared one every bucket has the same address and the Host header is free, so that DNS
would be the only lock. A gateway makes its bucket before it starts, and nothing ever deletes one. On AWS buckets and
roles are made outside the cluster; then only names are rendered, in the policies and in the environment of pods.
"""

import json
from typing import Any

from generators import hosts, naming, restricted
from generators.foundation.network import trainer_accounts
from generators.foundation.rbac import service_account
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.manifest import Body, Construct, Place, Wave, manifest
from generators.naming import MODEL, STEP, STORAGE_NAMESPACE, SYSTEM_NAMESPACE
from generators.policies import from_pods, pods, policy, resolve, subject, to_pods
from generators.versions import DISRUPTION, EXTERNAL_SECRETS

# Of `weed server -filer`, which runs as account `filer`: a gateway asks the filer, finds volumes at the master, and
# reads and writes them itself (seen with SeaweedFS 4.48). Each HTTP port has its gRPC port 10,000 above it.
FILER_PORT, VOLUME_PORT, MASTER_PORT = 8888, 8080, 9333
FILER_PORTS = (VOLUME_PORT, FILER_PORT, VOLUME_PORT + 10_000, FILER_PORT + 10_000, MASTER_PORT + 10_000)
MODELS = "models"  # owner of the bucket that all tenants read
IDENTITIES = "s3.json"  # who may do what at a gateway, as SeaweedFS reads it
GRACE_SECONDS = 60  # for uploads that are under way
DRAIN_SECONDS = 5  # until no client is sent to a server that ends
_NODE = "kubernetes.io/hostname"
BUCKET_KEYS = "bucket"  # Secret of each tenant namespace: accessKey, secretKey
SECRET_STORE = "tenon"  # noqa: S105 - name of the ClusterSecretStore that the platform brings


class TenantStorage(Construct):
    """The gateway `s3-<tenant>` in the storage namespace, its policy, and the bucket's keys where pods need them."""

    def __init__(self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        if platform.storage.mode == "s3":
            return
        labels, source = naming.labels(tenant.id), tenant.key("")
        bucket = naming.bucket(platform.storage.bucket_prefix, tenant.id)
        for body, wave in gateway(tenant.id, bucket=bucket, labels=labels, platform=platform):
            manifest(self, body, at=Place("foundation", STORAGE_NAMESPACE, source, wave))
        account = service_account(naming.storage_account(tenant.id), labels=labels)
        manifest(self, account, at=Place("foundation", STORAGE_NAMESPACE, source, Wave.ACCESS))
        reach = gateway_policy(tenant, platform)
        manifest(self, reach, at=Place("foundation", STORAGE_NAMESPACE, source, Wave.POLICY))
        keys = external_secret(
            BUCKET_KEYS, f"tenants/{tenant.id}/bucket", keys=("accessKey", "secretKey"), labels=labels
        )
        for namespace in (naming.training_namespace(tenant.id), naming.serving_namespace(tenant.id)):
            manifest(self, keys, at=Place("foundation", namespace, source, Wave.CONFIG))


def gateway(owner: str, *, bucket: str, labels: dict[str, str], platform: Platform) -> list[tuple[Body, Wave]]:
    """One S3 gateway: identities, Service named after the bucket, servers and their budget. `models` is an owner too.

    Who has which key to a tenant's bucket is a secret; that those who reach the base models may read them is none.
    """
    name = naming.storage_account(owner)
    selector = {"app.kubernetes.io/name": name}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": bucket, "labels": labels},
        "spec": {"selector": selector, "ports": [{"name": "s3", "port": hosts.S3_PORT, "protocol": "TCP"}]},
    }
    identities: Body = {"secret": {"secretName": name}}
    known = external_secret(name, f"tenants/{owner}/gateway", keys=(IDENTITIES,), labels=labels)
    if owner == MODELS:
        identities, known = {"configMap": {"name": name}}, open_to_readers(name, bucket=bucket, labels=labels)
    server = _deployment(name, selector=selector, labels=labels, image=platform.image("seaweedfs"))
    pod = server["spec"]["template"]["spec"]
    pod["initContainers"] = [bucket_maker(bucket, image=platform.image("seaweedfs"))]
    pod["volumes"].insert(0, {"name": "identities", **identities})
    budget = _disruption_budget(name, selector=selector, labels=labels)
    return [(known, Wave.CONFIG), *((body, Wave.SERVICE) for body in (service, server, budget))]


def open_to_readers(name: str, *, bucket: str, labels: dict[str, str]) -> Body:
    """Identities of the models bucket's gateway: requests without a key read and list it, and no key is known.

    SeaweedFS refuses a key that it does not know even where it asks for none (seen with 4.48), so pods sign nothing
    there. Who reaches the gateway at all is its policy's affair; the bucket is filled at the filer.
    """
    identities = [{"name": "anonymous", "actions": [f"{action}:{bucket}" for action in ("Read", "List")]}]
    text = json.dumps({"identities": identities}, indent=2) + "\n"
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {IDENTITIES: text}}


def bucket_maker(bucket: str, *, image: str) -> Body:
    """Makes the bucket, which is a folder of the filer, and leaves one that is there as it is.

    `weed shell` reads commands from its input alone. Without a master it waits, without a filer it fails and is started
    again, so the gateway never serves a bucket that is not there.
    """
    master = f"{hosts.FILER}:{MASTER_PORT}"
    command = f"weed shell -master={master} -filer={hosts.FILER}:{FILER_PORT}"
    _, mount = restricted.scratch("tmp", "/tmp", size="1Gi")  # noqa: S108 - inside the container
    return {
        "name": "bucket",
        "image": image,
        "command": ["sh", "-c", f'echo "fs.mkdir /buckets/$0" | {command}', bucket],
        "resources": restricted.resources("250m", "256Mi"),
        "securityContext": restricted.CONTAINER_SECURITY,
        "volumeMounts": [mount],
    }


def gateway_policy(tenant: Tenant, platform: Platform) -> Body:
    """Who may ask the tenant's gateway: its own data accounts, ingest (uploads) and the promoter (reports)."""
    name = naming.storage_account(tenant.id)
    callers = [
        pods(naming.training_namespace(tenant.id), STEP, *trainer_accounts(tenant)),
        pods(naming.serving_namespace(tenant.id), MODEL),
        pods(SYSTEM_NAMESPACE, "ingest", "promoter"),
    ]
    ingress = [from_pods(callers, hosts.S3_PORT)]
    return policy(
        name, of=subject(name), labels=naming.labels(tenant.id), ingress=ingress, egress=gateway_egress(platform)
    )


def gateway_egress(platform: Platform) -> list[Body]:
    """What a gateway itself needs: the filer behind it, by name."""
    return [to_pods([pods(STORAGE_NAMESPACE, "filer")], *FILER_PORTS), resolve(platform, [hosts.FILER])]


def external_secret(name: str, path: str, *, keys: tuple[str, ...], labels: dict[str, str]) -> Body:
    """A Secret that the External Secrets operator fills; none stands in Git (DESIGN D9)."""
    return {
        "apiVersion": EXTERNAL_SECRETS,
        "kind": "ExternalSecret",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "refreshInterval": "1h",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": SECRET_STORE},
            "target": {"name": name},
            "data": [{"secretKey": key, "remoteRef": {"key": path, "property": key}} for key in keys],
        },
    }


def _deployment(name: str, *, selector: dict[str, str], labels: dict[str, str], image: str) -> dict[str, Any]:
    """Two servers, which keep nothing: every job and model server of the tenant waits for its bucket."""
    temporary, mount = restricted.scratch("tmp", "/tmp", size="1Gi")  # noqa: S108 - inside the container
    filer = f"{hosts.FILER}:{FILER_PORT}"
    asked = {"httpGet": {"path": "/healthz", "port": hosts.S3_PORT}, "timeoutSeconds": 5}
    container = {
        "name": "s3",
        "image": image,
        "command": [
            "weed",
            "s3",
            f"-filer={filer}",
            f"-port={hosts.S3_PORT}",
            f"-config=/etc/s3/{IDENTITIES}",
            "-port.iceberg=0",  # two more servers that are on by default
            "-port.lance=0",
        ],
        "ports": [{"name": "s3", "containerPort": hosts.S3_PORT}],
        "startupProbe": {**asked, "periodSeconds": 2, "failureThreshold": 60},
        "readinessProbe": {**asked, "periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": {**asked, "periodSeconds": 20, "failureThreshold": 3},
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
        "resources": restricted.resources("1", "1Gi"),
        "securityContext": restricted.CONTAINER_SECURITY,
        "volumeMounts": [{"name": "identities", "mountPath": "/etc/s3", "readOnly": True}, mount],
    }
    pod = {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": naming.SERVICES_PRIORITY,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "dnsConfig": restricted.DNS_CONFIG,
        "securityContext": restricted.POD_SECURITY,
        "topologySpreadConstraints": [_spread(key, selector) for key in ("topology.kubernetes.io/zone", _NODE)],
        "containers": [container],
        "volumes": [temporary],
    }
    template = {"metadata": {"labels": {**labels, **selector}}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": 2,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        },
    }


def _disruption_budget(name: str, *, selector: dict[str, str], labels: dict[str, str]) -> Body:
    """One at a time; a server that is not ready stops no node from draining."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": selector}, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": DISRUPTION, "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}


def _spread(over: str, selector: dict[str, str]) -> Body:
    """Where that is possible: two servers on one node are better than one."""
    return {
        "maxSkew": 1,
        "topologyKey": over,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector},
        "matchLabelKeys": ["pod-template-hash"],
    }
