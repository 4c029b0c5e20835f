"""The platform's side of the network: policies of its namespaces, the cluster profile, and Cilium's own values.

Tenants are named here by plane alone, so that adding one changes no file of the platform (DESIGN D2).
"""

import json
from typing import Any
from urllib.parse import urlsplit

from app.contract.internal import INGEST_PORT, METRICS_PORT, MODEL_PORT, STATUS_PORT
from generators import hosts, naming, policies
from generators.cluster.profile import cilium_values, cluster_profile
from generators.foundation import storage
from generators.inputs.platform import Platform
from generators.manifest import Body, Construct, Place, Wave, manifest
from generators.naming import (
    BROKER_NAMESPACE,
    MODEL,
    MONITORING_NAMESPACE,
    STEP,
    STORAGE_NAMESPACE,
    STORE_NAMESPACE,
    SYSTEM_NAMESPACE,
    TRAINER,
    WORKFLOWS_NAMESPACE,
)
from generators.policies import (
    from_entity,
    from_pods,
    pods,
    pods_of_plane,
    policy,
    resolve,
    subject,
    to_entity,
    to_pods,
)

LABELS = dict(naming.MANAGED_BY)
BROKER_PORT, STORE_PORT, PROMETHEUS_PORT, CONTROLLER_METRICS_PORT = 9092, 5432, 9090, 9090

SERVICES = ("dispatcher", "ingest", "portal", "promoter", "router", "watcher", "webhooks")
BROKER_CLIENTS = ("dispatcher", "ingest", "watcher", "webhooks")
STORE_CLIENTS = ("dispatcher", "ingest", "promoter", "watcher", "webhooks")

PROMETHEUS = pods(MONITORING_NAMESPACE, "prometheus")
ROLLOUTS = pods("argo-rollouts", "argo-rollouts")  # its analyses ask Prometheus
DATA = pods_of_plane("train", STEP, TRAINER)
MODELS = pods_of_plane("serve", MODEL)

# Where clouds answer a machine's own questions, credentials among them.
METADATA = (
    "169.254.169.254/32",
    "169.254.170.2/32",
    "169.254.170.23/32",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "fd00:ec2::254/128",
    "fd00:ec2::23/128",
)


class PlatformNetwork(Construct):
    """Default deny and declared flows of every platform namespace, two cluster-wide policies, profile and values."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        for namespace, bodies in platform_policies(platform).items():
            for body in (policies.default_deny(LABELS), *bodies):
                manifest(self, body, at=Place("foundation", namespace, "platform.yaml", Wave.POLICY))
        for body in (metadata_denied(), gateway_policy()):
            manifest(self, body, at=Place("foundation", None, "platform.yaml", Wave.POLICY))
        config = Place("foundation", SYSTEM_NAMESPACE, "platform.yaml", Wave.CONFIG)
        manifest(self, _config_map("cluster-profile", "profile.json", cluster_profile(platform)), at=config)
        manifest(self, _config_map("cilium-values", "values.json", cilium_values(platform)), at=config)
        if platform.storage.mode == "inCluster":
            bucket = naming.models_bucket(platform.storage.bucket_prefix)
            for body, wave in storage.gateway("models", bucket=bucket, labels=LABELS, platform=platform):
                manifest(self, body, at=Place("foundation", STORAGE_NAMESPACE, "platform.yaml storage", wave))


def platform_policies(platform: Platform) -> dict[str, list[Body]]:
    """Policies by namespace; every one names its accounts, so that a missing default deny would be seen."""
    return {
        SYSTEM_NAMESPACE: [*_questions(platform), *_services(platform)],
        BROKER_NAMESPACE: [_clustered("brokers", "kafka", BROKER_NAMESPACE, clients=BROKER_CLIENTS, port=BROKER_PORT)],
        STORE_NAMESPACE: [_clustered("database", "postgres", STORE_NAMESPACE, clients=STORE_CLIENTS, port=STORE_PORT)],
        WORKFLOWS_NAMESPACE: [
            _policy(
                "controller",
                "workflow-controller",
                ingress=[from_pods([PROMETHEUS], CONTROLLER_METRICS_PORT)],
                egress=[_api_server(platform)],
            )
        ],
        MONITORING_NAMESPACE: [_prometheus(platform)],
        STORAGE_NAMESPACE: _object_store(platform),
    }


def metadata_denied() -> Body:
    """Denies the clouds' metadata addresses to every pod, and takes nothing else away."""
    denied = [{"toCIDR": list(METADATA)}]
    return policies.clusterwide("imds", of={}, labels=LABELS, default_deny=False, egress_deny=denied)


def gateway_policy() -> Body:
    """The Gateway's listener: the world and the router may ask it, and it asks our services and model servers."""
    ours = pods(SYSTEM_NAMESPACE, "ingest", "portal", "router")
    return policies.clusterwide(
        "gateway",
        of={"matchLabels": {"reserved:ingress": ""}},
        labels=LABELS,
        default_deny=True,
        ingress=[from_entity("world"), from_pods([pods(SYSTEM_NAMESPACE, "router")])],
        egress=[to_pods([ours], INGEST_PORT), to_pods([MODELS], MODEL_PORT)],
    )


