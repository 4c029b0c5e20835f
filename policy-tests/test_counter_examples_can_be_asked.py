"""Each counter-example about a flow or a name carries the line by which an engine can be asked, and what it answers."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from isolation.classes.cluster import Cluster, cluster_of
from isolation.manifests.tree import Document, Tree
from isolation.policies.parsing import POLICY_KINDS
from isolation.proof import INVARIANTS
from isolation.results import CounterExample
from isolation.worlds.answering import World, read_world

Body = dict[str, Any]
ASKED = ("apart", "names", "addresses", "metadata", "node-ports", "resolvers", "alive", "closed", "own-lists")
CHANGES: dict[str, Callable[[Body], object]] = {
    "acme-train/apiserver": lambda spec: spec["egress"][0]["toEntities"].append("cluster"),
    "acme-train/dns": lambda spec: spec["egress"][0]["toPorts"][0]["rules"]["dns"].append({"matchPattern": "*"}),
    "acme-train/bucket": lambda spec: spec["egress"][0].pop("toPorts"),
    "acme-train/egress": lambda spec: (spec.pop("egressDeny"), spec["egress"].append({"toCIDR": ["0.0.0.0/0"]})),
    "acme-serve/requests": lambda spec: spec["ingress"].pop(),
    "tenon-system/dns-portal": lambda spec: spec["egress"][0]["toPorts"][0].pop("rules"),
    "kafka/brokers": lambda spec: spec["ingress"].append({"fromEntities": ["world"]}),
}


def world_of(cluster: Cluster) -> World:
    tree = cluster.tree
    return read_world(
        {
            "policies": [document.body for document in tree.of_kind(*POLICY_KINDS)],
            "namespaces": {document.name: document.labels for document in tree.of_kind("Namespace")},
        }
    )


def answer(world: World, example: CounterExample) -> str:
    line: Mapping[str, Any] = example.probe or {}
    found = world.answer(line)
    return str(found["dns"] if "query" in line else found[line["direction"]]["verdict"])


@pytest.mark.parametrize("reference", CHANGES)
def test_what_a_counter_example_says_is_what_its_flow_is_answered(
    reference: str, tree: Tree, policy: Callable[[str], Document]
) -> None:
    broken = tree.changed(policy(reference), lambda body: CHANGES[reference](body["spec"]))
    cluster = cluster_of(broken)
    world = world_of(cluster)
    by_name = {ask.__name__.replace("_", "-"): ask for ask in INVARIANTS}
    examples = [example for name in ASKED for example in by_name[name](cluster).broken if example.probe]
    assert examples
    for example in examples[:: max(1, len(examples) // 40)]:
        assert answer(world, example) == example.answer, str(example)
