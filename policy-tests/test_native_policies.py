"""Kubernetes' own NetworkPolicy, as Cilium translates it: it allows, and beside Cilium's kinds the allows add up."""

import json
from typing import Any

import pytest
from isolation.manifests.tree import Document
from isolation.policies.parsing import parse_policy
from isolation.worlds.answering import answers

Body = dict[str, Any]
PEERS: Body = {
    "a": {"namespace": "a", "labels": {"app": "x"}, "named_ports": [{"name": "web", "port": 8080, "protocol": "TCP"}]},
    "b": {"namespace": "b", "labels": {"app": "y"}},
    "far": {"namespace": "a", "cluster": "elsewhere"},
    "inside": {"ip": "10.1.0.1"},
    "excepted": {"ip": "10.2.0.1"},
}


def policy(spec: Body) -> Body:
    metadata = {"name": "p", "namespace": "a"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {"podSelector": {}} | spec,
    }


def opens(spec: Body, source: str, destination: str, port: int = 80, protocol: str = "TCP") -> bool:
    direction = "ingress" if destination == "a" else "egress"
    world = {"type": "world", "policies": [policy(spec)], "peers": PEERS, "namespaces": {"b": {"team": "blue"}}}
    flow = {"from": source, "to": destination, "port": port, "protocol": protocol, "direction": direction}
    *_, answer = answers(map(json.dumps, (world, flow)))
    return bool(answer["verdict"] == "allow")


@pytest.mark.parametrize(
    ("peer", "admitted"),
    [
        ({}, {"a"}),
        ({"podSelector": {}}, {"a"}),
        ({"podSelector": {"matchLabels": {"app": "y"}}}, set()),
        ({"namespaceSelector": {}}, {"a", "b"}),
        ({"namespaceSelector": {"matchLabels": {"team": "blue"}}}, {"b"}),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "b"}}}, set()),
        ({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "x"}}}, {"a"}),
        ({"podSelector": {"matchLabels": {"io.kubernetes.pod.namespace": "b"}}}, {"a"}),
        (
            {"podSelector": {"matchExpressions": [{"key": "io.cilium.k8s.policy.cluster", "operator": "Exists"}]}},
            {"a", "far"},
        ),
        ({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.2.0.0/16"]}}, {"inside"}),
    ],
)
def test_a_peer_admits_these(peer: Body, admitted: set[str]) -> None:
    assert {name for name in PEERS if opens({"ingress": [{"from": [peer]}]}, name, "a")} == admitted


@pytest.mark.parametrize("entry", [{}, {"from": []}, {"from": None, "ports": []}])
def test_an_entry_without_peers_and_ports_admits_everyone(entry: Body) -> None:
    assert all(opens({"ingress": [entry]}, name, "a", 8, "ICMP") for name in PEERS)


@pytest.mark.parametrize(
    ("ports", "port", "protocol", "is_open"),
    [
        ([{"port": 80}], 80, "TCP", True),
        ([{"port": 80}], 80, "UDP", False),
        ([{"protocol": "UDP"}], 9, "UDP", True),
        ([{"port": 80, "endPort": 90}], 85, "TCP", True),
        ([{"port": 80, "endPort": 90}], 91, "TCP", False),
        ([{"port": "web"}], 8080, "TCP", True),
        ([{"port": "web"}], 80, "TCP", False),
        ([{"port": "other"}], 8080, "TCP", False),
        ([{"port": 80}], 8, "ICMP", False),
    ],
)
def test_ports_are_tcp_numbers_ranges_and_names(ports: list[Body], port: int, protocol: str, *, is_open: bool) -> None:
    assert opens({"ingress": [{"ports": ports}]}, "b", "a", port, protocol) is is_open


@pytest.mark.parametrize(
    ("spec", "shut"),
    [
        ({}, {"ingress"}),
        ({"policyTypes": ["Ingress"]}, {"ingress"}),
        ({"policyTypes": ["Egress"]}, {"egress"}),
        ({"policyTypes": ["Ingress", "Egress"]}, {"ingress", "egress"}),
        ({"egress": [{}]}, {"ingress"}),
        ({"egress": [], "ingress": []}, {"ingress"}),
        ({"policyTypes": ["Egress"], "ingress": [{"from": [{"podSelector": {}}]}]}, {"egress", "ingress"}),
    ],
)
def test_a_direction_is_shut_by_its_type_or_its_entries(spec: Body, shut: set[str]) -> None:
    found = {"ingress"} if not opens(spec, "b", "a") else set()
    assert found | ({"egress"} if not opens(spec, "a", "b") else set()) == shut


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"ingress": [{"from": [{}]}]}, "has no selector"),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]}, "podSelector and ipBlock"),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.1"}}]}]}, "has no prefix length"),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/9"]}}]}]}, "is no part of"),
        ({"ingress": [{"ports": [{"port": 80, "endPort": 70}]}]}, "endPort 70 without a lower number"),
        ({"ingress": [{"ports": [{"port": "my_port"}]}]}, "is no name of lower case"),
        ({"ingress": [{"ports": [{"port": 70000}]}]}, "is not within"),
        ({"podSelector": {"matchLabels": {"k8s:app": "x"}}}, "has a source"),
        ({"policyTypes": ["ingress"]}, "is neither Ingress nor Egress"),
    ],
)
def test_what_the_api_server_refuses_is_named(spec: Body, why: str) -> None:
    parsed = parse_policy(Document("p.yaml", policy(spec), {}), cluster="default")
    assert why in " ".join(map(str, parsed.schema_faults))
    assert not parsed.rejected


@pytest.mark.parametrize(
    "entry", [{"ports": [{"protocol": "ICMP"}]}, {"from": [{"ipBlock": {"cidr": "x"}}]}, {"from": [{"ipBlock": {}}]}]
)
def test_what_the_agent_cannot_read_enforces_nothing(entry: Body) -> None:
    parsed = parse_policy(Document("p.yaml", policy({"ingress": [entry]}), {}), cluster="default")
    assert parsed.rejected
    assert not parsed.rules
