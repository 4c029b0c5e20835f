"""The platform's side of the network: policies of its namespaces, the cluster profile, and Cilium's own values.

Tenants are named here by plane alone, so that adding one changes no file of the platform (DESIGN D2).
"""

import json
from typing import Any

from app.contract.internal import INGEST_PORT, METRICS_PORT, MODEL_PORT
from generators import hosts, mesh, naming, policies
from generators.cluster import flows, prometheus
from generators.cluster.flows import DATA, MODELS, PROMETHEUS, api_server, rule
from generators.cluster.profile import cilium_values, cluster_profile
from generators.cluster.workflows import METRICS_PORT as CONTROLLER_METRICS_PORT
from generators.foundation import storage
from generators.inputs.platform import Platform
from generators.manifest import Body, Construct, Place, Wave, manifest
from generators.naming import (
    BROKER_NAMESPACE,
    MONITORING_NAMESPACE,
    STORAGE_NAMESPACE,
    STORE_NAMESPACE,
    SYSTEM_NAMESPACE,
    WORKFLOWS_NAMESPACE,
)
from generators.policies import from_entity, from_pods, pods, resolve, to_pods

LABELS = dict(naming.MANAGED_BY)

# Who asks Prometheus: analyses of canaries, scaling by waiting requests, dashboards.
ASKERS = (
    pods("argo-rollouts", "argo-rollouts"),
    pods("keda", "keda-operator"),
    pods(prometheus.ADAPTER, prometheus.ADAPTER),
    pods(MONITORING_NAMESPACE, "grafana"),
)
# Components that alerts and dashboards speak of: namespace, account and port of their metrics.
COMPONENTS = (
    (WORKFLOWS_NAMESPACE, "workflow-controller", CONTROLLER_METRICS_PORT),
    ("argo-rollouts", "argo-rollouts", 8090),
    ("gpu-operator", "nvidia-dcgm-exporter", 9400),
    ("kueue-system", "kueue-controller-manager", 8443),
)

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
        for body in (metadata_denied(), gateway_policy(platform)):
            manifest(self, body, at=Place("foundation", None, "platform.yaml", Wave.POLICY))
        config = Place("foundation", SYSTEM_NAMESPACE, "platform.yaml", Wave.CONFIG)
        manifest(self, _config_map("cluster-profile", "profile.json", cluster_profile(platform)), at=config)
        manifest(self, _config_map("cilium-values", "values.json", cilium_values(platform)), at=config)
        if platform.storage.mode == "inCluster":
            bucket = naming.models_bucket(platform.storage.bucket_prefix)
            for body, wave in storage.gateway(storage.MODELS, bucket=bucket, labels=LABELS, platform=platform):
                manifest(self, body, at=Place("foundation", STORAGE_NAMESPACE, "platform.yaml storage", wave))


def platform_policies(platform: Platform) -> dict[str, list[Body]]:
    """Policies by namespace; every one names its accounts, so that a missing default deny would be seen."""
    return {
        SYSTEM_NAMESPACE: [*flows.questions(platform), *flows.services(platform)],
        BROKER_NAMESPACE: flows.brokers(platform),
        STORE_NAMESPACE: flows.database(),
        WORKFLOWS_NAMESPACE: [
            rule(
                "controller",
                "workflow-controller",
                ingress=[from_pods([PROMETHEUS], CONTROLLER_METRICS_PORT)],
                egress=[api_server(platform)],
            )
        ],
        MONITORING_NAMESPACE: [_prometheus(platform), _operator(platform), *_grafana(platform)],
        STORAGE_NAMESPACE: _object_store(platform),
    }


def metadata_denied() -> Body:
    """Denies the clouds' metadata addresses to every pod, and takes nothing else away."""
    denied = [{"toCIDR": list(METADATA)}]
    return policies.clusterwide("imds", of={}, labels=LABELS, default_deny=False, egress_deny=denied)


def gateway_policy(platform: Platform) -> Body:
    """The Gateway's listener: the world and the router may ask it, and it asks our services and model servers.

    Where Istio's gateway is the entrance nothing listens here, and it reaches no model server.
    """
    models = [] if mesh.is_used(platform) else [to_pods([MODELS], MODEL_PORT)]
    ours = pods(SYSTEM_NAMESPACE, "ingest", "portal", "router")
    return policies.clusterwide(
        "gateway",
        of={"matchLabels": {"reserved:ingress": ""}},
        labels=LABELS,
        default_deny=True,
        ingress=[from_entity("world"), from_pods([pods(SYSTEM_NAMESPACE, "router")])],
        egress=[to_pods([ours], INGEST_PORT), *models],
    )


def _prometheus(platform: Platform) -> Body:
    """It finds its targets at the API server, by address, and so asks no name."""
    return rule(
        "prometheus",
        "prometheus",
        ingress=[from_pods(ASKERS, prometheus.PORT)],
        egress=[
            to_pods([DATA, pods(SYSTEM_NAMESPACE, *flows.ACCOUNTS)], METRICS_PORT),
            to_pods([MODELS], mesh.METRICS_PORT if mesh.is_used(platform) else MODEL_PORT, METRICS_PORT),
            *(to_pods([pods(namespace, account)], port) for namespace, account, port in COMPONENTS),
            api_server(platform),
        ],
    )


def _operator(platform: Platform) -> Body:
    """It writes the configuration of Prometheus into the cluster, and speaks to nobody else."""
    return rule(prometheus.OPERATOR, prometheus.OPERATOR, egress=[api_server(platform)])


def _grafana(platform: Platform) -> list[Body]:
    """Its sidecar reads dashboards at the API server; people reach it through the API server too."""
    name = hosts.service("prometheus", MONITORING_NAMESPACE)
    ask = to_pods([PROMETHEUS], prometheus.PORT)
    return [rule("grafana", "grafana", egress=[resolve(platform, [name]), ask, api_server(platform)])]


def _object_store(platform: Platform) -> list[Body]:
    """The filer behind all gateways, and the gateway of the one bucket that tenants share."""
    if platform.storage.mode == "s3":
        return []
    models, peers = naming.storage_account(storage.MODELS), [pods(STORAGE_NAMESPACE)]
    return [
        rule(
            "filer",
            "filer",
            ingress=[from_pods(peers, *storage.FILER_PORTS)],
            egress=[to_pods([pods(STORAGE_NAMESPACE, "filer")]), resolve(platform, [hosts.FILER])],
        ),
        rule(
            models,
            models,
            ingress=[from_pods([DATA, MODELS], hosts.S3_PORT)],
            egress=storage.gateway_egress(platform),
        ),
    ]


def _config_map(name: str, key: str, document: dict[str, Any]) -> Body:
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    metadata = {"name": name, "labels": LABELS}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {key: text}}
