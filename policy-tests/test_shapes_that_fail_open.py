"""The fail-open catalogue: what each shape of a rule selects, asked of Cilium's engine 1.20.2 and written down here."""

from typing import Any

import pytest
from isolation.manifests.tree import Document
from isolation.policies.parsing import Parsed, Rule, parse_policy

EVERYONE, NO_ONE, SOMEONE = "everyone", "no one", "someone"

Body = dict[str, Any]
PORTS: Body = {"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]}


def parsed(spec: Body, *, kind: str = "CiliumNetworkPolicy", strict: bool = False) -> Parsed:
    metadata = {"name": "p"} | ({} if "Clusterwide" in kind else {"namespace": "a"})
    body = {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata, "spec": spec}
    return parse_policy(Document("p.yaml", body, {}), cluster="default", strict=strict)


def egress(*entries: Any) -> Parsed:
    return parsed({"endpointSelector": {}, "egress": list(entries)})


def only(made: Parsed) -> Rule:
    assert not made.rejected
    (rule,) = made.rules
    return rule


def selected(rule: Rule) -> str:
    if rule.ports == () or rule.peers == ():
        return NO_ONE
    return EVERYONE if rule.peers is None else SOMEONE


@pytest.mark.parametrize(
    ("peers", "with_ports", "without"),
    [
        ({}, EVERYONE, NO_ONE),
        ({"toEndpoints": []}, NO_ONE, NO_ONE),
        ({"toEndpoints": None}, EVERYONE, NO_ONE),
        ({"toEntities": []}, NO_ONE, NO_ONE),
        ({"toEntities": None}, EVERYONE, NO_ONE),
        ({"toCIDR": []}, NO_ONE, NO_ONE),
        ({"toCIDR": None}, EVERYONE, NO_ONE),
        ({"toCIDRSet": []}, NO_ONE, NO_ONE),
        ({"toNodes": []}, NO_ONE, NO_ONE),
        ({"toFQDNs": []}, EVERYONE, NO_ONE),
        ({"toFQDNs": None}, EVERYONE, NO_ONE),
        ({"toGroups": []}, EVERYONE, NO_ONE),
        ({"toServices": []}, EVERYONE, NO_ONE),
        ({"toServices": [{"k8sService": {"serviceName": "web"}}]}, EVERYONE, NO_ONE),
        ({"toFQDNs": [{"matchName": "a.test"}]}, SOMEONE, SOMEONE),
        ({"toFQDNs": [{"matchName": "a.test"}], "toEndpoints": []}, NO_ONE, NO_ONE),
        ({"toEntities": ["host", "all"]}, EVERYONE, EVERYONE),
    ],
)
def test_a_list_without_items_opens_or_shuts_by_its_kind(peers: Body, with_ports: str, without: str) -> None:
    assert selected(only(egress(peers | PORTS))) == with_ports
    assert selected(only(egress(peers))) == without


@pytest.mark.parametrize(
    ("ports", "selects"),
    [
        ({"toPorts": []}, NO_ONE),  # neither peers nor ports
        ({"toPorts": None}, NO_ONE),
        ({"toPorts": [{}]}, NO_ONE),
        ({"toPorts": [None]}, NO_ONE),
        ({"toPorts": [{"ports": []}]}, NO_ONE),
        ({"icmps": [{"fields": []}]}, NO_ONE),
        ({"icmps": []}, NO_ONE),
        ({"toPorts": [{"ports": [{"port": "0"}]}]}, EVERYONE),
    ],
)
def test_ports_without_items_are_no_port_and_port_zero_is_every_port(ports: Body, selects: str) -> None:
    assert selected(only(egress(ports))) == selects


@pytest.mark.parametrize("entry", [{}, None, {"toEndpoints": []}, {"toPorts": [{"ports": []}]}])
def test_an_entry_that_selects_no_one_still_enforces_its_direction(entry: Body | None) -> None:
    assert only(egress(entry)).default_deny


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ({"egress": []}, "no section has an entry"),
        ({"egress": None, "ingress": []}, "no section has an entry"),
        ({}, "no section has an entry"),
    ],
)
def test_an_empty_section_is_no_default_deny_but_loses_the_policy(section: Body, why: str) -> None:
    made = parsed({"endpointSelector": {}} | section)
    assert why in str(made.rejected[0])
    assert not made.rules


