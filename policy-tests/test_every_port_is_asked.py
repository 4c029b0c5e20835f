"""What rules tell apart by port, protocol or type of ICMP is asked; what cannot be asked is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from isolation.classes.cluster import Cluster
from isolation.manifests.tree import Document, Tree
from isolation.policies.ports import EXTENDED, Port

Find = Callable[[str], Document]
Breaks = Callable[[Tree, str], bool]
TRAIN = {"matchLabels": {"k8s:io.cilium.k8s.namespace.labels.tenon.dev/plane": "train"}}


def widened(tree: Tree, document: Document, item: dict[str, Any], *, to: dict[str, Any]) -> Tree:
    """The tree in which a policy's pods also reach those that `to` selects, by one item of an egress rule."""
    entry = {"toEndpoints": [to], **item}
    return tree.changed(document, lambda body: body["spec"]["egress"].append(entry))


@pytest.mark.requirement("A20")
@pytest.mark.parametrize(("family", "number"), [("IPv4", 13), ("IPv6", 135), ("IPv4", 254), ("IPv4", 255)])
def test_a_type_of_icmp_that_only_one_rule_names_is_asked_of_every_pod(
    family: str, number: int, pair: Tree, policy: Find, breaks: Breaks
) -> None:
    item = {"icmps": [{"fields": [{"family": family, "type": number}]}]}
    assert breaks(widened(pair, policy("acme-train/ranks"), item, to=TRAIN), "apart")


def test_a_type_that_no_rule_names_is_asked_of_each_family(cluster: Cluster) -> None:
    for protocol, echo in (("ICMP", 8), ("ICMPv6", 128)):
        asked = [port for port in cluster.ports if port.protocol == protocol]
        assert Port(echo, protocol) in asked
        assert len(asked) > 1


@pytest.mark.parametrize("protocol", [*EXTENDED, "gre"])
def test_a_protocol_without_ports_is_in_no_tree_that_is_proved(
    protocol: str, pair: Tree, policy: Find, breaks: Breaks
) -> None:
    item = {"toPorts": [{"ports": [{"port": "0", "protocol": protocol}]}]}
    assert breaks(widened(pair, policy("acme-train/ranks"), item, to=TRAIN), "unambiguous")