def _questions(platform: Platform) -> list[Body]:
    """One complete list of names per set of accounts: Cilium can mix up two lists of one pod (D11a)."""
    broker = [f"*.{BROKER_NAMESPACE}.svc.cluster.local", f"*.*.{BROKER_NAMESPACE}.svc.cluster.local"]
    store = [f"*.{STORE_NAMESPACE}.svc.cluster.local"]
    buckets, tokens = [_any_bucket(platform)], hosts.credentials(platform)
    ingest = hosts.service("ingest", SYSTEM_NAMESPACE)
    git, issuers = _git_host(platform), _issuer_hosts(platform)
    lists: list[tuple[str, tuple[str, ...], list[str], list[str]]] = [
        ("dns", ("dispatcher", "watcher", "webhooks"), [], [*broker, *store]),
        ("dns-ingest", ("ingest",), [*issuers, *tokens], [*broker, *store, *buckets]),
        ("dns-promoter", ("promoter",), [*git, *tokens], [*store, *buckets]),
        ("dns-portal", ("portal",), [ingest], []),
        ("dns-router", ("router",), [ingest], ["*.*-serve.svc.cluster.local"]),
    ]
    return [
        _policy(name, *accounts, egress=[resolve(platform, names, patterns=patterns)])
        for name, accounts, names, patterns in lists
    ]


def _services(platform: Platform) -> list[Body]:
    """What each of our services may reach, and who may reach it."""
    public = from_entity("ingress", INGEST_PORT)
    ask_ingest = to_pods([pods(SYSTEM_NAMESPACE, "ingest")], INGEST_PORT)
    outside = [policies.to_host(host) for host in _issuer_hosts(platform)]
    private = [policies.private_ranges(platform)]
    buckets = _buckets(platform)
    return [
        _policy("scrape", *SERVICES, ingress=[from_pods([PROMETHEUS], METRICS_PORT)]),
        _policy("apiserver", *SERVICES, egress=[_api_server(platform)]),
        _policy("broker", *BROKER_CLIENTS, egress=[to_pods([pods(BROKER_NAMESPACE, "kafka")], BROKER_PORT)]),
        _policy("store", *STORE_CLIENTS, egress=[to_pods([pods(STORE_NAMESPACE, "postgres")], STORE_PORT)]),
        _policy("buckets", "ingest", "promoter", egress=buckets),
        _policy(
            "ingest",
            "ingest",
            ingress=[public, from_pods([pods(SYSTEM_NAMESPACE, "portal", "router")], INGEST_PORT)],
            egress=outside,
        ),
        _policy("watcher", "watcher", ingress=[from_pods([DATA], STATUS_PORT)]),
        _policy("webhooks", "webhooks", egress_deny=private),
        _policy(
            "router",
            "router",
            ingress=[public],
            egress=[ask_ingest, to_pods([MODELS], MODEL_PORT), to_entity("ingress")],
        ),
        _policy("portal", "portal", ingress=[public], egress=[ask_ingest]),
        *(_policy("git", "promoter", egress=[policies.to_host(host)]) for host in _git_host(platform)),
    ]


def _prometheus(platform: Platform) -> Body:
    """It finds its targets at the API server, by address, and so asks no name."""
    services, controller = pods(SYSTEM_NAMESPACE, *SERVICES), pods(WORKFLOWS_NAMESPACE, "workflow-controller")
    return _policy(
        "prometheus",
        "prometheus",
        ingress=[from_pods([ROLLOUTS], PROMETHEUS_PORT)],
        egress=[
            to_pods([DATA, services], METRICS_PORT),
            to_pods([MODELS], MODEL_PORT),
            to_pods([controller], CONTROLLER_METRICS_PORT),
            _api_server(platform),
        ],
    )


def _object_store(platform: Platform) -> list[Body]:
    """The filer behind all gateways, and the gateway of the one bucket that tenants share."""
    if platform.storage.mode == "s3":
        return []
    models, peers = naming.storage_account("models"), [pods(STORAGE_NAMESPACE)]
    return [
        _policy(
            "filer",
            "filer",
            ingress=[from_pods(peers, *storage.FILER_PORTS)],
            egress=[to_pods([pods(STORAGE_NAMESPACE, "filer")])],
        ),
        _policy(
            models,
            models,
            ingress=[from_pods([DATA, MODELS], hosts.S3_PORT)],
            egress=storage.gateway_egress(platform),
        ),
    ]


def _clustered(name: str, account: str, namespace: str, *, clients: tuple[str, ...], port: int) -> Body:
    """Pods that speak among themselves on every port and serve named accounts on one."""
    own = [pods(namespace, account)]
    ingress = [from_pods(own), from_pods([pods(SYSTEM_NAMESPACE, *clients)], port)]
    return _policy(name, account, ingress=ingress, egress=[to_pods(own)])


def _policy(name: str, *accounts: str, **sections: list[Any]) -> Body:
    return policy(name, of=subject(*accounts), labels=LABELS, **sections)


def _api_server(platform: Platform) -> Body:
    return to_entity("kube-apiserver", platform.api_server.port)


def _buckets(platform: Platform) -> list[Body]:
    """Uploads and reports of every tenant: the only rule for many buckets, and of the platform's own accounts."""
    if platform.storage.mode == "inCluster":
        return [to_pods([pods(STORAGE_NAMESPACE)], hosts.S3_PORT)]
    return [policies.to_hosts_like(_any_bucket(platform)), *map(policies.to_host, hosts.credentials(platform))]


def _any_bucket(platform: Platform) -> str:
    return hosts.bucket_host(f"{platform.storage.bucket_prefix}-*", platform)


def _issuer_hosts(platform: Platform) -> list[str]:
    return sorted({urlsplit(issuer).hostname or "" for issuer in platform.oidc_issuers})


def _git_host(platform: Platform) -> list[str]:
    """Host of the repository where it is reached over TLS; over SSH the platform engineer opens it."""
    url = urlsplit(platform.repository)
    return [url.hostname] if url.scheme == "https" and url.hostname else []


def _config_map(name: str, key: str, document: dict[str, Any]) -> Body:
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    metadata = {"name": name, "labels": LABELS}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {key: text}}
