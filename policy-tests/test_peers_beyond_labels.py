"""Groups of addresses, named ports, nodes, and the identities that stand for whole groups, as in Cilium's engine."""

import json
from typing import Any

import pytest
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document
from isolation.policies.parsing import parse_policy
from isolation.worlds.answering import answers

Body = dict[str, Any]
GROUPS: Body = {
    "lan": {"cidrs": ["10.0.0.0/16"], "labels": {"zone": "in"}},
    "wan": {"cidrs": ["10.0.0.0/8"], "labels": {"zone": "out", "fast": "yes"}},
}
PEERS: Body = {
    "a": {"namespace": "a", "named_ports": [{"name": "web", "port": 8080, "protocol": "TCP"}]},
    "b": {"namespace": "b", "named_ports": [{"name": "web", "port": 9090, "protocol": "TCP"}]},
    "both": {"ip": "10.0.0.1"},
    "wan": {"ip": "10.9.0.1"},
    "neither": {"ip": "192.0.2.1"},
    "host": {"entity": "host"},
}


def policy(spec: Body, kind: str = "CiliumClusterwideNetworkPolicy") -> Body:
    return {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": {"name": "p"}, "spec": spec}


def opened(spec: Body, source: str, *, port: int = 80, **config: Any) -> set[str]:
    """Peers to which the source's egress is open."""
    world = {"type": "world", "config": config, "policies": [policy(spec)], "peers": PEERS, "cidr_groups": GROUPS}
    flows = [{"from": source, "to": name, "port": port, "direction": "egress"} for name in PEERS]
    _, *found = answers(map(json.dumps, (world, *flows)))
    return {name for name, answer in zip(PEERS, found, strict=True) if answer["verdict"] == "allow"}


def term(key: str, operator: str, *values: str) -> Body:
    return {"cidrGroupSelector": {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}}


@pytest.mark.parametrize(
    ("item", "selected"),
    [
        ({"cidrGroupRef": "lan"}, {"both"}),
        ({"cidrGroupRef": "wan"}, {"both", "wan"}),
        ({"cidrGroupRef": "wan", "except": ["10.9.0.0/16"]}, {"both"}),
        ({"cidrGroupRef": "gone"}, set()),
        ({"cidrGroupSelector": {"matchLabels": {"zone": "in"}}}, {"both"}),
        (term("zone", "In", "out"), {"both", "wan"}),
        (term("zone", "NotIn", "in"), {"wan", "neither"}),
        (term("fast", "Exists"), {"both", "wan"}),
        (term("fast", "DoesNotExist"), {"neither"}),
    ],
)
def test_a_group_is_asked_by_all_labels_of_an_address_and_never_selects_pods(item: Body, selected: set[str]) -> None:
    assert opened({"endpointSelector": {}, "egress": [{"toCIDRSet": [item]}]}, "a") == selected


def test_an_empty_selector_of_groups_is_refused_because_the_engine_confuses_it() -> None:
    spec: Body = {"endpointSelector": {}, "egress": [{"toCIDRSet": [{"cidrGroupSelector": {}}]}]}
    with pytest.raises(Refused, match="an empty cidrGroupSelector"):
        parse_policy(Document("p.yaml", policy(spec), {}), cluster="default", strict=False)


@pytest.mark.parametrize(("number", "reached"), [(8080, {"a"}), (9090, {"b"}), (80, set())])
def test_a_named_port_of_egress_is_the_number_that_each_destination_gives_it(number: int, reached: set[str]) -> None:
    named = {"toEndpoints": [{}], "toPorts": [{"ports": [{"port": "WEB", "protocol": "TCP"}]}]}
    assert opened({"endpointSelector": {}, "egress": [named]}, "a", port=number) == reached


@pytest.mark.parametrize(("subject", "number", "is_open"), [("a", 8080, True), ("a", 9090, False), ("b", 9090, True)])
def test_a_named_port_of_ingress_is_the_pods_own(subject: str, number: int, *, is_open: bool) -> None:
    named = {"toPorts": [{"ports": [{"port": "web", "protocol": "TCP"}]}]}
    world = {"type": "world", "policies": [policy({"endpointSelector": {}, "ingress": [named]})], "peers": PEERS}
    flow = {"from": "wan", "to": subject, "port": number, "direction": "ingress"}
    *_, answer = answers(map(json.dumps, (world, flow)))
    assert (answer["verdict"] == "allow") is is_open


def test_a_policy_on_nodes_acts_only_with_the_host_firewall_and_never_on_pods() -> None:
    spec: Body = {"nodeSelector": {}, "egress": [{"toCIDR": ["10.9.0.0/16"]}]}
    assert opened(spec, "host", host_firewall=True) == {"wan"}
    assert opened(spec, "host") == opened(spec, "a", host_firewall=True) == set(PEERS)


def test_a_policy_on_pods_never_acts_on_nodes() -> None:
    assert opened({"endpointSelector": {}, "egress": [{}]}, "host", host_firewall=True) == set(PEERS)


def test_terms_that_are_all_negative_select_every_pod_and_address_by_the_identity_of_their_group() -> None:
    selector = {
        "matchExpressions": [
            {"key": "reserved:host", "operator": "DoesNotExist"},
            {"key": "io.kubernetes.pod.namespace", "operator": "DoesNotExist"},
        ]
    }
    spec = {"endpointSelector": {}, "egress": [{"toEndpoints": [selector]}]}
    assert opened(spec, "a") == set(PEERS) - {"host"}