@pytest.mark.parametrize("value", [None, False, True])
def test_a_policy_asks_for_default_deny_unless_it_says_no(*, value: bool | None) -> None:
    spec = {"endpointSelector": {}, "enableDefaultDeny": {"egress": value}, "egress": [{}], "ingress": [{}]}
    asked = {rule.direction: rule.default_deny for rule in parsed(spec).rules}
    assert asked == {"ingress": True, "egress": value is not False}


@pytest.mark.parametrize(
    "rules", [{"dns": []}, {"http": []}, {"dns": None}, {}, None], ids=["dns", "http", "null", "none", "no rules"]
)
def test_an_empty_list_of_proxy_rules_is_no_filter(rules: Body | None) -> None:
    port = {"ports": [{"port": "53", "protocol": "UDP"}], "rules": rules, "serverNames": []}
    rule = only(egress({"toPorts": [port]}))
    assert (rule.dns, rule.http, rule.server_names, rule.redirects) == (None, None, None, ())


def test_a_dns_rule_without_a_name_is_a_filter_that_nothing_passes() -> None:
    rule = only(egress({"toPorts": [{"ports": [{"port": "53"}], "rules": {"dns": [{}]}}]}))
    assert rule.redirects == ("dns",)
    assert rule.dns is not None
    assert not any(entry.matches("a.test") for entry in rule.dns)


def test_rules_under_a_deny_are_dropped_and_the_whole_port_is_denied() -> None:
    port = {"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"path": "/admin"}]}}
    made = parsed({"endpointSelector": {}, "egressDeny": [{"toPorts": [port]}]})
    rule = only(made)
    assert (rule.is_deny, rule.http, selected(rule)) == (True, None, EVERYONE)
    assert "field `rules` is not understood" in str(made.schema_faults[0])


def terms(made: Parsed) -> set[str]:
    (peer,) = only(made).peers or ()
    return {f"{term.source}:{term.key} {term.operator}" for term in peer.selector.requirements}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("selector", "in_namespace", "clusterwide"),
    [
        ({}, {"k8s:io.kubernetes.pod.namespace In"}, {"k8s:io.kubernetes.pod.namespace Exists"}),
        (
            {"matchExpressions": [{"key": "io.kubernetes.pod.namespace", "operator": "Exists"}]},
            {"any:io.kubernetes.pod.namespace Exists"},
            {"any:io.kubernetes.pod.namespace Exists"},
        ),
        (
            {"matchLabels": {"k8s:io.cilium.k8s.namespace.labels.team": "red"}},
            {"k8s:io.cilium.k8s.namespace.labels.team In"},
            {"k8s:io.cilium.k8s.namespace.labels.team In", "k8s:io.kubernetes.pod.namespace Exists"},
        ),
    ],
)
def test_a_peer_is_held_to_the_own_namespace_unless_it_names_one(
    selector: Body, in_namespace: set[str], clusterwide: set[str]
) -> None:
    spec = {"endpointSelector": {}, "egress": [{"toEndpoints": [selector]}]}
    cluster = {"k8s:io.cilium.k8s.policy.cluster In"}
    assert terms(parsed(spec)) == in_namespace | cluster
    assert terms(parsed(spec, kind="CiliumClusterwideNetworkPolicy")) == clusterwide | cluster


def test_a_reserved_key_takes_namespace_and_cluster_away() -> None:
    selector = {"matchExpressions": [{"key": "reserved:host", "operator": "DoesNotExist"}]}
    assert terms(egress({"toEndpoints": [selector]})) == {"reserved:host DoesNotExist"}
