"""Who takes part in a generated world: pods, entities, outside addresses and names; and the settings it runs under."""

from typing import Any

from differential.draw import Draw, Table, always
from differential.peer_shapes import NAMES
from differential.selector_shapes import ACCOUNT, ACCOUNTS, CLUSTER, NAMESPACE, NAMESPACES

ENTITIES = ("host", "remote-node", "kube-apiserver", "health", "init", "ingress", "unmanaged", "world")
ADDRESSES = (
    "10.0.0.1",
    "10.0.0.2",
    "10.0.1.1",
    "10.96.0.1",
    "192.168.0.7",
    "8.8.8.8",
    "169.254.169.254",
    "2001:db8::1",
    "2001:db8:1::1",
)
CIDR_GROUPS = {
    "lan": {"cidrs": ["10.0.0.0/24", "192.168.0.0/16"], "labels": {"zone": "in"}},
    "edge": {"cidrs": ["8.8.8.8/32", "2001:db8:1::/48"], "labels": {"zone": "out"}},
}
_LEARNED = ("a.example.com", "b.example.com", "x.a.example.com", "s3.test")
_NAMED_PORTS = (
    {"name": "http", "port": 80, "protocol": "TCP"},
    {"name": "http", "port": 8080, "protocol": "TCP"},
    {"name": "web", "port": 443, "protocol": "TCP"},
    {"name": "dns", "port": 53, "protocol": "UDP"},
    {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
)
_RAW = ("k8s:app=x", f"k8s:{NAMESPACE}=a", "k8s:tier=y", "reserved:unmanaged", "container:app=x")

RESOLVER = {
    "namespace": "kube-system",
    "service_account": "coredns",
    "labels": {"k8s-app": "kube-dns"},
    "named_ports": [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ],
}

PODS = Table(
    "pod",
    {
        "plain": (50, lambda draw: _pod(draw, {"app": draw.one(("x", "y"))})),
        "two labels": (15, lambda draw: _pod(draw, {"app": draw.one(("x", "y")), "tier": draw.one(("x", "y"))})),
        "bare": (10, lambda draw: _pod(draw, {})),
        "resolver": (15, always(RESOLVER)),
        "named ports": (25, lambda draw: _pod(draw, {"app": "x"}) | {"named_ports": _named_ports(draw)}),
        "forged trusted keys": (
            8,
            lambda draw: _pod(draw, {"app": "x", NAMESPACE: "a", ACCOUNT: "worker", "io.cilium.k8s.x": "1"}),
        ),
        "filtered keys": (
            8,
            lambda draw: _pod(draw, {"pod-template-hash": "x", "kubernetes.io/x": "x", "app.kubernetes.io/name": "x"}),
        ),
        "another cluster": (5, lambda draw: _pod(draw, {"app": "x"}) | {"cluster": "east"}),
        "entity's label": (2, lambda draw: _pod(draw, {"host": "", "app": "x"})),
    },
)

PEERS = Table(
    "party",
    {
        "pod": (60, lambda draw: draw.shape(PODS)),
        "entity": (20, lambda draw: {"entity": draw.one(ENTITIES)}),
        "address": (20, lambda draw: {"ip": draw.one(ADDRESSES)}),
        "address with names": (15, lambda draw: {"ip": draw.one(ADDRESSES), "names": draw.some(_LEARNED)}),
        "names": (10, lambda draw: {"names": draw.some(_LEARNED)}),
        "labels as they are": (
            4,
            lambda draw: {"raw": [*draw.some(_RAW, most=3), f"k8s:{CLUSTER}=default"], "endpoint": draw.chance(0.7)},
        ),
        "node with labels": (5, lambda draw: {"entity": draw.one(ENTITIES[:2]), "node_labels": {"app": "x"}}),
        "API server outside": (4, always({"ip": "203.0.113.9", "kube_apiserver": True})),
    },
)

CONFIGS = Table(
    "config",
    {
        "default": (60, always({})),
        "dual stack": (25, always({"ipv6": True})),
        "any cluster": (8, always({"any_cluster": True})),
        "policy decides about the host": (10, always({"allow_localhost": "policy"})),
        "another name": (4, always({"cluster": "east"})),
        "host firewall": (8, always({"host_firewall": True})),
        "always enforced": (4, always({"enforcement": "always"})),
        "never enforced": (3, always({"enforcement": "never"})),
        "no v4": (2, always({"ipv4": False, "ipv6": True})),
        "no proxy": (2, always({"l7_proxy": False})),
        "no icmp rules": (2, always({"icmp_rules": False})),
        "every rule denies by default": (3, always({"non_default_deny": False})),
        "labels left out": (3, always({"label_prefixes": ["!k8s:tier", "!app"]})),
        "labels listed": (3, always({"label_prefixes": ["k8s:io.kubernetes.pod.namespace", "app"]})),
    },
)

TABLES = (PODS, PEERS, CONFIGS)


def parties(draw: Draw) -> dict[str, Any]:
    """Peers by name: a resolver and at least two pods that policies can apply to; all nodes carry one set of labels."""
    made = [
        RESOLVER,
        draw.shape(PODS),
        draw.shape(PODS),
        *draw.times(lambda again: again.shape(PEERS), least=3, most=8),
    ]
    labelled = {peer["entity"]: peer for peer in made if "node_labels" in peer}
    return {f"p{index}": labelled.get(peer.get("entity"), peer) for index, peer in enumerate(made)}


def surroundings(draw: Draw) -> dict[str, Any]:
    """What a world holds beside policies and peers."""
    learned = {address: draw.some(_LEARNED) for address in draw.some(ADDRESSES, least=0, most=3)}
    return {"config": draw.shape(CONFIGS), "namespaces": NAMESPACES, "dns": learned}


def asked_name(draw: Draw) -> str:
    """A name that a pod asks its resolver for."""
    return draw.one((*NAMES, "ax.example.com", "y.x.a.example.com", "example.com", "a.b.com", "other.test"))


def _pod(draw: Draw, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "namespace": draw.one(("a", "a", "b", "kube-system")),
        "service_account": draw.one(ACCOUNTS),
        "labels": labels,
    }


def _named_ports(draw: Draw) -> list[dict[str, Any]]:
    picked = draw.some(_NAMED_PORTS)
    return list({each["name"]: each for each in picked}.values())
