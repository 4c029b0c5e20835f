"""One open policy makes an open flow of every pair of pods: the first counter-examples are kept, all are counted."""

import pytest
from isolation.classes.cluster import Cluster, cluster_of
from isolation.manifests.tree import Document, Tree
from isolation.network.flows import apart
from isolation.policies.parsing import EGRESS, INGRESS
from isolation.results import MOST, CounterExample, Result

OPEN = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumClusterwideNetworkPolicy",
    "metadata": {"name": "open"},
    "spec": {"endpointSelector": {}, "ingress": [{"fromEntities": ["all"]}], "egress": [{"toEntities": ["all"]}]},
}


@pytest.fixture(scope="module")
def opened(pair: Tree) -> Cluster:
    return cluster_of(Tree((*pair.documents, Document("open.yaml", OPEN, {}))))


def test_the_first_flows_are_told_and_every_one_is_counted(opened: Cluster) -> None:
    result = apart(opened)
    tenants = opened.classes.of_tenants
    crossing = sum(one.role.tenant != other.role.tenant for one in tenants for other in tenants)
    assert (result.found, len(result.broken), result.holds) == (2 * crossing, MOST, False)
    assert crossing > MOST


def test_what_is_said_of_peers_alike_is_what_is_decided_of_each(opened: Cluster) -> None:
    for pods in opened.classes.all[::9]:
        for side in (opened.side(pods, EGRESS), opened.side(pods, INGRESS)):
            for peer in (party.identity for party in opened.parties[::7]):
                one_by_one = tuple(port for port in opened.ports if side.verdict(peer, port).is_allowed)
                assert opened.open_ports(side, peer) == one_by_one, (pods, peer)


def test_a_bounded_result_is_as_broken_as_before() -> None:
    examples = tuple(CounterExample(f"pod {number}", "is open") for number in range(MOST + 2))
    result = Result("any", "a claim", 1, examples, more=3).bounded
    assert (len(result.broken), result.more, result.found, result.holds) == (MOST, 5, MOST + 5, False)


def test_no_more_than_the_bound_is_left_as_it_is() -> None:
    result = Result("any", "a claim", 1, (CounterExample("pod", "is open"),) * MOST)
    assert result.bounded is result
