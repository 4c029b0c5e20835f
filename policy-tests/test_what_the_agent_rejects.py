"""The agent's own checks, ported: what it rejects is lost as a whole."""

from collections.abc import Mapping
from typing import Any

import pytest
from isolation.policies.agent import Agent
from mutants.policy_bodies import DNS, ENTITY, HTTP, Body, body, egress, expression, parsed, peer, port, rejections

REJECTED: dict[str, tuple[Body, str]] = {
    "no name": (egress(ENTITY) | {"metadata": {"namespace": "a"}}, "metadata.name: is missing"),
    "nothing in it": (body(), "neither spec nor specs"),
    "null in specs": (body(specs=[None]), "specs[0]: is null"),
    "wrong type": (egress(port(80)), "spec.egress[0].toPorts[0].ports[0].port: 80 is no string"),
    "text as number": (egress(port(more={"endPort": "90"})), "endPort: '90' is no whole number"),
    "too large": (egress(port(more={"endPort": 1 << 40})), "is no whole number"),
    "no selector": (body({"egress": [ENTITY]}), "no endpointSelector"),
    "two selectors": (egress(ENTITY, nodeSelector={}), "endpointSelector and nodeSelector"),
    "null as a second selector": (egress(ENTITY, nodeSelector=None), "endpointSelector and nodeSelector"),
    "nodes in a namespace": (body({"nodeSelector": {}, "egress": [ENTITY]}), "nodeSelector in a namespaced policy"),
    "label without key": (egress(ENTITY, labels=[{"value": "x"}]), "a label without `key`"),
    "two kinds": (egress(ENTITY | {"toCIDR": ["10.0.0.0/8"]}), "toEntities and toCIDR in one rule"),
    "names and ranges": (
        egress({"toFQDNs": [{"matchName": "a"}], "toCIDRSet": [{"cidr": "10.0.0.0/8"}]}),
        "toCIDRSet and toFQDNs in one rule",
    ),
    "services and pods": (egress({"toServices": [{}], "toEndpoints": [{}]}), "toEndpoints and toServices"),
    "nodes": (egress({"toNodes": [{}]}), "needs the option enable-node-selector-labels"),
    "requirements": (egress({"toRequires": [{"matchLabels": {}}]}), "is no string"),
    "entity": (egress({"toEntities": ["World"]}), "unknown entity 'World'"),
    "value": (peer(matchLabels={"app": "x y"}), "'x y' is no label value"),
    "long value": (peer(matchLabels={"app": "x" * 64}), "is no label value"),
    "key": (peer(matchLabels={"-app": "x"}), "has a name that is no word"),
    "two slashes": (peer(matchLabels={"a/b/c": "x"}), "has two slashes"),
    "prefix": (peer(matchLabels={"A.b/c": "x"}), "has a prefix that is no DNS name"),
    "two colons": (peer(matchLabels={"k8s:a:b": "x"}), "has two colons"),
    "no source": (peer(matchLabels={":a": "x"}), "has a source that is not of letters and digits"),
    "operator": (peer(**expression("app", "Gt", "1")), "'Gt' is no operator"),
    "In without values": (peer(**expression("app", "In")), "In with 0 values"),
    "Exists with values": (peer(**expression("app", "Exists", "x")), "Exists with 1 values"),
    "no range": (egress({"toCIDR": ["10.0.0/8"]}), "'10.0.0/8' is no range"),
    "netmask": (egress({"toCIDR": ["10.0.0.0/255.0.0.0"]}), "is no range"),
    "zone": (egress({"toCIDR": ["fe80::1%eth0"]}), "is no range"),
    "bare address in a set": (egress({"toCIDRSet": [{"cidr": "10.0.0.1"}]}), "has no prefix length"),
    "empty item of a set": (egress({"toCIDRSet": [{}]}), "no cidr"),
    "range and group": (
        egress({"toCIDRSet": [{"cidr": "10.0.0.0/8", "cidrGroupRef": "g"}]}),
        "cidr and cidrGroupRef",
    ),
    "except outside": (
        egress({"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}]}),
        "except '11.0.0.0/8' is not inside",
    ),
    "except of the other family": (
        egress({"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["2001:db8::/32"]}]}),
        "is not inside",
    ),
    "name and pattern": (egress({"toFQDNs": [{"matchName": "a", "matchPattern": "*"}]}), "matchName and matchPattern"),
    "characters of a name": (egress({"toFQDNs": [{"matchName": "a b"}]}), "matchName 'a b' holds more than"),
    "characters of a pattern": (egress({"toFQDNs": [{"matchPattern": "[a]"}]}), "matchPattern '[a]' holds more than"),
    "long pattern": (egress({"toFQDNs": [{"matchPattern": "*" * 256}]}), "is longer than 255"),
    "no port": (egress({"toPorts": [{"ports": [{"protocol": "TCP"}]}]}), "`port` is missing"),
    "port above": (egress(port("65536")), "above 65535"),
    "no octal": (egress(port("09")), "'09' is no port"),
    "name too long": (egress(port("a-name-of-sixteen")), "is no port"),
    "dashes": (egress(port("a--b")), "'a--b' is no port"),
    "41 ports": (egress({"toPorts": [{"ports": [{"port": "80"}] * 41}]}), "41 ports are more than 40"),
    "protocol": (egress(port(protocol="ICMP")), "protocol 'ICMP' is none of"),
    "GRE with a port": (egress(port(protocol="GRE")), "port 80 of GRE"),
    "icmps and ports": (egress(port() | {"icmps": [{"fields": [{"type": 8}]}]}), "icmps and toPorts in one rule"),
    "icmp family": (egress({"icmps": [{"fields": [{"type": 8, "family": "v4"}]}]}), "family 'v4' is none of"),
    "icmp name": (egress({"icmps": [{"fields": [{"type": "Ping"}]}]}), "'Ping' is no type of IPv4"),
    "icmp name of the other family": (
        egress({"icmps": [{"fields": [{"type": "Echo", "family": "IPv6"}]}]}),
        "'Echo' is no type of IPv6",
    ),
    "icmp without type": (egress({"icmps": [{"fields": [{}]}]}), "`type` is missing"),
    "41 icmp types": (egress({"icmps": [{"fields": [{"type": 8}] * 41}]}), "41 types are more than 40"),
    "dns on ingress": (body({"endpointSelector": {}, "ingress": [port("53", rules=DNS)]}), "dns rules on ingress"),
    "dns on a range": (egress(port("53", more={"endPort": 54}, rules=DNS)), "dns rules on a range"),
    "dns without port": (egress({"toPorts": [{"rules": DNS}]}), "dns rules without a port"),
    "http on UDP": (egress(port(protocol="UDP", rules=HTTP)), "http rules on UDP"),
    "http on any": (egress(port(protocol="", rules=HTTP)), "http rules on ANY"),
    "proxy on every port": (egress(port("0", rules=HTTP)), "L7 rules on port 0"),
    "two proxies": (egress(port(rules=HTTP | DNS)), "dns and http rules on one port"),
    "an empty second proxy": (egress(port("53", rules=DNS | {"http": []})), "dns and http rules on one port"),
    "names and http": (egress(port(rules=HTTP, serverNames=["a.test"])), "serverNames and L7 rules"),
    "empty server name": (egress(port(serverNames=[""])), "serverNames holds an empty name"),
    "expression": (egress(port(rules={"http": [{"path": "("}]})), "path is no regular expression"),
    "look-ahead": (egress(port(rules={"http": [{"method": "(?=a)"}]})), "method is no regular expression"),
    "header without name": (egress(port(rules={"http": [{"headerMatches": [{}]}]})), "a header without `name`"),
    "listener and http": (egress(port(rules=HTTP, listener={"name": "x"})), "a listener and L7 rules"),
}


@pytest.mark.requirement("A24")
@pytest.mark.parametrize("name", REJECTED)
def test_the_agent_rejects(name: str) -> None:
    policy, why = REJECTED[name]
    assert why in rejections(policy)
    assert not parsed(policy).rules


def test_one_bad_rule_loses_the_whole_object() -> None:
    good = {"endpointSelector": {}, "egress": [ENTITY]}
    assert not rejections(body(good, specs=[good]))
    (fault,) = parsed(body(good, specs=[good, {"endpointSelector": {}, "egress": [{"toEntities": ["x"]}]}])).rejected
    assert fault.path == ("specs", 1, "egress", 0, "toEntities", 0)


@pytest.mark.parametrize(
    ("policy", "agent"),
    [
        (egress(port(rules=HTTP)), Agent(l7_proxy=False)),
        (egress({"icmps": [{"fields": [{"type": 8}]}]}), Agent(icmp_rules=False)),
    ],
)
def test_an_option_that_is_off_makes_a_good_policy_a_rejected_one(policy: Body, agent: Agent) -> None:
    assert not rejections(policy)
    assert "which is off" in rejections(policy, agent)


@pytest.mark.parametrize(
    ("policy", "agent"),
    [
        (egress({"toNodes": [{}]}), Agent(node_selector_labels=True)),
        (egress({"toPorts": [{"ports": [{"protocol": "GRE"}]}]}), Agent(extended_ip_protocols=True)),
    ],
)
def test_an_option_that_is_on_takes_more(policy: Body, agent: Agent) -> None:
    assert rejections(policy)
    assert not rejections(policy, agent)


def clusterwide(spec: Mapping[str, Any]) -> Body:
    return body(spec, kind="CiliumClusterwideNetworkPolicy", metadata={"name": "p"})


@pytest.mark.parametrize(
    ("section", "entry", "why"),
    [
        ("ingress", port(rules=HTTP), "L7 rules on ingress of nodes"),
        ("egress", port(rules=HTTP), "http rules on egress of nodes"),
        ("egress", port("53", rules=DNS), ""),
        ("ingress", port(), ""),
    ],
)
def test_policies_on_nodes_have_fewer_proxy_rules(section: str, entry: Body, why: str) -> None:
    faults = rejections(clusterwide({"nodeSelector": {}, section: [entry]}))
    assert why in faults
    assert bool(faults) == bool(why)


def test_a_deep_or_large_value_is_named_in_few_words() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    for value in (deep, "x" * 10_000_000, 10**5000):
        (fault,) = parsed(egress(port(value))).rejected[:1]
        assert len(str(fault)) < 500
