"""What each of our services may reach and who may reach it, in `tenon-system` and at the broker.

Tenants are named by plane alone, so that adding one changes no file of the platform (DESIGN D2).
"""

from typing import Any
from urllib.parse import urlsplit

from app.contract.internal import INGEST_PORT, METRICS_PORT, MODEL_PORT, STATUS_PORT
from generators import hosts, mesh, naming, policies
from generators.cluster import broker
from generators.cluster.deployments import SERVICES
from generators.cluster.environment import BUCKET_CLIENTS, STORE_CLIENTS
from generators.inputs.platform import Platform
from generators.manifest import Body
from generators.naming import (
    BROKER_NAMESPACE,
    MODEL,
    MONITORING_NAMESPACE,
    STEP,
    STORAGE_NAMESPACE,
    STORE_NAMESPACE,
    SYSTEM_NAMESPACE,
    TRAINER,
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
STORE_PORT = 5432
# Of a Kafka node, as Strimzi sets it up: controllers, replication and operators, the agent that tells a node's state.
CONTROLLER_PORT, REPLICATION_PORT, AGENT_PORT = 9090, 9091, 8443

ACCOUNTS = tuple(service.name for service in SERVICES)
PROMETHEUS = pods(MONITORING_NAMESPACE, "prometheus")
STRIMZI = pods("strimzi", "strimzi-cluster-operator")
DATA = pods_of_plane("train", STEP, TRAINER)
MODELS = pods_of_plane("serve", MODEL)


def questions(platform: Platform) -> list[Body]:
    """One complete list of names per set of accounts: Cilium can mix up two lists of one pod (D11a)."""
    kafka, store = _kafka_names(), [f"*.{STORE_NAMESPACE}.svc.cluster.local"]
    buckets, tokens = [_any_bucket(platform)], hosts.credentials(platform)
    ingest = hosts.service("ingest", SYSTEM_NAMESPACE)
    git, issuers = _git_host(platform), _issuer_hosts(platform)
    lists: list[tuple[str, tuple[str, ...], list[str], list[str]]] = [
        ("dns", ("watcher", "webhooks"), [], store),
        ("dns-dispatcher", ("dispatcher",), [], [*kafka, *store]),
        ("dns-ingest", ("ingest",), [*issuers, *tokens], [*kafka, *store, *buckets]),
        ("dns-promoter", ("promoter",), [*git, *tokens], [*store, *buckets]),
        ("dns-portal", ("portal",), [ingest], []),
        (
            "dns-router",
            ("router",),
            [ingest, *(mesh.CONTROL_NAMES if mesh.is_used(platform) else ())],
            ["*.*-serve.svc.cluster.local"],
        ),
    ]
    return [
        rule(name, *accounts, egress=[resolve(platform, names, patterns=patterns)])
        for name, accounts, names, patterns in lists
    ]


def services(platform: Platform) -> list[Body]:
    """What each of our services may reach, and who may reach it."""
    public = mesh.entrance(platform, INGEST_PORT) if mesh.is_used(platform) else from_entity("ingress", INGEST_PORT)
    ask_ingest = to_pods([pods(SYSTEM_NAMESPACE, "ingest")], INGEST_PORT)
    outside = [policies.to_host(host) for host in _issuer_hosts(platform)]
    private = [policies.private_ranges(platform)]
    nodes, _ = broker.accounts(platform)
    return [
        rule("scrape", *ACCOUNTS, ingress=[from_pods([PROMETHEUS], METRICS_PORT)]),
        rule("apiserver", *ACCOUNTS, egress=[api_server(platform)]),
        rule("broker", *broker.CLIENTS, egress=[to_pods([pods(BROKER_NAMESPACE, nodes)], broker.BROKER_PORT)]),
        rule("store", *STORE_CLIENTS, egress=[to_pods([pods(STORE_NAMESPACE, "postgres")], STORE_PORT)]),
        rule("buckets", *BUCKET_CLIENTS, egress=_buckets(platform)),
        rule(
            "ingest",
            "ingest",
            ingress=[public, from_pods([pods(SYSTEM_NAMESPACE, "portal", "router")], INGEST_PORT)],
            egress=outside,
        ),
        rule("watcher", "watcher", ingress=[from_pods([DATA], STATUS_PORT)]),
        rule("webhooks", "webhooks", egress_deny=private),
        rule(
            "router",
            "router",
            ingress=[public],
            egress=[ask_ingest, to_pods([MODELS], MODEL_PORT), *_entrance(platform)],
        ),
        rule("portal", "portal", ingress=[public], egress=[ask_ingest]),
        *(rule("git", "promoter", egress=[policies.to_host(host)]) for host in _git_host(platform)),
    ]


def brokers(platform: Platform) -> list[Body]:
    """Kafka's nodes among themselves, their operators, and the two services that have a user.

    A node reads its certificates at the API server before it starts (Strimzi 1.x).
    """
    nodes, operators = broker.accounts(platform)
    own, entity = [pods(BROKER_NAMESPACE, nodes)], [pods(BROKER_NAMESPACE, operators)]
    clients = [pods(SYSTEM_NAMESPACE, *broker.CLIENTS)]
    return [
        rule("dns", nodes, operators, egress=[resolve(platform, [], patterns=_kafka_names())]),
        rule("apiserver", nodes, operators, egress=[api_server(platform)]),
        rule(
            "brokers",
            nodes,
            ingress=[
                from_pods(own),
                from_pods(clients, broker.BROKER_PORT),
                from_pods(entity, REPLICATION_PORT),
                from_pods([STRIMZI], CONTROLLER_PORT, REPLICATION_PORT, AGENT_PORT),
            ],
            egress=[to_pods(own)],
        ),
        rule("entity-operator", operators, egress=[to_pods(own, REPLICATION_PORT)]),
    ]


def database() -> list[Body]:
    """The store's pods among themselves, and the services that have a role there."""
    own = [pods(STORE_NAMESPACE, "postgres")]
    clients = [pods(SYSTEM_NAMESPACE, *STORE_CLIENTS)]
    return [
        rule("database", "postgres", ingress=[from_pods(own), from_pods(clients, STORE_PORT)], egress=[to_pods(own)])
    ]


def rule(name: str, *accounts: str, **sections: list[Any]) -> Body:
    """A policy on these accounts, with the platform's labels."""
    return policy(name, of=subject(*accounts), labels=LABELS, **sections)


def api_server(platform: Platform) -> Body:
    return to_entity("kube-apiserver", platform.api_server.port)


def _entrance(platform: Platform) -> list[Body]:
    """The router asks models by their hosts too; in a mesh its own sidecar asks for configuration."""
    if not mesh.is_used(platform):
        return [to_entity("ingress")]
    return [to_pods([mesh.gateway_pods(platform)], *mesh.GATEWAY_PORTS), mesh.control()]


def _kafka_names() -> list[str]:
    """Of the Services, and of the nodes behind them; a `*` crosses no dot."""
    return [f"*.{BROKER_NAMESPACE}.svc.cluster.local", f"*.*.{BROKER_NAMESPACE}.svc.cluster.local"]


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
