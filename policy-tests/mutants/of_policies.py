"""Each kind of policy dropped or widened, and the invariant of the network that must break."""

from collections.abc import Callable
from typing import Any

Body = dict[str, Any]

NAMESPACE, ACCOUNT = "k8s:io.kubernetes.pod.namespace", "k8s:io.cilium.k8s.policy.serviceaccount"
GLOBEX = {"matchLabels": {NAMESPACE: "globex-train"}}
HTTPS = {"ports": [{"port": "443", "protocol": "TCP"}]}
HTTP_BESIDE_SERVER_NAMES = {
    "toFQDNs": [{"matchName": "mirror.acme.example"}],
    "toPorts": [{**HTTPS, "rules": {"http": [{"method": "GET"}]}}],
}
DNS_OVER_TLS = {"ports": [{"port": "853", "protocol": "TCP"}]}
DNS = [{"ports": [{"port": "53", "protocol": "UDP"}]}]

# A dropped object leaves a hole (default-deny) or cuts off what a job or a model needs.
DROPPED = {
    "acme-train/default-deny": "default-deny",
    "acme-serve/default-deny": "closed",
    "acme-train/dns": "alive",
    "acme-train/bucket": "alive",
    "acme-train/models": "alive",
    "acme-train/status": "alive",
    "acme-train/apiserver": "alive",
    "acme-train/scrape": "alive",
    "acme-train/ranks": "alive",
    "acme-train/egress": "alive",
    "globex-train/ranks-0": "alive",
    "acme-serve/dns": "alive",
    "acme-serve/bucket": "alive",
    "acme-serve/models": "alive",
    "acme-serve/requests": "alive",
    "acme-serve/scrape": "alive",
    "storage/s3-acme": "alive",
    "storage/s3-models": "alive",
    "tenon-system/watcher": "alive",
    "/gateway": "closed",
    "/imds": "metadata",
    # among the platform's own
    "kafka/default-deny": "closed",
    "kafka/brokers": "alive",
    "monitoring/grafana": "alive",
    "postgres/database": "alive",
    "tenon-system/store": "alive",
}


def egress(spec: Body) -> Body:
    first: Body = spec["egress"][0]
    return first


def ingress(spec: Body) -> Body:
    first: Body = spec["ingress"][0]
    return first


def cut_range(index: int) -> Callable[[Body], object]:
    return lambda spec: spec["egressDeny"][0]["toCIDRSet"].pop(index)


def names(spec: Body) -> list[Body]:
    found: list[Body] = egress(spec)["toPorts"][0]["rules"]["dns"]
    return found


def peer_labels(rule: Body) -> Body:
    found: Body = next(iter(rule.get("toEndpoints") or rule.get("fromEndpoints") or ()))["matchLabels"]
    return found


