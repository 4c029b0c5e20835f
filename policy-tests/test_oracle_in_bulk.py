"""The oracle's two lines for many questions say what single flows and a fresh world say."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from controlplane.oracle import Matrix, Oracle, OracleError

pytestmark = pytest.mark.oracle

PEERS = {
    "a": {"namespace": "a", "service_account": "step"},
    "b": {"namespace": "b"},
    "b-web": {"namespace": "b", "named_ports": [{"name": "web", "port": 8443, "protocol": "TCP"}]},
    "dns": {"namespace": "kube-system"},
    "host": {"entity": "host"},
    "example": {"names": ["one.example.com"]},
    "address": {"ip": "192.0.2.7"},
    "ingress": {"entity": "ingress"},
}
PORTS = [(53, "UDP"), (443, "TCP"), (8443, "TCP"), (8, "ICMP")]
DENY = {"toCIDR": ["192.0.2.0/24"]}
HTTPS = [{"port": "443", "protocol": "TCP"}]


def policy(name: str, **sections: Any) -> dict[str, Any]:
    spec = {"endpointSelector": {}, **sections}
    head = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy"}
    return {**head, "metadata": {"name": name, "namespace": "a"}, "spec": spec}


POLICIES = [
    policy("https", egress=[{"toFQDNs": [{"matchName": "one.example.com"}], "toPorts": [{"ports": HTTPS}]}]),
    policy(
        "sni",
        egress=[{"toEntities": ["world"], "toPorts": [{"ports": HTTPS, "serverNames": ["b.example", "a.example"]}]}],
    ),
    policy(
        "dns",
        egress=[
            {"toPorts": [{"ports": [{"port": "53", "protocol": "UDP"}], "rules": {"dns": [{"matchPattern": "*"}]}}]}
        ],
    ),
    policy("named", egress=[{"toEntities": ["cluster"], "toPorts": [{"ports": [{"port": "web", "protocol": "TCP"}]}]}]),
]
WORLD = {"type": "world", "policies": POLICIES, "peers": PEERS}


def matrix(oracle: Oracle, direction: str = "egress") -> Matrix:
    return oracle.matrix([*PEERS], [*PEERS], PORTS, direction=direction)


def of_single_flows(oracle: Oracle, direction: str) -> Iterator[str]:
    pairs = [(subject, peer, port) for subject, peer, port in product(PEERS, PEERS, PORTS)]
    ends = [(s, p) if direction == "egress" else (p, s) for s, p, _ in pairs]
    flows = [
        {"from": source, "to": destination, "port": port, "protocol": protocol, "direction": direction}
        for (source, destination), (_, _, (port, protocol)) in zip(ends, pairs, strict=True)
    ]
    for answer in oracle.ask(flows):
        side = answer[direction]
        yield "redirect" if side.get("redirect") else side["verdict"]


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_a_cell_is_the_single_flows_verdict(oracle: Oracle, direction: str) -> None:
    oracle.ask([WORLD])
    cells = [value.split(" ")[0] for value in matrix(oracle, direction).verdicts()]
    assert cells == list(of_single_flows(oracle, direction))


def test_a_redirects_value_tells_what_the_proxy_gets(oracle: Oracle) -> None:
    oracle.ask([WORLD])
    assert set(matrix(oracle).values) == {"allow", "deny", "redirect dns", "redirect tls a.example,b.example"}


@pytest.mark.parametrize(
    "changed",
    [
        policy("sni", egress=[{"toEntities": ["all"]}]),
        policy("https", egress=[{"toFQDNs": [{"matchPattern": "*.example.com"}]}], egressDeny=[DENY]),
        policy("more", egress=[{"toCIDR": ["192.0.2.7/32"]}]),
        policy("dns", egress=[]),  # rejected, so that nothing of that name is left
        policy("in", ingress=[{}]),
    ],
    ids=["widened", "other names and ranges", "added", "rejected", "other direction"],
)
def test_a_world_with_a_policy_replaced_is_a_fresh_world_with_it(oracle: Oracle, changed: dict[str, Any]) -> None:
    name = changed["metadata"]["name"]
    oracle.ask([WORLD])
    before = [matrix(oracle, side).verdicts() for side in ("egress", "ingress")]
    oracle.replace([changed])
    replaced = [matrix(oracle, side).verdicts() for side in ("egress", "ingress")]
    identity = {"kind": "CiliumNetworkPolicy", "namespace": "a", "name": name}
    oracle.replace([each for each in POLICIES if each["metadata"]["name"] == name], removed=[identity])
    back = [matrix(oracle, side).verdicts() for side in ("egress", "ingress")]
    oracle.ask([{**WORLD, "policies": [*POLICIES, changed]}])
    assert replaced == [matrix(oracle, side).verdicts() for side in ("egress", "ingress")]
    assert replaced != before == back


def test_names_are_filtered_anew_after_a_replacement(oracle: Oracle) -> None:
    query = {"from": "a", "to": "dns", "port": 53, "protocol": "UDP", "query": "other.example"}
    ports = [{"ports": [{"port": "53", "protocol": "UDP"}], "rules": {"dns": [{"matchName": "one.example.com"}]}}]
    _, first = oracle.ask([WORLD, query])
    oracle.replace([policy("dns", egress=[{"toPorts": ports}])])
    (second,) = oracle.ask([query])
    assert (first["dns"], second["dns"]) == ("answered", "refused")


def test_a_policy_that_cannot_be_merged_is_an_error_of_its_subjects_only(oracle: Oracle) -> None:
    http = policy("a", egress=[{"toPorts": [{"ports": HTTPS, "rules": {"http": [{}]}}], "toEntities": ["world"]}])
    oracle.ask([WORLD])
    oracle.replace([http])
    found = matrix(oracle)
    per_subject = len(PEERS) * len(PORTS)
    assert set(found.verdicts()[:per_subject]) == {"error"}
    assert "error" not in found.verdicts()[per_subject:]
    assert "cannot merge" in found.error


def test_what_the_engine_cannot_be_asked_is_refused(oracle: Oracle) -> None:
    node = {"raw": ["reserved:host", "reserved:kube-apiserver"], "endpoint": False}
    oracle.ask([{**WORLD, "peers": {**PEERS, "node": node}}])
    for subjects, peers, port in (("a", "nobody", 1), ("a", "b", 0), ("node", "host", 1)):
        with pytest.raises(OracleError):
            oracle.matrix([subjects], [peers], [(port, "TCP")], direction="egress")
    assert oracle.matrix(["a"], ["node"], [(1, "TCP")], direction="egress").verdicts() == ["deny"]
