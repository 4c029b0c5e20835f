"""The oracle is only as good as its use of the engine's parts: the engine's own function for a whole flow checks it,
and settings and kinds that the judge does not know do there what Cilium documents.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from controlplane.oracle import Oracle
from differential import worlds
from isolation.classes.cluster import Cluster

pytestmark = pytest.mark.oracle

CASES = Path(__file__).parent / "cases"
Line = dict[str, Any]


def policy(kind: str, name: str, spec: Line, *, namespace: str | None = None) -> Line:
    version = "policy.networking.k8s.io/v1alpha2" if kind == "ClusterNetworkPolicy" else "cilium.io/v2"
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def egress(*rules: Line) -> Line:
    return policy("CiliumNetworkPolicy", "p", {"endpointSelector": {}, "egress": list(rules)}, namespace="a")


def verdicts(oracle: Oracle, world: Line, *flows: Line) -> list[str]:
    return [answer["verdict"] for answer in oracle.ask([{"type": "world"} | world, *flows])[1:]]


def flow(source: Line, destination: Line, port: int = 80) -> Line:
    return {"from": source, "to": destination, "port": port}


def disagreements(oracle: Oracle, lines: list[Line]) -> tuple[int, list[Line]]:
    """Flows of which the engine's own LookupFlow says otherwise, and how many sides were compared."""
    answers = [each for each in oracle.ask([line | {"lookup": True} for line in lines]) if "lookup" in each]
    sides = [(each, side) for each in answers for side in ("egress", "ingress") if side in each["lookup"]]
    return len(sides), [each for each, side in sides if each[side]["verdict"] != each["lookup"][side]]


@pytest.mark.parametrize("file", sorted(path.name for path in CASES.glob("*.jsonl")))
def test_the_engines_own_lookup_says_the_same_of_every_case(file: str, oracle: Oracle) -> None:
    lines = [json.loads(line) for line in (CASES / file).read_text(encoding="utf-8").splitlines()]
    sides, wrong = disagreements(oracle, lines)
    print(f"\n{file}: {sides} sides looked up, {len(wrong)} different", flush=True)
    assert sides
    assert not wrong


def test_the_engines_own_lookup_says_the_same_of_the_rendered_tree(cluster: Cluster, oracle: Oracle) -> None:
    flows = list(worlds.flows_of(cluster))[::29]
    sides, wrong = disagreements(oracle, [worlds.world_of(cluster), *flows])
    print(f"\ntree: {sides} sides looked up, {len(wrong)} different", flush=True)
    assert sides > 1000
    assert not wrong


@pytest.mark.parametrize(
    "peer", [{"cidrGroupRef": "corp"}, {"cidrGroupSelector": {"matchLabels": {"team": "x"}}}], ids=["name", "label"]
)
def test_a_group_of_ranges_is_selected_by_its_name_and_by_its_labels(peer: Line, oracle: Oracle) -> None:
    groups = {"corp": {"cidrs": ["192.0.2.0/24"], "labels": {"team": "x"}}}
    world = {"cidr_groups": groups, "policies": [egress({"toCIDRSet": [peer]})]}
    flows = [flow({"namespace": "a"}, {"ip": address}) for address in ("192.0.2.9", "192.0.3.9")]
    assert verdicts(oracle, world, *flows) == ["allow", "deny"]


def test_an_admins_accept_beats_a_namespaces_deny(oracle: Oracle) -> None:
    accept = {"action": "Accept", "to": [{"networks": ["198.51.100.0/24"]}]}
    admin = policy("ClusterNetworkPolicy", "k", {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}})
    admin["spec"]["egress"] = [accept]
    denied = policy("CiliumNetworkPolicy", "d", {"endpointSelector": {}}, namespace="a")
    denied["spec"]["egressDeny"] = [{"toCIDR": ["0.0.0.0/0"]}]
    flows = [flow({"namespace": "a"}, {"ip": address}) for address in ("198.51.100.9", "192.0.3.9")]
    assert verdicts(oracle, {"policies": [admin, denied]}, *flows) == ["allow", "deny"]


def test_a_label_that_the_clusters_filter_leaves_out_selects_nobody(oracle: Oracle) -> None:
    spec = {"endpointSelector": {}, "egress": [{"toEndpoints": [{"matchLabels": {"app": "x"}}]}]}
    world = {"policies": [policy("CiliumNetworkPolicy", "p", spec, namespace="a")]}
    asked = flow({"namespace": "a"}, {"namespace": "a", "labels": {"app": "x"}})
    assert verdicts(oracle, world, asked) == ["allow"]
    kept = {"label_prefixes": ["k8s:io.kubernetes.pod.namespace"]}
    assert verdicts(oracle, world | {"config": kept}, asked) == ["deny"]


def test_the_node_is_under_policies_with_the_host_firewall_only(oracle: Oracle) -> None:
    spec = {"nodeSelector": {"matchLabels": {"role": "edge"}}, "ingress": [{"fromEntities": ["cluster"]}]}
    world = {"policies": [policy("CiliumClusterwideNetworkPolicy", "n", spec)]}
    nodes = [{"entity": "host", "node_labels": {"role": role}} for role in ("edge", "inner")]
    flows = [flow({"ip": "192.0.2.9"}, node) for node in nodes]
    assert verdicts(oracle, world, *flows) == ["allow", "allow"]
    assert verdicts(oracle, world | {"config": {"host_firewall": True}}, *flows) == ["deny", "allow"]


def test_enforcement_can_be_had_always_and_never(oracle: Oracle) -> None:
    asked = flow({"namespace": "a"}, {"namespace": "b"})
    shut = {"policies": [egress({})]}
    assert verdicts(oracle, {"policies": [], "config": {"enforcement": "always"}}, asked) == ["deny"]
    assert verdicts(oracle, shut | {"config": {"enforcement": "never"}}, asked) == ["allow"]


def test_a_selector_of_absent_labels_wins_by_the_identity_that_stands_for_all_addresses(oracle: Oracle) -> None:
    """The packet goes to the DNS proxy, which looks at the server's own identity and lets no name pass."""
    absent = {"matchExpressions": [{"key": "reserved:world", "operator": "DoesNotExist"}]}
    ports = [{"ports": [{"port": "53", "protocol": "UDP"}], "rules": {"dns": [{"matchPattern": "*"}]}}]
    listed = {"toCIDR": ["9.9.9.0/24"], "toPorts": [{"ports": [{"port": "99"}]}]}
    spec = {"endpointSelector": {}, "egress": [{"toEndpoints": [absent], "toPorts": ports}, listed]}
    world = {"type": "world", "policies": [policy("CiliumClusterwideNetworkPolicy", "p", spec)]}
    asked = {"from": {"namespace": "a"}, "to": {"ip": "9.9.9.9"}, "port": 53, "protocol": "UDP", "query": "example.com"}
    _, answer = oracle.ask([world, asked])
    assert (answer["verdict"], answer["dns"]) == ("allow", "refused")
    assert [rules["parser"] for rules in answer["egress"]["l7"]] == ["dns"]


@pytest.mark.parametrize("config", [{"enforcement": "now"}, {"allow_localhost": "auto"}, {"cluster": 1}])
def test_a_setting_that_is_none_is_an_error_of_its_world(config: Line, oracle: Oracle) -> None:
    world, answer = oracle.ask([{"type": "world", "policies": [], "config": config}, flow({"raw": []}, {"raw": []})])
    assert "config" in world["error"]
    assert "no world" in answer["error"]