# (policy, what is widened, invariant that must break)
WIDENED: list[tuple[str, Callable[[Body], object], str]] = [
    ("acme-train/default-deny", lambda spec: spec.update(policyTypes=["Ingress"]), "default-deny"),
    ("acme-train/default-deny", lambda spec: spec.update(policyTypes=["Egress"]), "apart"),
    ("acme-train/dns", lambda spec: names(spec).append({"matchPattern": "*"}), "names"),
    (
        "acme-train/dns",
        lambda spec: names(spec).append({"matchName": "tenon-globex.storage.svc.cluster.local"}),
        "names",
    ),
    ("acme-train/dns", lambda spec: names(spec).append({"matchPattern": "tenon-*.storage.svc.cluster.local"}), "names"),
    ("acme-train/dns", lambda spec: names(spec).append({"matchPattern": "*.s3.amazonaws.com"}), "names"),
    ("acme-train/dns", lambda spec: names(spec).append({"matchPattern": "*.*.svc.cluster.local"}), "names"),
    ("acme-train/dns", lambda spec: egress(spec)["toPorts"][0].pop("rules"), "names"),
    ("acme-train/dns", lambda spec: spec["egress"].append({"toPorts": DNS}), "names"),
    ("acme-train/dns", lambda spec: spec["egress"].append(egress(spec)), "one-dns-rule"),
    ("acme-train/dns", lambda spec: egress(spec).pop("toEndpoints"), "closed"),
    ("acme-train/dns", lambda spec: peer_labels(egress(spec)).pop(ACCOUNT), "closed"),
    ("acme-train/bucket", lambda spec: peer_labels(egress(spec)).pop(ACCOUNT), "apart"),
    ("acme-train/bucket", lambda spec: peer_labels(egress(spec)).update({ACCOUNT: "s3-globex"}), "apart"),
    ("acme-train/bucket", lambda spec: egress(spec).pop("toPorts"), "closed"),
    ("acme-train/models", lambda spec: peer_labels(egress(spec)).pop(ACCOUNT), "apart"),
    ("acme-train/status", lambda spec: egress(spec).pop("toPorts"), "closed"),
    ("acme-train/status", lambda spec: peer_labels(egress(spec)).pop(ACCOUNT), "closed"),
    ("acme-train/apiserver", lambda spec: spec.update(endpointSelector={}), "closed"),
    ("acme-train/apiserver", lambda spec: egress(spec).pop("toPorts"), "closed"),
    ("acme-train/apiserver", lambda spec: egress(spec)["toEntities"].append("cluster"), "apart"),
    ("acme-train/apiserver", lambda spec: egress(spec)["toEntities"].append("host"), "closed"),
    ("acme-train/scrape", lambda spec: peer_labels(ingress(spec)).pop(ACCOUNT), "closed"),
    ("acme-train/scrape", lambda spec: ingress(spec).pop("fromEndpoints"), "apart"),
    ("acme-train/ranks", lambda spec: peer_labels(egress(spec)).pop(ACCOUNT), "closed"),
    ("acme-train/ranks", lambda spec: egress(spec)["toEndpoints"].append(GLOBEX), "apart"),
    (
        "acme-train/ranks",
        lambda spec: egress(spec)["toEndpoints"].append({"matchLabels": {"reserved:x": ""}}),
        "trusted",
    ),
    ("globex-train/ranks-0", lambda spec: peer_labels(egress(spec)).update({ACCOUNT: "trainer-1"}), "closed"),
    ("acme-train/egress", lambda spec: egress(spec)["toPorts"][0].pop("serverNames"), "server-names"),
    ("acme-train/egress", lambda spec: egress(spec)["toPorts"][0].update(serverNames=["**"]), "closed"),
    ("acme-train/egress", lambda spec: egress(spec).update(toFQDNs=[{"matchPattern": "*"}]), "closed"),
    ("acme-train/egress", lambda spec: egress(spec).update(toFQDNs=[]), "unambiguous"),
    ("acme-train/egress", lambda spec: spec["egress"].append({"toEntities": ["world"], "toPorts": [HTTPS]}), "closed"),
    ("acme-train/egress", lambda spec: spec["egress"].append({"toCIDR": ["0.0.0.0/0"]}), "server-names"),
    ("acme-train/egress", lambda spec: spec.pop("egressDeny"), "metadata"),
    ("acme-train/egress", lambda spec: spec.update(ingress=[]), "unambiguous"),
    ("acme-serve/requests", lambda spec: spec["ingress"].append({"fromEntities": ["world"]}), "closed"),
    ("acme-serve/requests", lambda spec: peer_labels(ingress(spec)).pop(NAMESPACE), "closed"),
    ("acme-serve/requests", lambda spec: spec["ingress"].append({"fromEntities": ["all"]}), "apart"),
    ("acme-serve/requests", lambda spec: ingress(spec)["toPorts"][0].update(rules={"http": [{}]}), "one-proxy"),
    ("storage/s3-acme", lambda spec: ingress(spec)["fromEndpoints"].append(GLOBEX), "apart"),
    ("storage/s3-acme", lambda spec: ingress(spec).pop("fromEndpoints"), "apart"),
    ("storage/s3-acme", lambda spec: ingress(spec)["fromEndpoints"].append({}), "closed"),
    ("storage/s3-acme", lambda spec: ingress(spec).pop("toPorts"), "closed"),
    ("tenon-system/watcher", lambda spec: spec.update(ingress=[]), "accepted"),
    ("/imds", lambda spec: spec["egressDeny"][0]["toCIDR"].remove("168.63.129.16/32"), "metadata"),
    ("/imds", lambda spec: spec["egressDeny"][0]["toCIDR"].remove("169.254.169.254/32"), "metadata"),
    ("tenon-system/webhooks", lambda spec: spec.pop("egressDeny"), "metadata"),
    (
        "acme-train/egress",
        lambda spec: egress(spec)["toFQDNs"].append({"matchPattern": "mirror.init*.example"}),
        "addresses",
    ),
    ("acme-train/egress", lambda spec: egress(spec)["toFQDNs"].append({"matchName": "a.example"}), "one-list"),
    ("initech-train/egress", lambda spec: egress(spec).update(toFQDNs=[{"matchPattern": "*.example"}]), "one-list"),
    *(("acme-train/egress", cut_range(index), "metadata") for index in range(7)),
    ("acme-train/apiserver", lambda spec: egress(spec).pop("toPorts"), "node-ports"),
    ("acme-train/status", lambda spec: spec["egress"].append({"toEntities": ["remote-node"]}), "node-ports"),
    (
        "acme-train/status",
        lambda spec: spec["egress"].append({"toCIDR": ["1.0.0.0/8"], "toPorts": [DNS_OVER_TLS]}),
        "resolvers",
    ),
    ("acme-train/dns", lambda spec: peer_labels(egress(spec)).pop(ACCOUNT), "resolvers"),
    (
        "tenon-system/webhooks-acme",
        lambda spec: egress(spec).update(toFQDNs=[{"matchPattern": "*.example"}]),
        "monotone",
    ),
    ("globex-train/ranks-0", lambda spec: spec.update(ingress=[{"fromEndpoints": [GLOBEX]}]), "closed"),
    ("acme-train/bucket", lambda spec: peer_labels(egress(spec)).update({ACCOUNT: "s3-globex"}), "storage"),
    ("acme-train/dns", lambda spec: names(spec).append({"matchPattern": "tenon-glob*.storage"}), "storage"),
    (
        "acme-train/dns",
        lambda spec: names(spec).append({"matchPattern": "**.acme-train.svc.cluster.local"}),
        "portable",
    ),
    ("acme-train/status", lambda spec: egress(spec)["toPorts"].append(DNS_OVER_TLS), "closed"),
    ("acme-train/apiserver", lambda spec: spec["egress"].append(HTTP_BESIDE_SERVER_NAMES), "mergeable"),
    # among the platform's own
    ("kafka/brokers", lambda spec: ingress(spec)["fromEndpoints"].append({}), "closed"),
    ("kafka/brokers", lambda spec: peer_labels(spec["ingress"][1]).update({NAMESPACE: "monitoring"}), "alive"),
    ("postgres/database", lambda spec: spec["ingress"][1].pop("toPorts"), "closed"),
    ("monitoring/prometheus", lambda spec: spec["egress"].append({"toEntities": ["cluster"]}), "closed"),
    ("tenon-system/watcher", lambda spec: spec["ingress"].append({"fromEntities": ["world"]}), "closed"),
    ("tenon-system/git", lambda spec: egress(spec)["toPorts"][0].update(serverNames=["*.example"]), "closed"),
    ("tenon-system/dns", lambda spec: spec["endpointSelector"]["matchExpressions"][0]["values"].pop(), "alive"),
    ("tenon-system/dns-ingest", lambda spec: names(spec).pop(), "alive"),
    ("tenon-system/git", lambda spec: egress(spec)["toPorts"][0]["ports"][0].update(port="8443"), "alive"),
    ("tenon-system/dns-portal", lambda spec: names(spec).append({"matchPattern": "*"}), "own-lists"),
    (
        "tenon-system/dns-router",
        lambda spec: names(spec).append({"matchPattern": "*.*.svc.cluster.local"}),
        "own-lists",
    ),
]
