"""The list of what is open names what a filter lets through, and says so where there is no filter at all."""

from collections.abc import Callable

from isolation.answers.open_flows import ANY_NAME, EVERY_PORT, Kind, OpenFlow, open_flows
from isolation.classes.cluster import Cluster, cluster_of
from isolation.manifests.tree import Document, Tree

Policy = Callable[[str], Document]
HOST = "mirror.acme.example"


def flows(tree: Tree) -> set[str]:
    return {str(flow) for flow in open_flows(cluster_of(tree))}


def test_a_dns_rule_without_a_list_lets_every_name_be_asked(pair: Tree, policy: Policy) -> None:
    opened = pair.changed(policy("acme-train/dns"), lambda body: body["spec"]["egress"][0]["toPorts"][0].pop("rules"))
    assert f"acme-train/step asks {ANY_NAME}" in flows(opened) - flows(pair)


def test_a_rule_without_server_names_lets_every_server_name_pass(pair: Tree, policy: Policy) -> None:
    rule = policy("acme-train/egress")
    opened = pair.changed(rule, lambda body: body["spec"]["egress"][0]["toPorts"][0].pop("serverNames"))
    where = f"acme-train/step -> {HOST} 443/TCP by server name"
    assert f"{where} {HOST}" in flows(pair)
    assert f"{where} {ANY_NAME}" in flows(opened) - flows(pair)


def test_no_flow_of_the_rendered_tree_joins_two_tenants(cluster: Cluster) -> None:
    assert not [flow for flow in open_flows(cluster) if flow.is_crossing]


def test_a_renamed_flow_keeps_its_kind_and_port() -> None:
    flow = OpenFlow("acme-train/a", "acme-train/b", EVERY_PORT, "", Kind.FLOW, "acme", "acme")
    renamed = flow.renamed(lambda text: text.replace("acme", "globex"))
    assert str(renamed) == "globex-train/a -> globex-train/b on every port"
    assert (renamed.tenant, renamed.kind, renamed.is_crossing) == ("globex", Kind.FLOW, False)
