"""Adding or removing a tenant changes no verdict among the others: by the shape of its rules, and by trying."""

from itertools import product

import pytest
from isolation.classes.cluster import Cluster, cluster_of
from isolation.manifests.tree import Tree
from isolation.network.monotone import monotone
from isolation.policies.parsing import EGRESS, INGRESS


def flows(cluster: Cluster) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """What is open, side by side, for every class that denies by default; the others are open to all."""
    return {
        (str(pods), direction): {
            (str(other), str(port)) for other, ports in cluster.reached(pods, direction) for port in ports
        }
        if cluster.side(pods, direction).denies_by_default
        else {("everyone", "every port")}
        for pods, direction in product(cluster.classes.all, (EGRESS, INGRESS))
    }


def names(cluster: Cluster) -> set[tuple[str, str]]:
    return {
        (str(pods), str(entry))
        for pods in cluster.classes.all
        for rule in cluster.side(pods, EGRESS).rules
        for entry in rule.dns or ()
    }


@pytest.mark.requirement("A24")
@pytest.mark.parametrize("gone", ["acme", "globex"])
def test_no_flow_among_the_others_changes_with_a_tenant(gone: str, tree: Tree, cluster: Cluster) -> None:
    rest = cluster_of(Tree(tuple(each for each in tree.documents if each.place[:2] != ("tenants", gone))))
    parties = {str(party) for party in rest.parties} | {"everyone"}
    ports = {str(port) for port in cluster.ports} & {str(port) for port in rest.ports} | {"every port"}
    before, after = flows(cluster), flows(rest)
    for side in after:
        kept = [{flow for flow in each[side] if flow[0] in parties and flow[1] in ports} for each in (before, after)]
        assert kept[0] == kept[1], side
    lost = names(cluster) ^ names(rest)
    assert all(gone in pods or pods == "tenon-system/webhooks" for pods, _ in lost)


def test_attachments_to_the_platforms_pods_are_listed(cluster: Cluster) -> None:
    found = " ".join(monotone(cluster).evidence)
    assert "acme attaches" in found
    assert "to tenon-system/webhooks" in found
