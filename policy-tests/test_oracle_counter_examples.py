"""Where a broken tree fails the proof, Cilium's own engine sees the counter-example: a flow that can be made there.

In the sound tree the same flow is denied, or left to a proxy that holds it to the listed server names. With a rule
without server names beside them the engine lists the same names, and Envoy may take either rule: so the broken tree's
flow counts as open.
"""

from collections.abc import Callable
from typing import Any

import pytest
from controlplane.oracle import Oracle
from differential import compare, worlds
from isolation.classes.cluster import Cluster, cluster_of
from isolation.manifests.tree import Document, Tree
from isolation.proof import INVARIANTS
from isolation.results import CounterExample

pytestmark = pytest.mark.oracle

Body = dict[str, Any]
Find = Callable[[str], Document]

NAMESPACE = "k8s:io.kubernetes.pod.namespace"
GLOBEX = {"matchLabels": {NAMESPACE: "globex-train"}}
HTTPS = {"ports": [{"port": "443", "protocol": "TCP"}]}
MOST = 200  # counter-examples of one invariant that are put to the engine


def names(spec: Body) -> list[Body]:
    found: list[Body] = spec["egress"][0]["toPorts"][0]["rules"]["dns"]
    return found


# The invariant that breaks, the policy, and what is done to it; None takes it away.
BROKEN: list[tuple[str, str, Callable[[Body], object] | None]] = [
    ("apart", "acme-train/default-deny", lambda spec: spec.update(policyTypes=["Egress"])),
    ("apart", "acme-serve/default-deny", None),
    ("apart", "acme-train/scrape", lambda spec: spec["ingress"][0]["fromEndpoints"].append(GLOBEX)),
    ("names", "acme-train/dns", lambda spec: names(spec).append({"matchPattern": "*"})),
    ("names", "acme-train/dns", lambda spec: spec["egress"][0]["toPorts"][0].pop("rules")),
    ("metadata", "/imds", None),
    ("node-ports", "acme-train/status", lambda spec: spec["egress"].append({"toEntities": ["host"]})),
    (
        "addresses",
        "acme-train/egress",
        lambda spec: spec["egress"].append({"toCIDR": ["0.0.0.0/0"], "toPorts": [HTTPS]}),
    ),
    ("closed", "kafka/default-deny", None),
    ("closed", "acme-train/status", lambda spec: spec["egress"].append({"toPorts": [HTTPS]})),
    ("alive", "storage/s3-acme", None),
    ("alive", "acme-train/dns", lambda spec: names(spec).clear()),
]


def broken(tree: Tree, document: Document, change: Callable[[Body], object] | None) -> Tree:
    return tree.without(document) if change is None else tree.changed(document, lambda body: change(body["spec"]))


def counter_examples(cluster: Cluster, invariant: str) -> list[CounterExample]:
    (ask,) = (ask for ask in INVARIANTS if ask.__name__.replace("_", "-") == invariant)
    return [each for each in ask(cluster).broken if each.probe is not None][:MOST]


@pytest.mark.parametrize("case", BROKEN, ids=[f"{place} {row[0]} {row[1]}" for place, row in enumerate(BROKEN)])
def test_the_engine_confirms_each_counter_example_and_denies_it_of_the_whole_tree(
    case: tuple[str, str, Callable[[Body], object] | None], tree: Tree, policy: Find, oracle: Oracle
) -> None:
    invariant, reference, change = case
    cluster = cluster_of(broken(tree, policy(reference), change))
    found = counter_examples(cluster, invariant)
    assert found
    for whole, is_broken in ((cluster, True), (cluster_of(tree), False)):
        answered = compare.confirm(oracle, worlds.world_of(whole), [each.probe for each in found if each.probe])
        given = [answer.partition(" by ")[0] for answer in answered] if is_broken else answered
        pairs = zip(found, given, strict=True)
        wrong = [f"{each}: {answer}" for each, answer in pairs if (answer == each.answer) is not is_broken]
        assert not wrong[:5]
    print(f"\n{invariant} without a sound {reference}: {len(found)} counter-examples confirmed", flush=True)
